"""A host is drained while it works: nothing is cut, it becomes idle, and then it is halted by itself.

Layer 7, over loopback, with the engine's own loop and orders: a CT study that is being
stored, a C-MOVE whose sub-operations run, and HL7 feeds that keep their connections for ever.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.builders import seen
from tests.lab.proxy import PORT, Proxy, address, eventually, local_site, service
from tests.lab.test_l7_hl7 import Receiver, Sender, plain, ris, sending
from tests.lab.test_l7_peers import HOME, VIP, Peers, _dcmqrscp
from tests.ports import free_port
from willis.control.loop import Loop
from willis.control.orders import Orders
from willis.control.store import Store
from willis.lab import data
from willis.model.config import Config
from willis.model.service import Application, RealServer
from willis.model.status import Admin, Place
from willis.plan.terms import Term

pynetdicom = pytest.importorskip("pynetdicom")

_DCMTK = {
    tool: shutil.which(tool, path="/usr/bin:/usr/local/bin") for tool in ("storescu", "movescu", "dcmqrscp")
}
_ABSENT = [tool for tool, found in _DCMTK.items() if found is None]

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(_ABSENT), reason=f"not installed: {', '.join(_ABSENT)}"),
]

_SUCCESS = 0x0000


class Node:
    """The loop and the orders over the proxy, in a thread of their own."""

    def __init__(self, proxy: Proxy, config: Config, store: Path) -> None:
        proxy.apply(config)
        self._events = asyncio.new_event_loop()
        threading.Thread(target=self._events.run_forever, daemon=True).start()
        self.proxy = proxy
        self._run(self._start(config, store))

    async def _start(self, config: Config, store: Path) -> None:
        self.loop = Loop([self.proxy.engine], config, seen(config))
        self.orders = Orders(self.loop, Store(store / "willis.db"), lambda *_: None)
        self.loop.start()
        self.orders.start()

    def drain(self, host: str) -> None:
        """As ``willis drain HOST --when-idle halt``."""

        async def give() -> None:
            self.orders.give(host, Admin.DRAIN, term=Term(halt_when_idle=True))

        self._run(give())

    def working(self) -> str:
        """The one host that carries something, as soon as one does."""
        eventually(lambda: any(map(self.active, ("vna1", "vna2"))))
        return "vna1" if self.active("vna1") else "vna2"

    def active(self, host: str) -> int:
        """Connections open at the host, as of the last pass."""
        counted = self.loop.keepers[0].traffic
        return sum(traffic.active for (_, at), traffic in counted.items() if at == host)

    def longest(self, host: str) -> float | None:
        """How long the oldest of them has lasted."""
        found = self._run(self.loop.keepers[0].call(self.proxy.engine.longest))
        return max((seconds for (_, at), seconds in found.items() if at == host), default=None)

    def becomes_idle_and_is_halted(self, host: str) -> None:
        eventually(lambda: self.loop.status.admin.get(Place(host)) is Admin.HALT)
        assert self.active(host) == 0
        assert self.longest(host) is None

    def close(self) -> None:
        async def end() -> None:
            self.orders.close()
            await self.loop.close()

        self._run(end())
        self._events.call_soon_threadsafe(self._events.stop)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._events).result(60)


@contextmanager
def node(proxy: Proxy, config: Config, store: Path) -> Iterator[Node]:
    found = Node(proxy, config, store)
    try:
        yield found
    finally:
        found.close()


class Storage:
    """An SCP that notes the association and the object of each C-STORE.

    After ``rests`` of them it waits until it may go on.
    """

    def __init__(self, where: IPv4Address | str, port: int, rests: int) -> None:
        self.stored: list[tuple[int, str]] = []
        self.may = threading.Event()
        ae = pynetdicom.AE("VNA")
        ae.supported_contexts = pynetdicom.StoragePresentationContexts[:120]

        def store(event: Any) -> int:
            if len(self.stored) == rests:
                self.may.wait(120)
            self.stored.append((id(event.assoc), event.request.AffectedSOPInstanceUID))
            return _SUCCESS

        handlers = [(pynetdicom.evt.EVT_C_STORE, store)]
        self._server = ae.start_server((str(where), port), block=False, evt_handlers=handlers)

    def close(self) -> None:
        self._server.shutdown()


def two(port: int, application: Application) -> Config:
    """One service over vna1 and vna2."""
    servers = tuple(RealServer(f"vna{n}", address(n), port) for n in (1, 2))
    return local_site(service(name="Work", application=application, persistence=None, pool=servers))


def client(tool: str, *words: object) -> subprocess.Popen[str]:
    argv = [str(_DCMTK[tool]), "-aet", "HOME", *map(str, words)]
    return subprocess.Popen(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def succeeds(process: subprocess.Popen[str]) -> None:
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said


def test_a_study_that_is_being_stored_arrives_whole_over_its_one_association(
    proxy: Proxy, tmp_path: Path
) -> None:
    files, port = data.ct(), free_port()
    with ExitStack() as stack:
        servers = {f"vna{n}": Storage(address(n), port, 50) for n in (1, 2)}
        for each in servers.values():
            stack.callback(each.close)
        found = stack.enter_context(node(proxy, two(port, Application.DICOM), tmp_path))
        sender = client("storescu", "-aec", "VNA", VIP, PORT, *files)
        stack.callback(sender.kill)
        host = found.working()
        mine, other = servers.pop(host), *servers.values()
        eventually(lambda: len(mine.stored) == 50)
        found.drain(host)
        assert sender.poll() is None
        succeeds(client("storescu", "-aec", "VNA", VIP, PORT, files[0]))
        assert len(other.stored) == 1, "what is new goes elsewhere"
        mine.may.set()
        succeeds(sender)
        found.becomes_idle_and_is_halted(host)
    assert sorted(uid for _, uid in mine.stored) == sorted(
        dcmread(file, specific_tags=["SOPInstanceUID"]).SOPInstanceUID for file in files
    )
    assert len({association for association, _ in mine.stored}) == 1


def test_a_retrieval_goes_on_to_its_last_suboperation(proxy: Proxy, tmp_path: Path) -> None:
    files = data.ct(40)
    study = dcmread(files[0], stop_before_pixels=True).StudyInstanceUID
    with ExitStack() as stack:
        peers = Peers(tmp_path, stack, client=free_port())
        _dcmqrscp(peers)
        succeeds(client("storescu", "-aec", "QR", HOME, peers.archive, *files))
        home = Storage(HOME, peers.client, 5)
        stack.callback(home.close)
        found = stack.enter_context(node(proxy, two(peers.archive, Application.DICOM), tmp_path))
        keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
        mover = client("movescu", "-aec", "QR", "-S", "-aem", "HOME", *keys, VIP, PORT)
        stack.callback(mover.kill)
        eventually(lambda: len(home.stored) == 5)
        host = found.working()
        found.drain(host)
        assert found.longest(host) is not None
        home.may.set()
        succeeds(mover)
        found.becomes_idle_and_is_halted(host)
    assert len({uid for _, uid in home.stored}) == len(home.stored) == 40


def test_feeds_that_never_end_move_between_two_messages(proxy: Proxy, tmp_path: Path) -> None:
    with ExitStack() as stack:
        receivers = [Receiver(n) for n in (1, 2)]
        for each in receivers:
            each.wait_s = 0.02
            stack.callback(each.close)
        found = stack.enter_context(node(proxy, ris(), tmp_path))
        senders = [Sender(f"S{n}-", plain()) for n in range(4)]
        with sending(senders):
            eventually(lambda: all(len(each.got) > 20 for each in receivers))
            found.drain("vna1")
            found.becomes_idle_and_is_halted("vna1")
            mark = len(receivers[1].got)
            eventually(lambda: len(receivers[1].got) > mark + 20)
    sent = sorted(f"{s._called}{n}" for s in senders for n in range(s.sent))
    assert sorted(control for s in senders for control in s.acknowledged) == sent, "each acknowledged once"
    assert sorted(receivers[0].got + receivers[1].got) == sent, "each delivered once"
