"""The shapes of the main answers, which scripts rely on: new fields may come, these stay.

They describe the answers in the contract; a test holds real answers against them. Times are
seconds since the epoch.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # of 3.12 and later, which pydantic asks for

from willis.api.answers_certificates import CERTIFICATES


class ProblemRow(TypedDict):
    """One fault of a document or a body."""

    path: str
    pointer: str | None
    line: int
    severity: Literal["error", "warning"]
    what: str
    remedy: str


class FailureBody(TypedDict):
    """A problem (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    problems: NotRequired[list[ProblemRow]]
    request_id: str


class Validated(TypedDict):
    """Whether a document is good."""

    ok: bool
    problems: list[ProblemRow]


class Sessions(TypedDict):
    """Connections of a service."""

    active: int
    total: int


class ServerSessions(Sessions):
    """Connections of a real server; ``longest_s`` only where one service is asked for."""

    longest_s: float | None


# ``in`` is no name in Python, so the class form cannot have it.
InOut = TypedDict("InOut", {"in": int, "out": int | None})
"""Bytes; ``out`` is unknown where answers do not pass the node."""


class Fallback(TypedDict):
    """The server that serves when no member takes new connections."""

    host: str
    in_use: bool


class ServerRow(TypedDict):
    """A real server in its pool."""

    host: str
    address: str
    port: int
    weight: int
    admin: Literal["online", "drain", "halt"]
    until: float | None
    halt_when_idle: bool
    verdict: str
    standing: Literal["open", "drain", "down"]
    by_floor: bool
    away: bool
    full: bool
    weight_now: int
    reason: str
    since: float
    sessions: ServerSessions


class ServiceRow(TypedDict):
    """A virtual service."""

    name: str
    vip: str
    ports: list[int]
    protocol: str
    application: str
    forwarding: str
    state: Literal["up", "degraded", "down"]
    fallback: Fallback | None
    sessions: Sessions
    bytes: InOut
    servers: list[ServerRow]


class EngineRow(TypedDict):
    """A data plane, and whether it has taken what is known."""

    name: str
    ok: bool
    settled: NotRequired[bool]
    sentence: str
    alarms: list[str]


class TrialRow(TypedDict):
    """A change that waits to be confirmed."""

    revision: int
    base: int
    author: str
    until: float


class StatusAnswer(TypedDict):
    """The state of the site."""

    revision: int | None
    trial: TrialRow | None
    node: str
    role: str
    site: str
    engines: list[EngineRow]
    services: list[ServiceRow]


class ImpactRow(TypedDict):
    """What becomes of a service's sessions: ``sessions`` were open, ``drops`` of them are cut, and why."""

    service: str
    effect: Literal["none", "new-sessions", "drops"]
    sessions: int
    drops: int
    why: str


class ChangeRow(TypedDict):
    """What an engine changes. ``diff``: in lines, texts as ``diff -u`` prints them."""

    engine: str
    key: str
    action: Literal["create", "update", "delete"]
    how: Literal["reload", "at run time"]
    diff: list[str]


class GuardRow(TypedDict):
    """Whether the plan may be applied without ``force``, and why."""

    ok: bool
    reason: str


class PlanAnswer(TypedDict):
    """What applying a document would do to the revision ``base``. ``document``: how it differs, in lines."""

    base: int | None
    checksum: str
    impact: list[ImpactRow]
    changes: list[ChangeRow]
    document: list[str]
    guard: GuardRow
    problems: list[ProblemRow]


class AppliedAnswer(TypedDict):
    """What runs now. ``changed``: whether it is another document than before."""

    revision: int
    digest: str
    confirm_until: float | None
    changed: bool
    impact: list[ImpactRow]


class RevisionRow(TypedDict):
    """One version of the document."""

    revision: int
    digest: str
    at: float
    author: str
    reason: str
    state: Literal["candidate", "running", "former", "refused"]
    note: str


class HistoryAnswer(TypedDict):
    """Revisions, newest first."""

    revisions: list[RevisionRow]
    next_cursor: str | None


class EventRow(TypedDict):
    """Something out of the ordinary."""

    number: int
    severity: Literal["info", "warning", "error"]
    about: str
    what: str
    since: float
    ended: float | None
    times: int
    state: Literal["open", "ended"]


class EventsAnswer(TypedDict):
    """Events, newest first."""

    events: list[EventRow]
    next_cursor: str | None


class AuditRow(TypedDict):
    """Who did what."""

    number: int
    at: float
    who: str
    author: str
    source: str
    action: str
    about: str
    reason: str
    before: str
    after: str
    result: str
    request_id: str
    chain: str


class AuditAnswer(TypedDict):
    """Entries, oldest first; the next page is older."""

    entries: list[AuditRow]
    next_cursor: str | None


class QuestionRow(TypedDict):
    """A deep question, asked after so many light ones."""

    kind: str
    asks: str
    every: int


class LookRow(TypedDict):
    """A look at a server."""

    at: float
    kind: str
    ok: bool
    took_ms: float
    decoded: str


class StepRow(TypedDict):
    """One line of a look's transcript. It names no patient."""

    after_ms: float
    sent: bool
    what: str


class WholeLookRow(LookRow):
    """A look with all that was said."""

    sent: str
    received: str
    transcript: list[StepRow]


class AskedLookRow(WholeLookRow):
    """A look that somebody asked for, and what it alone says of the server."""

    verdict: str


class ExplainAnswer(TypedDict):
    """Why a server takes connections, or does not; the last looks, newest first."""

    service: str
    host: str
    verdict: str
    admin: Literal["online", "drain", "halt"]
    sentence: str
    advice: str
    log_lines_a_day: int
    checks: list[WholeLookRow]


class AskedAnswer(TypedDict):
    """Every question of a check, asked now. ``verdict`` is what it was."""

    service: str
    host: str
    ok: bool
    verdict: str
    log_lines_a_day: int
    checks: list[AskedLookRow]


class CheckedServerRow(TypedDict):
    """A real server as its check sees it. No port: the question has none."""

    host: str
    address: str
    port: int | None
    deep_port: int | None
    verdict: str
    reason: str
    since: float
    last: LookRow | None


class CheckAnswer(TypedDict):
    """What is asked of a service's servers; the log lines are an estimate for one of them."""

    service: str
    kind: str
    asks: str
    interval_s: float
    timeout_s: float
    rise: int
    fall: int
    deep: QuestionRow | None
    log_lines_a_day: int
    servers: list[CheckedServerRow]


class ChecksAnswer(TypedDict):
    """The checks of all services that one may read."""

    checks: list[CheckAnswer]


class OrderedSessions(TypedDict):
    """Connections that a drain or halt meets."""

    active: int
    longest_s: float | None


class OrderAnswer(TypedDict):
    """What an order touched."""

    where: str
    admin: Literal["online", "drain", "halt"]
    until: float | None
    services: list[str]
    without_servers: list[str]
    sessions: OrderedSessions | None


_V1 = "/api/v1"
_ENTRIES = (f"{_V1}/services/{{service}}", f"{_V1}/hosts/{{host}}")
ANSWERS: dict[tuple[str, str], Any] = {
    ("GET", f"{_V1}/status"): StatusAnswer,
    ("GET", f"{_V1}/status/{{service}}"): StatusAnswer,
    ("GET", f"{_V1}/checks"): ChecksAnswer,
    ("GET", f"{_V1}/checks/{{service}}"): CheckAnswer,
    ("POST", f"{_V1}/validate"): Validated,
    ("POST", f"{_V1}/plan"): PlanAnswer,
    ("POST", f"{_V1}/apply"): AppliedAnswer,
    ("PUT", f"{_V1}/config"): AppliedAnswer,
    **{(method, path): AppliedAnswer for method in ("PUT", "DELETE") for path in _ENTRIES},
    ("POST", f"{_V1}/confirm"): AppliedAnswer,
    ("POST", f"{_V1}/undo"): AppliedAnswer,
    ("POST", f"{_V1}/revisions/{{number}}/restore"): AppliedAnswer,
    ("GET", f"{_V1}/history"): HistoryAnswer,
    ("GET", f"{_V1}/events"): EventsAnswer,
    ("GET", f"{_V1}/audit"): AuditAnswer,
    ("POST", f"{_V1}/drain"): OrderAnswer,
    ("POST", f"{_V1}/halt"): OrderAnswer,
    ("POST", f"{_V1}/online"): OrderAnswer,
    ("GET", f"{_V1}/explain/{{service}}/{{host}}"): ExplainAnswer,
    ("POST", f"{_V1}/check/{{service}}/{{host}}"): AskedAnswer,
    **CERTIFICATES,
}
"""By method and path."""
