"""From a question to the look that asks it."""

from __future__ import annotations

import time

from willis.health import command, dicom, dns, hl7, http, ping, talk, tcp
from willis.health.trust import Trust
from willis.model.check import (
    Check,
    CheckKind,
    Command,
    Dicom,
    Dns,
    Fixed,
    HalfOpen,
    Hl7,
    Hl7Connect,
    Http,
    Ping,
    Target,
    TcpTalk,
)
from willis.model.status import Verdict
from willis.plan.verdict import Result


class Looks:
    """All kinds of looks. ``trust`` is what their TLS relies on."""

    def __init__(self, trust: Trust | None = None) -> None:
        self._trust = trust or Trust()

    async def look(self, target: Target, check: Check) -> Result:
        """One look at ``target``, asking its light question. Never raises."""
        match target.question:
            case HalfOpen() | Hl7Connect():
                return await tcp.look(target, check)
            case Dicom():
                return await dicom.look(target, check, self._trust)
            case Http():
                return await http.look(target, check, self._trust)
            case Hl7():
                return await hl7.look(target, check, self._trust)
            case TcpTalk():
                return await talk.look(target, check, self._trust)
            case Ping():
                return await ping.look(target, check)
            case Dns():
                return await dns.look(target, check)
            case Command():
                return await command.look(target, check)
            case Fixed():
                return _fixed(target)


def _fixed(target: Target) -> Result:
    if target.kind is CheckKind.ON:
        return Result(time.time(), Verdict.UP, "counts as up: its check asks nobody", kind=CheckKind.ON)
    return Result(time.time(), Verdict.DEAD, "counts as down: its check asks nobody", kind=CheckKind.OFF)
