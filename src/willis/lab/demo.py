"""``willis lab demo``: the whole deployment in one go, with the evidence as a table.

Builds the twin, sends real traffic through every service from both clients and prints what
the hosts' ledgers prove. Then it stays up for whoever wants to look around, or, with
``--check``, leaves with a verdict. Nothing is left behind either way.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from rich.console import Console

from willis.lab import build, probe, show, traffic
from willis.lab.errors import LabError
from willis.lab.make import Order, make
from willis.lab.twin import Twin

Say = Callable[[str], None]

_NEXT = """
The twin is up. In another terminal try:

  willis status
  willis lab status{option}
  willis lab exec{option} client1 -- echoscu -v {vip} {port}
  willis drain {host}            then: willis online {host}
  willis lab kill{option} {host}         then: willis lab restore{option} {host}
  willis lab traffic{option}
"""


def run_demo(order: Order, *, check: bool, out: Console, say: Say) -> int:
    """Build, send, show, and take down again: at Ctrl-C or SIGTERM, or at once if ``check``.

    Returns 0 if all traffic arrived as it must, else 1. Raises LabError if there is no twin to speak of.
    """
    lacking = probe.missing_for_traffic()
    if lacking:
        raise LabError(f"The clients have no tools to send with. Missing: {'; '.join(lacking)}.")
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        twin = make(order, say)
        try:
            return _act(twin, check=check, out=out, say=say)
        finally:
            build.down(twin.name)
            say(f"twin {twin.name!r} is gone")
    finally:
        signal.signal(signal.SIGTERM, before)


def report(twin: Twin, out: Console, say: Say) -> bool:
    """Send the traffic and print the table. Whether everything arrived as it must."""
    say("sending DICOM, HL7 and HTTP traffic from both clients through every service")
    rows = traffic.send(twin)
    out.print(show.traffic(rows, out.width))
    good = sum(row.ok for row in rows)
    out.print(f"{good} of {len(rows)} exchanges proved by the hosts' ledgers")
    return good == len(rows)


def _act(twin: Twin, *, check: bool, out: Console, say: Say) -> int:
    good = report(twin, out, say)
    if not check:
        out.print(_next(twin), markup=False)
        _stay(say)
    return 0 if good else 1


def _stay(say: Say) -> None:
    say("Ctrl-C takes the twin down")
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        say("taking the twin down")


def _next(twin: Twin) -> str:
    service = twin.config.services[0]
    option = "" if twin.name == "twin" else f" --name {twin.name}"
    host = service.pool[0].host
    return _NEXT.format(option=option, vip=service.vip, port=service.ports[0], host=host)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
