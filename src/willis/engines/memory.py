"""An engine that only remembers: for dry runs and for tests of the loop."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from willis.engines.port import Traffic
from willis.model.config import Config
from willis.model.status import Status
from willis.plan.diff import Artefacts, Change


class MemoryEngine:
    """Holds artefacts in a dict and compiles with the function it was given."""

    def __init__(self, name: str, compile_: Callable[[Config, Status], Artefacts]) -> None:
        self.name = name
        self.held: dict[str, Hashable] = {}
        self._compile = compile_

    def compile(self, config: Config, status: Status) -> Artefacts:
        return self._compile(config, status)

    def observe(self) -> Artefacts:
        return dict(self.held)

    def check(self, want: Artefacts) -> None:
        """Takes anything."""

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.want is None:
                self.held.pop(change.key, None)
            else:
                self.held[change.key] = change.want

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        return {}

    def alarms(self) -> tuple[str, ...]:
        return ()

    def refresh(self) -> None:
        """Nothing ages here."""

    def close(self) -> None:
        """Nothing to let go of."""
