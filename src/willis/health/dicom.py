"""DICOM: one association, one question (C-ECHO, C-FIND or C-STORE), and a release.

Each way to say no means something else, and the remedy is in the sentence: a transient
rejection is *busy*; an AE title that is not known is *misconfigured*; a status of failure is
*failing*; silence after the connection is *hung*. Nothing of a data set is kept or told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from willis.health.faults import Ended, where
from willis.health.trust import Trust
from willis.health.wire import Wire, ask
from willis.model.check import Check, CheckKind, Dicom, Query, Target
from willis.model.status import Verdict
from willis.plan.verdict import Result
from willis.protocols.dicom import dataset, dimse
from willis.protocols.dicom.dimse import RESPONSE, Assembler, Command, Field, status_words
from willis.protocols.dicom.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Context,
    Data,
    Parser,
    Pdu,
    ReleaseReply,
    ReleaseRequest,
    encode,
)
from willis.protocols.error import ProtocolError

_CONTEXT = 1
_MESSAGE = 1
_LARGEST = 1 << 17
"""Bytes of the largest PDU that is read."""
_RELEASE_S = 0.5
"""How long a server that has answered may take to release."""
_LOW = 0x0002
_KEPT = 256
"""Encoded messages, which are the same for every look with a question. Peers choose the size of PDUs."""
_RELEASE = encode(ReleaseRequest())
_MOST_MATCHES = 10
"""Answers that a server may have under way when it is told to stop."""

_TRANSIENT = 2
_USER, _ACSE, _PRESENTATION = 1, 2, 3
_CALLING_UNKNOWN, _CALLED_UNKNOWN = 3, 7
_REASONS = {
    (_USER, 1): "no reason given",
    (_USER, 2): "application context name not supported",
    (_USER, _CALLING_UNKNOWN): "calling AE title not recognized",
    (_USER, _CALLED_UNKNOWN): "called AE title not recognized",
    (_ACSE, 1): "no reason given",
    (_ACSE, 2): "protocol version not supported",
    (_PRESENTATION, 1): "temporary congestion",
    (_PRESENTATION, 2): "local limit exceeded",
}
_UNWILLING = (0x0122, 0x0124, 0x0210, 0x0211, 0x0212, 0x0118)
"""Statuses that refuse what is asked, whatever state the server is in."""
_OUT_OF_REACH = {1: "user rejection", 2: "no reason", 3: "abstract syntax", 4: "transfer syntaxes"}


@dataclass(frozen=True, slots=True)
class _Act:
    """What a kind of check says in its association."""

    name: str
    field: Field
    sop_class: str
    service: str
    """What the SOP class is, in a sentence."""
    data: Callable[[], bytes] | None = None
    instance: str | None = None


_ECHO = _Act("C-ECHO", Field.ECHO, dataset.VERIFICATION, "verification")
_STORE = _Act(
    "C-STORE",
    Field.STORE,
    dataset.SECONDARY_CAPTURE,
    "storage of secondary captures",
    dataset.probe_object,
    dataset.PROBE_INSTANCE,
)
_FINDS = {
    Query.WORKLIST: _Act(
        "C-FIND", Field.FIND, dataset.WORKLIST_FIND, "the modality worklist", dataset.worklist_query
    ),
    Query.STUDY: _Act(
        "C-FIND", Field.FIND, dataset.STUDY_FIND, "queries at the study root", dataset.study_query
    ),
}


async def look(target: Target, check: Check, trust: Trust) -> Result:
    """One association. Never raises."""
    question = target.question
    assert isinstance(question, Dicom)  # noqa: S101 - chosen by its class

    async def talk(wire: Wire) -> Ended:
        return await _Association(wire, question).run()

    return await ask(target, check, trust, question.tls, talk, "DICOM")


def _act(question: Dicom) -> _Act:
    if question.kind is CheckKind.DICOM_FIND:
        return _FINDS[question.ask.query]
    return _STORE if question.kind is CheckKind.DICOM_STORE else _ECHO


@lru_cache(_KEPT)
def _message(act: _Act, largest: int) -> bytes:
    """The command with its data set, in PDUs that the peer takes."""
    command = Command(
        act.field,
        _MESSAGE,
        sop_class=act.sop_class,
        sop_instance=act.instance,
        priority=None if act.field is Field.ECHO else _LOW,
        has_data=act.data is not None,
    )
    data = b"" if act.data is None else act.data()
    return b"".join(map(encode, dimse.fragments(_CONTEXT, command, data, largest)))


@lru_cache(_KEPT)
def _request(called: str, calling: str, sop_class: str) -> bytes:
    """A-ASSOCIATE-RQ."""
    context = Context(_CONTEXT, sop_class, (dataset.IMPLICIT_LITTLE_ENDIAN,))
    return encode(AssociateRequest(called, calling, (context,)))


@dataclass(slots=True)
class _Association:
    """An association with a server."""

    wire: Wire
    question: Dicom
    parser: Parser = field(default_factory=lambda: Parser(_LARGEST))
    waiting: list[Pdu] = field(default_factory=list)
    """PDUs that came together with one that was asked for."""
    assembler: Assembler = field(default_factory=Assembler)
    commands: list[Command] = field(default_factory=list)

    async def run(self) -> Ended:
        act = _act(self.question)
        largest = await self._associate(act)
        end = self.wire.judge(await self._ask(act, largest))
        await self._release()
        return end

    async def _associate(self, act: _Act) -> int:
        """The peer's largest PDU. Raises Ended if there is no association for ``act``."""
        ask = self.question.ask
        said = f"A-ASSOCIATE-RQ {ask.calling} calling {ask.called}"
        self.wire.send(_request(ask.called, ask.calling, act.sop_class), said, "A-ASSOCIATE-AC")
        answer = await self._next()
        if isinstance(answer, AssociateReject):
            raise self._rejected(answer)
        if not isinstance(answer, AssociateAccept):
            raise ProtocolError(f"{type(answer).__name__} came instead of A-ASSOCIATE-AC")
        self.wire.heard("A-ASSOCIATE-AC")
        result = next((a for a in answer.answers if a.number == _CONTEXT), None)
        if result is None or result.result != 0:
            end = self.wire.judge(self._not_offered(act, 2 if result is None else result.result))
            await self._release()
            raise end
        return answer.largest

    async def _ask(self, act: _Act, largest: int) -> Ended:
        self.wire.send(_message(act, largest), f"{act.name}-RQ", f"{act.name}-RSP")
        self.wire.asks_database = act.field is Field.FIND
        for match in range(_MOST_MATCHES):
            status = await self._answer(act)
            self.wire.heard(f"{act.name}-RSP {status_words(status)}")
            if not dimse.is_pending(status):
                return self._judged(act, status)
            if match == 0:
                cancel = Command(Field.CANCEL, responded_id=_MESSAGE)
                raw = b"".join(map(encode, dimse.fragments(_CONTEXT, cancel, b"", largest)))
                self.wire.send(raw, "C-CANCEL-RQ", f"{act.name}-RSP")
        return Ended(Verdict.UP, f"answers {act.name}, and matches what should match nothing")

    async def _answer(self, act: _Act) -> int:
        while not self.commands:
            pdu = await self._next()
            if not isinstance(pdu, Data):
                raise ProtocolError(f"{type(pdu).__name__} came instead of {act.name}-RSP")
            self.commands += [command for _, command in self.assembler.feed(pdu)]
        command = self.commands.pop(0)
        if command.field != act.field | RESPONSE or command.status is None:
            raise ProtocolError(f"command {command.field:04X} came instead of {act.name}-RSP")
        return command.status

    async def _next(self) -> Pdu:
        while not self.waiting:
            data = await self.wire.receive()
            if not data:
                raise self.wire.closed()
            self.waiting += self.parser.feed(data)
        pdu = self.waiting.pop(0)
        if isinstance(pdu, Abort):
            by = "its upper layer" if pdu.source == 2 else "the application"
            self.wire.heard(f"A-ABORT by {by}, reason {pdu.reason}")
            place = where(self.wire.target)
            raise Ended(Verdict.DEAD, f"{place} aborts the association instead of {self.wire.awaited}")
        return pdu

    async def _release(self) -> None:
        """Part politely. A server that has answered is not judged by how it parts."""
        try:
            self.wire.send(_RELEASE, "A-RELEASE-RQ", "A-RELEASE-RP")
            async with asyncio.timeout(_RELEASE_S):
                while not isinstance(await self._next(), ReleaseReply):
                    pass
            self.wire.heard("A-RELEASE-RP")
        except (TimeoutError, OSError, ProtocolError, Ended):
            return

    def _rejected(self, answer: AssociateReject) -> Ended:
        place, ask = where(self.wire.target), self.question.ask
        why = _REASONS.get((answer.source, answer.reason), f"source {answer.source}, reason {answer.reason}")
        transient = answer.result == _TRANSIENT
        self.wire.heard(f"A-ASSOCIATE-RJ {'transient' if transient else 'permanent'}: {why}")
        if transient or answer.source == _PRESENTATION:
            return Ended(Verdict.BUSY, f"{place} takes no further association for now: {why}")
        if (answer.source, answer.reason) == (_USER, _CALLED_UNKNOWN):
            told = (
                f"{place} refuses {ask.calling} calling {ask.called}: it does not go by the AE title "
                f"{ask.called}; set dicom.called to the server's own"
            )
        elif (answer.source, answer.reason) == (_USER, _CALLING_UNKNOWN):
            told = (
                f"{place} refuses {ask.calling} calling {ask.called}: it is alive, but does not know the AE "
                f"title {ask.calling}; add it with this node's address to the server's list, or set "
                "dicom.calling to one that it knows"
            )
        else:
            told = f"{place} refuses {ask.calling} calling {ask.called} for good: {why}"
        return Ended(Verdict.MISCONFIGURED, told)

    def _not_offered(self, act: _Act, result: int) -> Ended:
        why = _OUT_OF_REACH.get(result, f"result {result}")
        return Ended(
            Verdict.MISCONFIGURED,
            f"{where(self.wire.target)} accepts the association but does not offer {act.service} ({why}); "
            "use another kind of check or dicom.query",
        )

    def _judged(self, act: _Act, status: int) -> Ended:
        if status == dimse.SUCCESS or (act.field is Field.FIND and status == 0xFE00):
            return Ended(Verdict.UP, f"answers {act.name}")
        said = f"{where(self.wire.target)} answers {act.name} with {status_words(status)}"
        if act.field is Field.STORE and status & 0xF000 == 0xB000:
            return Ended(Verdict.UP, f"answers {act.name} with a warning")
        if act.field is Field.ECHO and dimse.is_out_of_resources(status):
            return Ended(Verdict.BUSY, said)
        if status in _UNWILLING or status & 0xFE00 == 0xA800:
            return Ended(Verdict.MISCONFIGURED, f"{said}; compare the server's settings with the check's")
        if act.field is Field.STORE and dimse.is_out_of_resources(status):
            return Ended(Verdict.FAILING, f"{said}: it cannot store; look at its disk")
        if act.field is Field.FIND:
            return Ended(Verdict.FAILING, f"{said}: its port is open, but its database does not answer")
        return Ended(Verdict.FAILING, said)
