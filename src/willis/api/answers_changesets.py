"""The shapes of the answers about change sets. Times are seconds since the epoch."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from willis.api.answers import AppliedAnswer, PlanAnswer, ProblemRow


class ChangeSetRow(TypedDict):
    """A change set. ``base``: the revision that it was begun on; ``staged``: how many edits it has."""

    changeset: int
    author: str
    reason: str
    since: float
    base: int
    staged: int


class ChangeSetsAnswer(TypedDict):
    """Those that wait to be applied, oldest first."""

    changesets: list[ChangeSetRow]
    next_cursor: str | None


class BroughtRow(TypedDict):
    """A revision and who brought it."""

    revision: int
    etag: str
    author: str
    at: float


class EditRow(TypedDict):
    """An entry as it was and as it shall be; null: there is none."""

    section: str
    name: str
    pointer: str
    was: Any
    value: Any


class ConflictRow(TypedDict):
    """An entry that the change set and somebody else changed; ``by``: the revision that brought theirs."""

    section: str
    name: str
    pointer: str
    was: Any
    mine: Any
    theirs: Any
    by: BroughtRow


class ChangeSetAnswer(ChangeSetRow):
    """One change set on the document that runs now; of its entries those that the caller may read."""

    etag: str
    base_etag: str
    running: BroughtRow
    moved_on: bool
    edits: list[EditRow]
    conflicts: list[ConflictRow]
    problems: list[ProblemRow]


class DiscardedAnswer(TypedDict):
    """The number of a change set that is gone."""

    changeset: int


_SETS = "/api/v1/changesets"
_ONE = f"{_SETS}/{{changeset}}"
_ENTRIES = (f"{_ONE}/services/{{service}}", f"{_ONE}/hosts/{{host}}")
CHANGESETS: dict[tuple[str, str], Any] = {
    ("GET", _SETS): ChangeSetsAnswer,
    ("POST", _SETS): ChangeSetAnswer,
    ("GET", _ONE): ChangeSetAnswer,
    ("DELETE", _ONE): DiscardedAnswer,
    ("POST", f"{_ONE}/plan"): PlanAnswer,
    ("POST", f"{_ONE}/apply"): AppliedAnswer,
    **{(method, path): ChangeSetAnswer for method in ("PUT", "DELETE") for path in _ENTRIES},
}
"""By method and path."""
