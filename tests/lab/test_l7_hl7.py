"""Layer 7, HL7: connections leave a server between two messages; nothing is lost, nothing doubled."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import seen
from tests.lab.proxy import PORT, Proxy, address, eventually, local_site, service
from tests.lab.test_l7_logs import reading
from willis.engines.haproxy import hl7
from willis.model.config import Config
from willis.model.service import Application, RealServer
from willis.model.status import Admin, Place, Status, Verdict

mllp = pytest.importorskip("hl7.client")
pytestmark = pytest.mark.lab

VIP = str(address(101))
_PORT = PORT + 30
BEGIN, END = b"\x0b", b"\x1c\r"


def message(control: str) -> bytes:
    return f"MSH|^~\\&|LAB|WARD|RIS|WARD|20260101||ADT^A08|{control}|T|2.5.1\rPID|1||X\r".encode()


def control_of(text: bytes) -> str:
    return text.split(b"\r")[0].split(b"|")[9].decode()


class Receiver:
    """An MLLP server at vnaN: it notes the control ids that it got, and acknowledges as soon as it may."""

    def __init__(self, number: int) -> None:
        self.name = f"vna{number}"
        self.got: list[str] = []
        self.wait_s = 0.0
        self.may = threading.Event()
        self.may.set()
        self._listener = socket.create_server((str(address(number)), _PORT), backlog=50)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):  # senders that are cut are part of this
            for block in blocks(client):
                control = control_of(block)
                self.got.append(control)
                self.may.wait(120)
                time.sleep(self.wait_s)
                ack = f"MSH|^~\\&|RIS|WARD|LAB|WARD|20260101||ACK|A{control}|T|2.5.1\rMSA|AA|{control}\r"
                client.sendall(BEGIN + ack.encode() + END)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()


def blocks(sock: socket.socket) -> Iterator[bytes]:
    """The messages that arrive, until the other side closes."""
    held = b""
    while True:
        try:
            part = sock.recv(65_536)
        except OSError:
            return
        if not part:
            return
        held += part
        while END in held:
            block, held = held.split(END, 1)
            yield block.removeprefix(BEGIN)


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    made = [Receiver(n) for n in (1, 2, 3)]
    yield made
    for one in made:
        one.close()


def ris(*pool: int, **changes: object) -> Config:
    real = {n: RealServer(f"vna{n}", address(n), _PORT) for n in (1, 2, 3)}
    plain = service(application=Application.HL7, persistence=None)
    return local_site(replace(plain, name="Hl7", pool=tuple(real[n] for n in pool or (1, 2)), **changes))


def ordered(config: Config, host: str, admin: Admin) -> Status:
    return replace(seen(config), admin={Place(host): admin})


def with_more(config: Config) -> Config:
    """The same and one service more: a reload."""
    return replace(config, services=(*config.services, service(102, "More")))


class Sender(threading.Thread):
    """One message at a time, and one without its ACK again on a new connection."""

    def __init__(self, name: str, exchange: Callable[[bytes], bytes | None]) -> None:
        super().__init__(daemon=True)
        self.sent, self.acknowledged = 0, []
        self._called, self._exchange, self._stop_now = name, exchange, threading.Event()
        self._gave_up = threading.Event()

    def run(self) -> None:
        while not self._stop_now.is_set():
            control = f"{self._called}{self.sent}"
            self.sent += 1
            while (answer := self._exchange(message(control))) is None:
                if self._gave_up.wait(0.01):
                    return
            self.acknowledged.append(answer.split(b"MSA|AA|")[1].split(b"\r")[0].decode())
            self._stop_now.wait(0.002)

    def finish(self) -> None:
        """Let it have its last ACK. Without one it ends too, and disturbs no other drill."""
        self._stop_now.set()
        self.join(30)
        self._gave_up.set()
        self.join(60)
        assert not self.is_alive()


@contextmanager
def sending(senders: list[Sender]) -> Iterator[None]:
    """They send all the while; at the end each has its last ACK."""
    for sender in senders:
        sender.start()
    try:
        yield
    finally:
        for sender in senders:
            sender.finish()


def library() -> Callable[[bytes], bytes | None]:
    """python-hl7's client."""
    held: list[mllp.MLLPClient] = []

    def exchange(text: bytes) -> bytes | None:
        try:
            if not held:
                held.append(mllp.MLLPClient(VIP, PORT))
                held[0].socket.settimeout(30)
            answer = held[0].send_message(text)
        except OSError:
            answer = b""
        if answer:
            return answer
        while held:
            held.pop().close()
        return None

    return exchange


def plain(parts: int = 1) -> Callable[[bytes], bytes | None]:
    """A socket; a message may come in several parts."""
    held: list[socket.socket] = []

    def exchange(text: bytes) -> bytes | None:
        try:
            if not held:
                held.append(socket.create_connection((VIP, PORT), timeout=30))
                held[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            block = BEGIN + text + END
            size = -(-len(block) // parts)
            for at in range(0, len(block), size):
                held[0].sendall(block[at : at + size])
            return next(blocks(held[0]))
        except (OSError, StopIteration):
            while held:
                held.pop().close()
            return None

    return exchange


def idle() -> socket.socket:
    return socket.create_connection((VIP, PORT), timeout=30)


def send(sock: socket.socket, control: str) -> None:
    sock.sendall(BEGIN + message(control) + END)


def ended(sock: socket.socket) -> bool:
    """Whether the connection has ended; says no at once."""
    sock.setblocking(False)
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        sock.settimeout(30)


def refreshed(proxy: Proxy, holds: Callable[[], bool]) -> Callable[[], bool]:
    """A condition that is asked while the engine does what it does each second."""

    def ask() -> bool:
        proxy.engine.refresh()
        return holds()

    return ask


@pytest.mark.parametrize("reload", [False, True], ids=["at run time", "after a reload"])
def test_a_drain_moves_steady_senders_and_no_message_is_lost_or_doubled(
    proxy: Proxy, receivers: list[Receiver], reload: bool
) -> None:
    config = ris()
    first, second = receivers[:2]
    proxy.apply(config)
    senders = [Sender("LIB", library()), Sender("ONE", plain()), Sender("PART", plain(7))]
    senders += [Sender(f"M{n}-", plain()) for n in range(3)]
    with sending(senders):
        eventually(lambda: all(len(s.acknowledged) > 20 for s in senders) and bool(first.got and second.got))
        if reload:
            proxy.apply(config := with_more(config))
        proxy.apply(config, ordered(config, "vna1", Admin.DRAIN))

        def all_send_on() -> int:
            """What the drained server has got after everybody has sent 20 more."""
            mark = [len(s.acknowledged) for s in senders]
            pairs = list(zip(senders, mark, strict=True))
            eventually(refreshed(proxy, lambda: all(len(s.acknowledged) > n + 20 for s, n in pairs)))
            return len(first.got)

        eventually(lambda: all_send_on() == all_send_on())
    sent = sorted(control for s in senders for control in s.acknowledged)
    assert sent == sorted(f"{s._called}{n}" for s in senders for n in range(s.sent)), "each acknowledged once"
    assert sorted(first.got + second.got) == sent, "each delivered once"


@pytest.mark.parametrize("reload", [False, True], ids=["at run time", "after a reload"])
def test_idle_ones_end_and_one_that_waits_for_its_ack_gets_it(
    proxy: Proxy, receivers: list[Receiver], reload: bool
) -> None:
    proxy.apply(config := ris(1))
    with idle() as quiet, idle() as used, idle() as waiting:
        send(used, "USED")
        answers = blocks(used)
        assert b"AA|USED" in next(answers)
        receivers[0].may.clear()
        send(waiting, "SLOW")
        eventually(lambda: "SLOW" in receivers[0].got)
        if reload:
            proxy.apply(config := with_more(config))
        proxy.apply(config, ordered(config, "vna1", Admin.DRAIN))
        eventually(refreshed(proxy, lambda: ended(quiet) and ended(used)))
        assert not ended(waiting)
        receivers[0].may.set()
        answers = blocks(waiting)
        assert b"AA|SLOW" in next(answers)
        eventually(refreshed(proxy, lambda: ended(waiting)))
    assert receivers[0].got == ["USED", "SLOW"]


def test_a_sender_that_does_not_wait_gets_the_acks_of_all_that_was_delivered(
    proxy: Proxy, receivers: list[Receiver]
) -> None:
    proxy.apply(config := ris(1))
    receivers[0].may.clear()
    with idle() as sender:
        # In one piece: with the first of them all three have passed the proxy.
        sender.sendall(b"".join(BEGIN + message(control) + END for control in ("A", "B", "C")))
        eventually(lambda: receivers[0].got == ["A"])
        proxy.apply(config, ordered(config, "vna1", Admin.DRAIN))
        send(sender, "D")
        receivers[0].may.set()
        acknowledged: list[bytes] = []
        reader = threading.Thread(target=lambda: acknowledged.extend(blocks(sender)), daemon=True)
        reader.start()
        eventually(refreshed(proxy, lambda: not reader.is_alive()))
    assert receivers[0].got == ["A", "B", "C"]
    assert [b.split(b"MSA|AA|")[1].strip() for b in acknowledged] == [b"A", b"B", b"C"]


def test_a_server_that_its_check_calls_dead_is_left_too_and_an_unknown_one_is_not(
    proxy: Proxy, receivers: list[Receiver]
) -> None:
    proxy.apply(config := ris(1))
    with idle() as sender:
        send(sender, "ONE")
        assert b"AA|ONE" in next(blocks(sender))
        proxy.apply(config, seen(config, Verdict.UNKNOWN))
        proxy.engine.refresh()
        send(sender, "TWO")
        assert b"AA|TWO" in next(blocks(sender))
        proxy.apply(config, seen(config, Verdict.DEAD))
        eventually(refreshed(proxy, lambda: ended(sender)))


def test_what_was_held_back_ends_even_if_its_server_stays(proxy: Proxy, receivers: list[Receiver]) -> None:
    proxy.apply(config := ris(1))
    with idle() as sender:
        send(sender, "ONE")
        assert b"AA|ONE" in next(blocks(sender))
        proxy.apply(config, ordered(config, "vna1", Admin.DRAIN))
        send(sender, "TWO")
        eventually(lambda: " held " in proxy.engine._runtime.ask("show hl7"))
        proxy.apply(config)
        eventually(refreshed(proxy, lambda: ended(sender)))
    assert receivers[0].got == ["ONE"]


@pytest.mark.parametrize("dead", [False, True], ids=["halted", "dead"])
def test_a_halted_or_dead_server_is_given_time_for_an_ack_but_not_for_ever(
    proxy: Proxy, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch, dead: bool
) -> None:
    proxy.apply(config := ris(1))
    away = seen(config, Verdict.DEAD) if dead else ordered(config, "vna1", Admin.HALT)
    receivers[0].may.clear()
    with idle() as sender, idle() as stranger:
        send(sender, "ONE")
        stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
        eventually(lambda: receivers[0].got == ["ONE"])
        proxy.apply(config, away)
        eventually(refreshed(proxy, lambda: ended(stranger)))
        receivers[0].may.set()
        assert b"AA|ONE" in next(blocks(sender))
        receivers[0].may.clear()
        proxy.apply(config)
        with idle() as second:
            send(second, "TWO")
            eventually(lambda: receivers[0].got == ["ONE", "TWO"])
            proxy.apply(config, away)
            proxy.engine.refresh()
            assert not ended(second)
            monkeypatch.setattr(hl7, "_LAST_MS", 100)
            eventually(refreshed(proxy, lambda: ended(second)))
        receivers[0].may.set()


def test_the_log_tells_an_end_between_messages_from_one_that_cuts_a_message(
    proxy: Proxy, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hl7, "_LAST_MS", 100)
    proxy.apply(config := ris(1))
    with reading(proxy) as reader:
        with idle() as quiet, idle() as waiting, idle() as stranger:
            send(quiet, "ONE")
            assert b"AA|ONE" in next(blocks(quiet))
            receivers[0].may.clear()
            stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
            send(waiting, "TWO")
            eventually(lambda: "TWO" in receivers[0].got)
            proxy.apply(config, ordered(config, "vna1", Admin.HALT))
            eventually(refreshed(proxy, lambda: all(map(ended, (quiet, waiting, stranger)))))
        receivers[0].may.set()
        eventually(lambda: len(reader.accesses()) == 3)
    orderly, cut = (
        "Willis left its server between two messages",
        "Willis left its server while a message was under way",
    )
    assert sorted((seen.ok, seen.ended) for seen in reader.accesses()) == [
        (False, cut),
        (False, cut),
        (True, orderly),
    ]


def test_the_fallback_is_left_when_the_pool_is_back(proxy: Proxy, receivers: list[Receiver]) -> None:
    config = ris(1, fallback=RealServer("vna3", address(3), _PORT))
    proxy.apply(config, seen(config, Verdict.DEAD))
    with idle() as sender:
        send(sender, "ONE")
        assert b"AA|ONE" in next(blocks(sender))
        proxy.engine.refresh()
        send(sender, "TWO")
        assert b"AA|TWO" in next(blocks(sender))
        proxy.apply(config)
        eventually(refreshed(proxy, lambda: ended(sender)))
    assert receivers[2].got == ["ONE", "TWO"]


@pytest.mark.parametrize("patience_s", [hl7.HALF_CLOSED_S, 1])
def test_a_half_closed_sender_waits_as_long_as_agreed(
    proxy: Proxy, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch, patience_s: int
) -> None:
    monkeypatch.setattr(hl7, "HALF_CLOSED_S", patience_s)
    proxy.apply(ris(1))
    receivers[0].may.clear()
    with idle() as sender:
        send(sender, "ONE")
        eventually(lambda: receivers[0].got == ["ONE"])
        sender.shutdown(socket.SHUT_WR)
        if patience_s > 2.5:
            time.sleep(2.5)
            receivers[0].may.set()
        answered = [b for b in blocks(sender) if b"AA|ONE" in b]
    receivers[0].may.set()
    assert bool(answered) is (patience_s > 2.5)


def test_a_sender_that_closes_its_side_right_behind_its_message_is_answered(
    proxy: Proxy, receivers: list[Receiver]
) -> None:
    """Threads that begin connections at once, and a server that is still being connected to, lose none."""
    proxy.apply(ris(1))

    def ask(number: int) -> bool:
        with idle() as sender:
            send(sender, f"M{number}")
            sender.shutdown(socket.SHUT_WR)
            return any(f"AA|M{number}".encode() in block for block in blocks(sender))

    with ThreadPoolExecutor(8) as senders:
        answered = list(senders.map(ask, range(400)))
    assert answered.count(False) == 0
    assert sorted(receivers[0].got) == sorted(f"M{number}" for number in range(400))


def test_mllp_send_is_served(proxy: Proxy, receivers: list[Receiver], tmp_path: Path) -> None:
    proxy.apply(ris(1))
    file = tmp_path / "messages"
    file.write_bytes(b"".join(BEGIN + message(f"F{n}") + END for n in range(20)))
    words = [str(Path(sys.executable).with_name("mllp_send")), "--file", str(file), "-p", str(PORT), VIP]
    done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"MSA|AA|") == 20
    assert receivers[0].got == [f"F{n}" for n in range(20)]
