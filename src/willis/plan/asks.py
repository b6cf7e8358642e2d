"""What a check asks, in one line for people. Pure. Queries and what programs get are left out."""

from __future__ import annotations

from willis.model.check import (
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
    Question,
    TcpTalk,
)

_DIMSE = {
    CheckKind.DICOM_ECHO: "C-ECHO",
    CheckKind.DICOM_FIND: "C-FIND",
    CheckKind.DICOM_STORE: "C-STORE",
}
_OF_IMAGING = {
    CheckKind.DICOMWEB: "a QIDO-RS query that finds nothing",
    CheckKind.MINT: "a MINT query that finds nothing",
    CheckKind.FHIR: "the FHIR capabilities",
}


def asks(question: Question) -> str:
    """Such as ``C-ECHO from WILLIS to ARCHIVE``."""
    match question:
        case HalfOpen() | Hl7Connect():
            return "a TCP handshake, never completed"
        case TcpTalk():
            said = question.talk.send is not None or question.talk.expect is not None
            return "a TCP connection" + _tls(question) + (" and an exchange of bytes" if said else "")
        case Ping():
            return "an ICMP echo"
        case Http():
            plain = f"{question.ask.method} {question.ask.path.partition('?')[0]}"
            return _OF_IMAGING.get(question.kind, plain) + _tls(question)
        case Dicom():
            ask = question.ask
            what = f" ({ask.query})" if question.kind is CheckKind.DICOM_FIND else ""
            return f"{_DIMSE[question.kind]}{what} from {ask.calling} to {ask.called}" + _tls(question)
        case Hl7():
            return f"HL7 {question.ask.message} by MLLP" + _tls(question)
        case Dns():
            return f"DNS {question.ask.type} {question.ask.name}"
        case Command():
            return f"the program {question.ask.program}"
        case Fixed():
            return f"nobody: always {question.kind}"


def _tls(question: TcpTalk | Http | Dicom | Hl7) -> str:
    return " over TLS" if question.tls is not None or question.kind is CheckKind.HTTPS else ""
