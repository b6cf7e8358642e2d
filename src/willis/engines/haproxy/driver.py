"""The engine ``haproxy``: keeps one HAProxy at what Willis wants of it.

Two copies of the configuration: the one in the run directory is what the master
(re)loads; the one in the state directory is the last good one, replaced only after a
worker has proven, by the digest in its text, that it loaded it. A kill at any point
leaves a running worker and a text that is told from it.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from willis.certificates.store import CertificateStore
from willis.engines.haproxy import (
    ages,
    certs,
    dicom,
    endings,
    hl7,
    log,
    maps,
    script,
    stapling,
    ties,
    traffic,
)
from willis.engines.haproxy.binds import binds, refusal
from willis.engines.haproxy.compile import CONFIG, HaproxyFiles, compile_l7
from willis.engines.haproxy.disk import jail, read, write
from willis.engines.haproxy.process import MasterProcess, since_3_0, verify
from willis.engines.haproxy.runtime import Master, Runtime, Workers
from willis.engines.haproxy.state import Mode, ServerState, StateError, commands, parse, parts, state_file
from willis.engines.haproxy.tls import MissingError
from willis.engines.haproxy.write import TokenError, stamp_of
from willis.engines.port import Client, EngineError, Traffic
from willis.model.access import Access
from willis.model.config import Config
from willis.model.refusal import Refusal
from willis.model.service import Address
from willis.model.status import Status
from willis.plan.diff import Artefacts, Change

_READY_S = 30.0
_POLL_S = 0.02
_BETWEEN_RELOADS_S = 5
"""A reload within about 3 s of the last one loses the stick tables on 2.6 and 2.8."""
_USER = "haproxy"
_LONGEST_SOCKET = 90
"""unix(7) allows 108 bytes; HAProxy adds a suffix while it binds."""


class HaproxyEngine:
    """Implements ``engines.port.Engine``. HAProxy runs only while there is something to serve."""

    name = "haproxy"

    def __init__(
        self,
        run_dir: Path,
        state_dir: Path,
        *,
        layer4: bool = False,
        transparent: bool = True,
        thumbprint: Callable[[Config], str | None] = lambda _: None,
    ) -> None:
        """``thumbprint``: makes ready what a config's ordered certificates need, and gives the account's."""
        self._layer4 = layer4
        self._thumbprint = thumbprint
        self._transparent = transparent
        self._loaded = run_dir / "haproxy-loaded.cfg"
        self._last_good = state_dir / "haproxy.cfg"
        self._candidate = state_dir / "haproxy-candidate.cfg"
        master_socket = run_dir / "haproxy-master.sock"
        self._process = MasterProcess(
            self._loaded, run_dir / "haproxy.pid", master_socket, state_dir / "haproxy.log"
        )
        self._files = HaproxyFiles.under(
            run_dir,
            state_dir,
            user=_user(),
            open_files=self._process.open_files(),
            since_3_0=since_3_0(),
        )
        if len(os.fsencode(master_socket)) > _LONGEST_SOCKET:
            raise EngineError(
                f"the run directory {run_dir} is too long for unix sockets; choose a shorter one"
            )
        self._certificates = CertificateStore(Path(self._files.tls))
        self._runtime = Runtime(Path(self._files.stats_socket))
        self._master = Master(master_socket, self._runtime, partial(self._process.signal, signal.SIGUSR2))
        self._ledger = traffic.Ledger()
        self._verified: str | None = None

    def compile(self, config: Config, status: Status) -> Artefacts:
        """What HAProxy should hold. Raises EngineError for a value that may not enter its file."""
        thumbprint = self._thumbprint(config)
        files = replace(self._files, thumbprint=thumbprint, holdings=self._certificates.holdings())
        try:
            return compile_l7(config, status, files=files, layer4=self._layer4, transparent=self._transparent)
        except (TokenError, MissingError) as error:
            raise EngineError(str(error)) from error

    def observe(self) -> Artefacts:
        """The text that the worker proves to run, and the states it reports; nothing if none runs."""
        if self._process.pid() is None:
            return {}
        held: dict[str, str | ServerState | maps.Lines] = dict(self._states())
        text = self._text_of(self._runtime.info().get("description"))
        if text is not None:
            held[CONFIG] = text
            for name in certs.named(text, self._files.tls):
                print_ = certs.held(self._runtime, self._certificates.path(name))
                if print_ is not None:
                    held[certs.PREFIX + name] = print_
            for name in maps.named(text, self._files.maps):
                held[maps.key(name)] = maps.parse(self._runtime.ask(f"show map {self._map(name)}"))
        return held

    def check(self, want: Artefacts) -> None:
        """``haproxy -c`` on a private copy, then try each new address. Raises EngineError."""
        text = want.get(CONFIG)
        if isinstance(text, str):
            self._write_maps(want, only_missing=True)
            self._prove(text)

    def apply(self, changes: Sequence[Change]) -> None:
        """Over the runtime socket where that is enough, else by a reload. Raises EngineError."""
        have = self.observe()
        want = dict(have)
        for change in changes:
            if change.want is None:
                want.pop(change.key, None)
            else:
                want[change.key] = change.want
        text, old = want.get(CONFIG), have.get(CONFIG)
        states = {key: value for key, value in want.items() if isinstance(value, ServerState)}
        if not isinstance(text, str):
            self._retire()
            return
        self._write_maps(want)
        if self._process.pid() is None:
            self._start(text, states)
        elif text != old or not self._renewed(changes):
            self._reload(old if isinstance(old, str) else None, text, states)
        self._fill_maps(want)
        self._push(states)
        changed = {c.key: states[c.key] for c in changes if c.key in states and c.have is not None}
        halted = {parts(key) for key, state in changed.items() if state.mode is Mode.MAINT}
        dead = {parts(key) for key, state in changed.items() if state.mode is Mode.READY and not state.up}
        waits = hl7.left(_maps(want).get(hl7.LEAVING, ())).keys()
        endings.cut(self._master, (halted | dead) - waits)

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        """Counters by (service, host), over reloads; see ``traffic`` for what they miss."""
        if self._process.pid() is None:
            return self._ledger.add({})
        said = self._master.asked("show stat -1 4 -1")
        return self._ledger.add({pid: traffic.parse(report) for pid, report in said.items()})

    def longest(self) -> dict[tuple[str, str], float]:
        """How long the oldest connection of each server has lasted, in old workers too."""
        if self._process.pid() is None:
            return {}
        return ages.longest(self._master.asked("show sess").values())

    def alarms(self) -> tuple[str, ...]:
        return ()

    def refusals(self) -> dict[tuple[str, str], tuple[Refusal, ...]]:
        """What servers refused, in old workers too; nothing where no service speaks DICOM."""
        if self._process.pid() is None or self._files.dicom_lua not in read(self._loaded):
            return {}
        return dicom.refused(self._master.asked("show dimse").values())

    def clients(self, service: str) -> list[Client]:
        """The clients that the service's stick table ties to a server."""
        held = self._table(service)
        return [] if held is None else ties.clients(self._runtime.ask(f"show table {held.name}"), held.prefix)

    def forget(self, service: str, client: Address | None = None) -> int:
        """End the tie of one client, or of all; connections stay."""
        held = self._table(service)
        found = [c for c in self.clients(service) if client is None or client in c.network]
        if held is not None:
            self._runtime.run([f"clear table {held.name} key {c.network.network_address}" for c in found])
        return len(found)

    def serving(self) -> int | None:
        """The current worker."""
        return self._master.workers().current if self._process.pid() is not None else None

    def stream(self, *, fresh: bool) -> socket.socket:
        """The access log of the current worker, until that ends. Raises EngineError."""
        return self._runtime.stream(log.follow(fresh))

    def read(self, line: bytes) -> Access | None:
        """What a line of the access log says."""
        return log.read(line)

    def staple(self, certificate: Path, der: bytes) -> None:
        """Send this OCSP response along with the certificate. Raises EngineError."""
        if self._process.pid() is not None:
            stapling.staple(self._runtime, certificate, der)

    def refresh(self) -> None:
        """End what waits to be ended, and keep HAProxy's log from growing without end."""
        self._process.trim_log()
        if self._process.pid() is not None and self._files.hl7_lua in read(self._loaded):
            endings.between_messages(self._runtime, self._master, self._map(hl7.LEAVING))

    def close(self) -> None:
        """Let go; HAProxy goes on."""

    def stop(self) -> None:
        """End HAProxy now, with all its connections (teardown)."""
        self._process.stop()

    def _table(self, service: str) -> ties.Table | None:
        text = self.observe().get(CONFIG)
        return ties.table(text, service) if isinstance(text, str) else None

    def _states(self) -> dict[str, ServerState]:
        try:
            return parse(self._runtime.ask("show servers state"))
        except StateError as error:
            raise EngineError(f"HAProxy's report cannot be read: {error}") from error

    def _text_of(self, stamp: str | None) -> str | None:
        """The text with that digest, from the two copies; None if neither is it."""
        for path in (self._loaded, self._last_good):
            text = read(path)
            if stamp is not None and stamp_of(text) == stamp:
                return text
        return None

    def _renewed(self, changes: Sequence[Change]) -> bool:
        """Bring new certificates into the running worker. False: a reload must."""
        names = [c.key.removeprefix(certs.PREFIX) for c in changes if c.kind == "certificate" and c.want]
        return all(certs.renew(self._runtime, self._certificates.path(name)) for name in names)

    def _map(self, name: str) -> Path:
        return Path(maps.place(self._files, name).text)

    def _write_maps(self, want: Artefacts, *, only_missing: bool = False) -> None:
        """What the next worker reads too. A map that nobody reads yet may be there before its time."""
        Path(self._files.maps).mkdir(mode=0o700, parents=True, exist_ok=True)
        for lua, wanted in ((self._files.dicom_lua, script.DICOM), (self._files.hl7_lua, script.HL7)):
            if not Path(lua).exists():
                write(Path(lua), wanted.text)
        for name, lines in _maps(want).items():
            file, text = self._map(name), maps.file_text(lines)
            if not file.exists() or (not only_missing and file.read_text() != text):
                write(file, text)

    def _fill_maps(self, want: Artefacts) -> None:
        """Bring the running worker's maps to what is wanted, each at once. Raises EngineError."""
        for name, lines in _maps(want).items():
            file = self._map(name)
            if maps.parse(self._runtime.ask(f"show map {file}")) == lines:
                continue
            version = maps.version(self._runtime.ask(f"prepare map {file}"))
            if version is None:
                raise EngineError(f"HAProxy does not know its map {name}; the next pass compiles anew")
            for command in maps.commands(file, lines, version):
                self._runtime.run([command])

    def _prove(self, text: str) -> None:
        if text != self._verified:
            write(self._candidate, text)
            verify(self._candidate)
            self._candidate.unlink()
            self._verified = text
        held = self.observe().get(CONFIG)
        new = binds(text) - (binds(held) if isinstance(held, str) else frozenset())
        refused = [why for bind in sorted(new) if (why := refusal(bind, self._process.is_ours))]
        if refused:
            raise EngineError(f"HAProxy could not listen: {'; '.join(refused)}")

    def _start(self, text: str, states: Mapping[str, ServerState]) -> None:
        self._prove(text)
        write(Path(self._files.server_state), state_file(states))
        write(self._loaded, text)
        inside = jail(Path(self._files.jail))
        mark = self._process.mark()
        self._process.start(inside)
        deadline = time.monotonic() + _READY_S
        while not (self._runs(text) and self._process.pid()):
            if not self._process.starting() or time.monotonic() > deadline:
                self._process.give_up()
                raise EngineError(f"HAProxy does not start: {self._process.words_since(mark)}")
            time.sleep(_POLL_S)
        write(self._last_good, text)

    def _reload(self, old: str | None, text: str, states: Mapping[str, ServerState]) -> None:
        """``old``: the text that runs, if it is known."""
        self._prove(text)
        if old is None or "stick-table" in old + text:
            self._keep_apart()
        before = self._master.attentive()
        mark = self._process.mark()
        write(Path(self._files.server_state), state_file(states))
        write(self._loaded, text)
        self._process.signal(signal.SIGUSR2)
        if not self._took(text, before):
            if old is not None:
                write(self._loaded, old)
            said = self._process.words_since(mark)
            raise EngineError(f"HAProxy refused to reload: {said}; the last good configuration goes on")
        write(self._last_good, text)

    def _keep_apart(self) -> None:
        """Wait until the running worker is old enough for its stick tables to be handed on.

        Waiting here is the simplest honest way: ``apply`` means that it was done. What
        it delays is HAProxy's own health flips, by at most five seconds and only when
        two documents follow each other so closely; meanwhile HAProxy takes a refused
        connection to another server by itself.
        """
        age = int(self._runtime.info().get("Uptime_sec", "0"))
        time.sleep(max(0, _BETWEEN_RELOADS_S - age))

    def _took(self, text: str, before: Workers) -> bool:
        """Wait for the outcome of a reload. False: HAProxy refused it or never came back.

        Until the worker before has stopped listening it may take a client, or a command of ours.
        """
        deadline, runs = time.monotonic() + _READY_S, False
        while time.monotonic() < deadline:
            time.sleep(_POLL_S)
            try:
                workers = self._master.workers()
                if workers.reloads > before.reloads:
                    if workers.failed:
                        return False
                    runs = runs or self._runs(text)
                    if runs and not self._master.listens(before.current, workers):
                        return True
            except EngineError:
                continue  # the master is executing itself anew
        return runs

    def _runs(self, text: str) -> bool:
        """Whether the worker behind the runtime socket has loaded ``text``."""
        try:
            return self._runtime.info().get("description") == stamp_of(text)
        except EngineError:
            return False

    def _push(self, states: Mapping[str, ServerState]) -> None:
        """Bring every server into its state, and read back that it is."""
        have = self._states()
        if missing := sorted(states.keys() - have.keys()):
            raise EngineError(
                f"HAProxy has no such server: {', '.join(missing)}; the next pass compiles anew"
            )
        differing = {key: state for key, state in states.items() if have[key] != state}
        if not differing:
            return
        # Who opens comes first: between two commands no pool may be empty, or clients are turned away.
        order = sorted(differing.items(), key=lambda item: item[1].mode is not Mode.READY or not item[1].up)
        self._runtime.run([line for key, state in order for line in commands(key, state)])
        have = self._states()
        if wrong := sorted(key for key in differing if have.get(key) != states[key]):
            raise EngineError(
                f"HAProxy did not take the state of {', '.join(wrong)}; the next pass tries again"
            )

    def _retire(self) -> None:
        if self._process.pid() is not None:
            self._master.workers()  # a master that executes itself anew would miss the signal
            self._process.retire()


def _maps(want: Artefacts) -> dict[str, maps.Lines]:
    """The wanted maps by name."""
    return {
        key.removeprefix(maps.key("")): value
        for key, value in want.items()
        if key.startswith(maps.key("")) and isinstance(value, tuple)
    }


def _user() -> str | None:
    """The packaged user for the workers, if we may change to it."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_USER).pw_name
    except KeyError:
        return None
