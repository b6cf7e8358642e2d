"""Plain TCP with a full connect: what the site wants said, and what must come back."""

from __future__ import annotations

import re

from willis.health.faults import Ended, where
from willis.health.trust import Trust
from willis.health.wire import Wire, ask
from willis.model.check import Check, Talk, Target, TcpTalk
from willis.model.status import Verdict
from willis.plan.verdict import Result

_MOST = 4096
_ESCAPE = re.compile(r"\\(?:([rnt0\\])|x([0-9A-Fa-f]{2}))")
_PLAIN = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


async def look(target: Target, check: Check, trust: Trust) -> Result:
    """One connection. Never raises."""
    question = target.question
    assert isinstance(question, TcpTalk)  # noqa: S101 - chosen by its class

    async def talk(wire: Wire) -> Ended:
        return await _exchange(wire, question.talk)

    return await ask(target, check, trust, question.tls, talk, "what the check expects")


def unescaped(text: str) -> bytes:
    r"""The bytes of a text with ``\r \n \t \0 \\ \xHH``."""
    plain = _ESCAPE.sub(lambda m: _PLAIN[m[1]] if m[1] else chr(int(m[2], 16)), text)
    return plain.encode("latin-1")


async def _exchange(wire: Wire, wanted: Talk) -> Ended:
    if wanted.send is not None:
        data = unescaped(wanted.send)
        wire.send(data, f"{len(data)} bytes", "the text that is expected")
    if wanted.expect is None:
        return Ended(Verdict.UP, "accepts connections")
    wire.awaited = "the text that is expected"
    expected, got = unescaped(wanted.expect), b""
    while len(got) < _MOST and (data := await wire.receive()):
        got += data
        if expected in got[:_MOST]:
            wire.heard(f"{len(got)} bytes with what is expected")
            return Ended(Verdict.UP, "answers as expected")
    if not got:
        return wire.closed()
    wire.heard(f"{len(got)} bytes without what is expected")
    return Ended(Verdict.FAILING, f"{where(wire.target)} answers, but not what tcp.expect says")
