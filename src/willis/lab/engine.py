"""The node's engine as the twin sees it: a subprocess and its REST on a unix socket."""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from willis.lab import hosts, processes
from willis.lab.blueprint import NODE
from willis.lab.errors import LabError
from willis.lab.twin import Twin

Json = dict[str, Any]

_ANSWER_S = 60.0
_READY_S = 30.0
_UP_S = 60.0
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""httpx reads all of the system's authorities for each client that is given none."""


def start(twin: Twin) -> None:
    """Start the engine and wait until its socket answers. Raises LabError with the end of its log."""
    home = twin.directory / NODE
    for directory in (home, home / "run", home / "state"):
        directory.mkdir(mode=0o700, exist_ok=True)
    argv = [*twin.enter(NODE), sys.executable, "-m", "willis", "engine", "--node", NODE]
    argv += ["--run-dir", str(home / "run"), "--state-dir", str(home / "state")]
    argv += ["--layer4", "haproxy"] if twin.light else ["--pin-dir", str(home / "bpf" / "willis")]
    process = processes.start(argv, twin.environment(NODE, "engine"), _log(twin))
    _wait_for_answer(twin, process)


def deploy(twin: Twin) -> None:
    """Apply the twin's document and wait until every service is up and carried. Raises LabError."""
    body = {"document": twin.document, "author": "twin", "reason": "the twin was built"}
    answer = _ask(twin.socket, "POST", "/apply", body)
    if not answer.is_success:
        raise LabError(f"The engine refused the document: {_detail(answer)}\n{hosts.tail(_log(twin))}")
    deadline = time.monotonic() + _UP_S
    while missing := _not_up(twin.socket):
        if time.monotonic() > deadline:
            rows = "\n".join(f"  {row}" for row in missing)
            raise LabError(
                f"After {_UP_S:.0f} s not every service is up:\n{rows}\nThe engine's log ends with:\n"
                f"{hosts.tail(_log(twin))}"
            )
        time.sleep(0.1)


def status(socket: Path) -> Json:
    """The node's status. Raises LabError if no engine answers."""
    answer = _ask(socket, "GET", "/status", None)
    if not answer.is_success:
        raise LabError(f"The engine does not tell its status: {_detail(answer)}")
    content: Json = answer.json()
    return content


def _wait_for_answer(twin: Twin, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        code = process.poll()
        if code is not None:
            raise LabError(f"The engine ended with code {code}. Its log:\n{hosts.tail(_log(twin))}")
        try:
            status(twin.socket)
        except LabError as error:
            if time.monotonic() > deadline:
                raise LabError(f"{error} Its log ends with:\n{hosts.tail(_log(twin))}") from error
            time.sleep(0.1)
        else:
            return


def _not_up(socket: Path) -> list[str]:
    """A sentence for each service that is not up yet, and for each engine that does not carry it yet."""
    report = status(socket)
    return [
        f"{row['name']} is {row['state']}: "
        + "; ".join(f"{s['host']} {s['verdict']} ({s['reason']})" for s in row["servers"])
        for row in report["services"]
        if row["state"] != "up"
    ] + [f"{row['sentence']}, not settled yet" for row in report["engines"] if not row["settled"]]


def _ask(socket: Path, method: str, route: str, body: Json | None) -> httpx.Response:
    try:
        transport = httpx.HTTPTransport(uds=str(socket), verify=_NO_TLS)
        with httpx.Client(transport=transport, timeout=_ANSWER_S) as client:
            return client.request(method, f"http://engine/api/v1{route}", json=body)
    except httpx.HTTPError as error:
        raise LabError(f"No engine answers at {socket} ({error}).") from error


def _detail(answer: httpx.Response) -> str:
    try:
        content = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code}"
    problems = "".join(f"\n  {p['path']}: {p['what']} {p['remedy']}" for p in content.get("problems", ()))
    return f"{content.get('detail', content)}{problems}"


def _log(twin: Twin) -> Path:
    return twin.directory / NODE / "engine.log"
