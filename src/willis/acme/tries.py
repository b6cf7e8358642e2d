"""What became of orders, kept over restarts: a restart must not ask an authority again too soon."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from willis.acme.account import keep
from willis.acme.when import retry_after


@dataclass(frozen=True, slots=True)
class Failure:
    """Orders of one certificate that failed in a row."""

    count: int
    at: float
    """Seconds since the epoch, of the last."""
    reason: str

    @property
    def again(self) -> datetime:
        """Before this no other order is sent by itself."""
        return datetime.fromtimestamp(self.at, UTC) + retry_after(self.count)


class Tries:
    """By certificate. What cannot be read counts as nothing: the worst is one order too early."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            kept = json.loads(path.read_text())
            self._failures = {str(name): Failure(**failure) for name, failure in kept.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._failures = {}

    def failure(self, name: str) -> Failure | None:
        return self._failures.get(name)

    def failed(self, name: str, reason: str, now: datetime) -> Failure:
        """Raises AccountError if it cannot be kept."""
        before = self._failures.get(name)
        found = Failure((before.count if before else 0) + 1, now.timestamp(), reason)
        self._failures[name] = found
        self._write()
        return found

    def succeeded(self, name: str) -> None:
        """Raises AccountError if it cannot be kept."""
        if self._failures.pop(name, None) is not None:
            self._write()

    def _write(self) -> None:
        content = {name: asdict(failure) for name, failure in self._failures.items()}
        keep(self._path, json.dumps(content).encode())
