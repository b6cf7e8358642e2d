"""What a check asks, in words."""

from __future__ import annotations

import pytest

from willis.model.check import (
    CheckKind,
    Command,
    CommandAsk,
    Dicom,
    DicomAsk,
    Dns,
    DnsAsk,
    Fixed,
    HalfOpen,
    Hl7,
    Hl7Ask,
    Http,
    HttpAsk,
    Ping,
    Query,
    Question,
    Talk,
    TcpTalk,
)
from willis.model.proxy import ServerTls
from willis.plan.asks import asks


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (HalfOpen(), "a TCP handshake, never completed"),
        (TcpTalk(), "a TCP connection"),
        (TcpTalk(Talk(send="secret")), "a TCP connection and an exchange of bytes"),
        (Ping(), "an ICMP echo"),
        (Http(ask=HttpAsk(path="/health?token=secret")), "GET /health"),
        (Http(CheckKind.HTTPS), "GET / over TLS"),
        (Http(CheckKind.FHIR), "the FHIR capabilities"),
        (Dicom(ask=DicomAsk("ARCHIVE")), "C-ECHO from WILLIS to ARCHIVE"),
        (
            Dicom(CheckKind.DICOM_FIND, DicomAsk("ARCHIVE", query=Query.STUDY), ServerTls()),
            "C-FIND (study) from WILLIS to ARCHIVE over TLS",
        ),
        (Hl7(Hl7Ask("QBP^Q22^QBP_Q21")), "HL7 QBP^Q22^QBP_Q21 by MLLP"),
        (Dns(DnsAsk("pacs.example.org")), "DNS A pacs.example.org"),
        (Command(CommandAsk("/usr/local/bin/ask", ("secret",))), "the program /usr/local/bin/ask"),
        (Fixed(CheckKind.OFF), "nobody: always off"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_one_line_says_it_without_what_may_be_secret(question: Question, said: str) -> None:
    assert asks(question) == said
