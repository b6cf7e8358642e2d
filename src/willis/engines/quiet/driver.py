"""Holds the rule by which half-open looks leave no trace, in the network namespace of the calling thread."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from willis.engines import nftables
from willis.engines.port import Traffic
from willis.engines.quiet.compile import TABLE, compile_quiet, making, read, removing
from willis.model.config import Config
from willis.model.status import Status
from willis.plan.diff import Artefacts, Change

_WHO = "looks that leave no trace"


class QuietEngine:
    """One table of nftables. A node without nft does without it, and says so."""

    name = "quiet"

    def __init__(self) -> None:
        self._able = shutil.which("nft") is not None

    def compile(self, config: Config, status: Status) -> Artefacts:
        return compile_quiet(config, status) if self._able else {}

    def observe(self) -> Artefacts:
        rules = nftables.rules(TABLE)
        if rules is None:
            return {}
        held = read(rules)
        return {held.key: held}

    def check(self, want: Artefacts) -> None:
        """Have nft and the kernel try it; changes nothing. Raises EngineError."""
        if want:
            nftables.run(making(), _WHO, "--check")

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            nftables.run(removing() if change.want is None else making(), _WHO)

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        return {}

    def alarms(self) -> tuple[str, ...]:
        """Half-open looks are not backed by the rule."""
        if self._able:
            return ()
        return (
            "nft is not installed, so servers may log a connection of a check when this node stands still "
            "for 200 ms: apt-get install nftables, then restart the engine",
        )

    def refresh(self) -> None:
        """Nothing ages here."""

    def close(self) -> None:
        """The kernel keeps the table."""
