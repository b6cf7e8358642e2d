"""HL7: a message by MLLP with a fresh control id, and the acknowledgement that names it.

Any acknowledgement proves that the receiver reads and parses: a query for somebody who does
not exist may well get AE. Some receivers repeat old acknowledgements; those are passed over.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from willis.health.faults import Ended
from willis.health.trust import Trust
from willis.health.wire import Wire, ask
from willis.model.check import Check, Hl7, Hl7Ask, Target
from willis.model.status import Verdict
from willis.plan.verdict import Result
from willis.protocols import hl7
from willis.protocols.mllp import Deframer, frame

_TRAINING = "T"
_NOBODY = "WILLIS-CHECK-NONE"


async def look(target: Target, check: Check, trust: Trust) -> Result:
    """One message. Never raises."""
    question = target.question
    assert isinstance(question, Hl7)  # noqa: S101 - chosen by its class

    async def talk(wire: Wire) -> Ended:
        return await _exchange(wire, question.ask)

    return await ask(target, check, trust, question.tls, talk, "HL7 by MLLP")


async def _exchange(wire: Wire, wanted: Hl7Ask) -> Ended:
    control_id = f"W{secrets.token_hex(8).upper()}"
    message = wanted.message or ""
    wire.send(frame(_message(wanted, control_id)), f"{message} {control_id}", f"the ACK of {message}")
    deframer = Deframer()
    while data := await wire.receive():
        for answer in deframer.feed(data):
            found = hl7.acknowledgement(answer)
            if found.control_id not in (control_id, ""):
                wire.heard(f"{found.code} for another message")
                continue
            wire.heard(f"{found.code} {found.control_id}".rstrip())
            said = "" if found.accepted else f" with {found.code}"
            return Ended(Verdict.UP, f"acknowledges {message}{said}")
    return wire.closed()


def _message(wanted: Hl7Ask, control_id: str) -> bytes:
    head = hl7.Header(
        wanted.sending_application,
        wanted.sending_facility,
        wanted.receiving_application,
        wanted.receiving_facility,
        wanted.message or "",
        control_id,
        _TRAINING,
        wanted.version,
    )
    at = datetime.now().astimezone().strftime("%Y%m%d%H%M%S")
    return hl7.message(head, at, wanted.segments or _query(control_id))


def _query(control_id: str) -> tuple[str, ...]:
    """QBP^Q22 (find candidates) for an identifier that nobody has (HL7 2.5, 3.3.57)."""
    return (f"QPD|Q22^Find Candidates^HL7|{control_id}|@PID.3.1^{_NOBODY}", "RCP|I|1^RD")
