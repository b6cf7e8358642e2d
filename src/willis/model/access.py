"""Access: what one request, connection or association was, as the proxy saw it. Nothing of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AccessKind(StrEnum):
    """What a line is about. ``refused``: no connection came of it, as when a TLS handshake fails."""

    HTTP = "http"
    TCP = "tcp"
    DICOM = "dicom"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Access:
    """One line of the access log. What a kind does not have is None."""

    kind: AccessKind
    service: str
    at: float
    """Seconds since the epoch at which it ended."""
    client: str
    """The client's address."""
    ended: str
    """How, in a few words: ``complete``, or who ended it and when."""
    ok: bool
    """Whether client, proxy and server all did their part."""
    pool: str | None = None
    """The service whose pool was chosen; its own, unless a rule or a route led elsewhere."""
    host: str | None = None
    """The real server's; None: none was reached."""
    duration_ms: int = 0
    """HTTP: from the request's first byte to the answer's last. Else as long as the connection lasted."""
    queued_ms: int | None = None
    """In a queue for a place at a server; None: it never came so far."""
    connect_ms: int | None = None
    """Until the server took the connection."""
    response_ms: int | None = None
    """HTTP: until the server began to answer."""
    bytes_in: int = 0
    """From the client."""
    bytes_out: int = 0
    """To the client."""
    tls: str | None = None
    """The version spoken with the client, such as ``TLSv1.3``."""
    method: str | None = None
    path: str | None = None
    """Without the query; parts that may name a patient, a study or a user are stars."""
    status: int | None = None
    version: str | None = None
    """The request's, such as ``HTTP/2.0``."""
    calling: str | None = None
    """AE title."""
    called: str | None = None
    """AE title."""
    answers_ok: int | None = None
    """DIMSE responses with a status of success, pending or warning (PS3.7, annex C)."""
    answers_bad: int | None = None
    """All others."""
    last_bad: str | None = None
    """The last other status, four hexadecimal digits."""
