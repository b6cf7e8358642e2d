"""What a client sends to a service of each application, and what must then stand in the ledgers.

An act drives the real tools (dcmtk, ``mllp_send``, curl) from a client's machine. It
returns what it expects of the ledgers and never judges by the tool's own word alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from willis.lab import data
from willis.lab.errors import LabError
from willis.lab.judge import Expected
from willis.lab.twin import Twin
from willis.model.service import Application, Protocol, VirtualService

_LIMIT_S = 30
"""Seconds that a tool may take: all data is small, so a longer wait means that nobody answers."""


class ActFailed(Exception):
    """A tool failed, or did not get the answer that it must. The text is its complaint."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client's machine, from which tools are run."""

    twin: Twin
    machine: str
    scratch: Path

    def run(self, *argv: str, stdin: bytes = b"") -> str:
        """Run a tool; all that it printed. Raises ActFailed with its last words."""
        try:
            done = subprocess.run(
                [*self.twin.enter(self.machine), *argv],
                input=stdin,
                capture_output=True,
                env=self.twin.environment(self.machine) | {"TCP_NODELAY": "1"},
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ActFailed(f"{Path(argv[0]).name} did not end within {_LIMIT_S} s") from None
        except OSError as error:
            raise LabError(f"{argv[0]} cannot be run: {error.strerror}.") from error
        text = (done.stderr + done.stdout).decode(errors="replace")
        if done.returncode != 0:
            said = " ".join(text.split())[-200:]
            raise ActFailed(f"{Path(argv[0]).name} ended with {done.returncode}: {said or 'it said nothing'}")
        return text


Act = Callable[[Client, VirtualService, int], Expected]


def act_for(service: VirtualService) -> Act:
    """What to send to the service."""
    return _ACTS[service.application]


def _dicom(client: Client, service: VirtualService, port: int) -> Expected:
    """A C-ECHO, then one association with a small MR study, another one for each service and client."""
    where, study = (str(service.vip), str(port)), _study(client.twin, client.machine, service)
    _scu(client, service, "echoscu", *where)
    files = data.mr(study)
    _scu(client, service, "storescu", *where, *map(str, files))
    return Expected(
        f"C-ECHO, {len(files)} x C-STORE",
        ("C-ECHO", *["C-STORE"] * len(files)),
        frozenset(map(data.digest, files)),
    )


def _mwl(client: Client, service: VirtualService, port: int) -> Expected:
    where = (str(service.vip), str(port))
    _scu(client, service, "echoscu", *where)
    keys = ("-k", "PatientName", "-k", "ScheduledProcedureStepSequence[0].Modality")
    answer = _scu(client, service, "findscu", "-v", "-W", *keys, *where)
    if "LAB^ONE" not in answer or "LAB^TWO" not in answer:
        raise ActFailed("the worklist query did not find the two items that every server has")
    return Expected("C-ECHO, C-FIND", ("C-ECHO", "C-FIND"))


def _scu(client: Client, service: VirtualService, tool: str, *rest: str) -> str:
    """Run dcmtk's tool; it knows IPv4 only (3.6.7), so IPv6 is pynetdicom's, with the same options."""
    own = (sys.executable, "-m", "pynetdicom") if service.vip.version == 6 else ()
    return client.run(*own, tool, "-aet", client.machine.upper(), *rest)


def _hl7(client: Client, service: VirtualService, port: int) -> Expected:
    """ADT, ORM and ORU on one connection, each of which must be acknowledged by its control id."""
    prefix = uuid.uuid4().hex[:8].upper()
    controls = [f"{prefix}{number:06}" for number in range(1, 4)]
    messages = list(data.hl7_numbered(3, prefix))
    path = client.scratch / f"{prefix}.hl7"
    path.write_text("".join(messages))
    host = str(service.vip)
    if service.vip.version == 6:  # mllp_send knows IPv4 only
        own = (sys.executable, "-m", "willis.lab.sender", "mllp", host, str(port))
        answer = client.run(*own, stdin=path.read_bytes())
    else:
        answer = client.run("mllp_send", "--loose", "--file", str(path), "-p", str(port), host)
    missing = [control for control in controls if f"MSA|AA|{control}" not in answer]
    if missing:
        raise ActFailed(f"no acknowledgement (MSA|AA) for {', '.join(missing)}")
    kinds = tuple("^".join(message.split("|")[8].split("^")[:2]) for message in messages)
    return Expected("ADT, ORM, ORU", kinds, frozenset(controls), one_server=True)


def _mint(client: Client, service: VirtualService, port: int) -> Expected:
    """A study job, then the job's file from the same server, then a query."""
    url = f"http://{_literal(service)}:{port}"
    answer = client.run(*_CURL, "-X", "POST", "--data-binary", "synthetic", f"{url}/jobs/createstudy")
    job = f"/jobs/createstudy/{json.loads(answer)['job']}"
    client.run(*_CURL, f"{url}{job}")
    client.run(*_CURL, f"{url}/studies?studyuid=2.25.1")
    whats = ("POST /jobs/createstudy", f"GET {job}", "GET /studies")
    return Expected("job, its state, query", whats, one_server=True)


def _http(client: Client, service: VirtualService, port: int) -> Expected:
    """Two visits of one browser, which keeps the cookie that the first one got."""
    jar = client.scratch / f"{uuid.uuid4().hex}.jar"
    url = f"http://{_literal(service)}:{port}/"
    for _ in range(2):
        client.run(*_CURL, "--cookie", str(jar), "--cookie-jar", str(jar), url)
    one_server = service.persistence is not None
    return Expected("2 visits, 1 cookie", ("GET /", "GET /"), one_server=one_server)


def _generic(client: Client, service: VirtualService, port: int) -> Expected:
    kind = "udp" if service.protocol is Protocol.UDP else "tcp"
    own = (sys.executable, "-m", "willis.lab.sender", kind, str(service.vip), str(port))
    client.run(*own, stdin=b"willis")
    return Expected(f"{kind.upper()} echo", ("datagram" if kind == "udp" else "echo",))


_CURL = ("curl", "--silent", "--show-error", "--fail", "--max-time", "30")

_ACTS: dict[Application, Act] = {
    Application.DICOM: _dicom,
    Application.MWL: _mwl,
    Application.HL7: _hl7,
    Application.MINT: _mint,
    Application.HTTP: _http,
    Application.GENERIC: _generic,
}


def _study(twin: Twin, machine: str, service: VirtualService) -> int:
    """A study number of its own for each pair of client and service."""
    names: Sequence[str] = [each.name for each in twin.config.services]
    machines = [each.name for each in twin.blueprint.machines]
    return names.index(service.name) * 4 + machines.index(machine)


def _literal(service: VirtualService) -> str:
    return f"[{service.vip}]" if service.vip.version == 6 else str(service.vip)
