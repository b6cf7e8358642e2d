"""The part of the document that says who gets the audit trail."""

from __future__ import annotations

from willis.config.document_alerts import AUTHORITY, SERVER
from willis.config.fields import Key, Many, Record
from willis.config.scalars import Choice, Name
from willis.config.words import PORT
from willis.model.collector import AuditCollector, AuditFormat

COLLECTOR = Record(
    "Audit collector",
    (
        Key("server", SERVER, "The collector: syslog over TLS (RFC 5425).", required=True),
        Key("port", PORT, "Its port.", default="`6514`"),
        Key(
            "format",
            Choice(AuditFormat),
            "A JSON object, or an audit message of DICOM PS3.15 A.5 as IHE ATNA wants it.",
            default="`json`",
        ),
        AUTHORITY,
        Key(
            "certificate",
            Name("certificate"),
            "What Willis proves itself with: a name in the store.",
            default="nothing",
        ),
    ),
    short="server",
    makes=AuditCollector,
)
AUDIT = Many("collector", COLLECTOR, most=4, bare=True)
