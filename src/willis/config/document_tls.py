"""The part of the site document about TLS: towards clients, towards real servers, and ACME."""

from __future__ import annotations

from willis.config.document_alerts import EMAIL
from willis.config.fields import Key, Many, Record
from willis.config.scalars import Choice, Flag
from willis.config.words import AUTHORITY, COMMON_NAME, DOMAIN, STORED, URL
from willis.model.config import Acme, AcmeCertificate
from willis.model.proxy import ClientCertificates, ServerTls, Tls, TlsPolicy

TLS = Record(
    "TLS towards clients",
    (
        Key(
            "certificates",
            Many("certificate", STORED, most=12, bare=True),
            "Names in the certificate store, chosen by the host that a client asks for; the first is for "
            "the rest.",
            required=True,
        ),
        Key(
            "policy",
            Choice(TlsPolicy),
            "Mozilla's `modern` or `intermediate`, or DICOM's `bcp195` or `modified-bcp195`.",
            default="`intermediate`",
        ),
        Key(
            "clients",
            Record(
                "Client certificates",
                (
                    Key("authority", AUTHORITY, "Who signed them, by name in the store.", required=True),
                    Key("required", Flag(), "Refuse clients without one.", default="`true`"),
                    Key(
                        "names",
                        Many("common name", COMMON_NAME, most=256),
                        "Common names that may enter.",
                        default="any that the authority signed",
                    ),
                ),
                makes=ClientCertificates,
            ),
            "Clients must prove who they are.",
            default="none are asked for",
        ),
    ),
    makes=Tls,
)
SERVER_TLS = Record(
    "TLS towards real servers",
    (
        Key("authority", AUTHORITY, "Who signed theirs, by name in the store.", default="the system's"),
        Key("verify", Flag(), "Refuse servers that cannot prove who they are.", default="`true`"),
        Key("name", DOMAIN, "The name to ask for, and to find in the certificate.", default="the address"),
        Key("certificate", STORED, "What the node proves itself with.", default="none"),
    ),
    makes=ServerTls,
)

ACME = Record(
    "ACME",
    (
        Key("directory", URL, "The authority's URL.", required=True),
        Key("contact", EMAIL, "Whom the authority may write to.", default="nobody"),
        Key("authority", AUTHORITY, "Who signed the directory's own certificate.", default="the system's"),
        Key(
            "certificates",
            Many(
                "certificate",
                Record(
                    "Certificate",
                    (
                        Key("name", STORED, "Its name in the store.", required=True),
                        Key(
                            "domains",
                            Many("domain", DOMAIN, most=100, bare=True),
                            "The host names that it is for.",
                            required=True,
                        ),
                    ),
                    makes=AcmeCertificate,
                ),
                most=256,
            ),
            "What is ordered, and renewed in time.",
            required=True,
        ),
    ),
    makes=Acme,
)
