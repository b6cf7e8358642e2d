"""Drives nft(8): one process a look, one transaction an apply, and nothing of it lives on in us.

The text grammar carries the commands (nft's own messages point into it) and JSON
carries what is listed, whose words do not depend on the version.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence

from willis.engines import nftables
from willis.engines.nft import conntrack
from willis.engines.nft.compile import Down, Translation, compile_nft
from willis.engines.nft.exhaustion import Exhaustion
from willis.engines.nft.listing import Listing, parse
from willis.engines.nft.rules import BASE, TABLE
from willis.engines.nft.script import script
from willis.engines.port import EngineError, Traffic
from willis.model.config import Config
from willis.model.status import Status
from willis.plan.diff import Artefacts, Change, diff

_CUTS = 3
"""Passes in which conntrack forgets a server that went down: the layer-4 engine, which works on its
own, may still send it packets for a moment."""


class NftEngine:
    """Translation in the network namespace of the calling thread."""

    name = "nft"

    def __init__(self) -> None:
        self._held = Listing()
        self._cuts: dict[int, int] = {}
        self._exhaustion = Exhaustion()

    def compile(self, config: Config, status: Status) -> Artefacts:
        return compile_nft(config, status)

    def observe(self) -> Artefacts:
        self._held = _list(self._held)
        return self._held.artefacts

    def check(self, want: Artefacts) -> None:
        """Have nft and the kernel try the transaction that ``apply`` would make, without its last step."""
        held = _list(self._held)
        changes = diff(self.name, held.artefacts, want)
        if changes:
            _nft("--check", "--file", "-", text=script(held.elements, changes))

    def apply(self, changes: Sequence[Change]) -> None:
        """One transaction on what was observed last: all of it or nothing.

        Connections that conntrack knows never notice. Those of a server that went down
        are forgotten, so their next packet goes where the layer-4 program now sends it.
        """
        _nft("--file", "-", text=script(self._held.elements, changes))
        conntrack.forget(_marks(change.want for change in changes))

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        """Bytes to clients by (service, host); what comes from them the layer-4 engine counts."""
        found: dict[tuple[str, str], Traffic] = {}
        for artefact in self._held.artefacts.values():
            if isinstance(artefact, Translation):
                service, _, host = artefact.label.partition("/")
                counted = Traffic(bytes_out=self._held.replies.get(artefact.mark, 0))
                found[service, host] = found.get((service, host), Traffic()) + counted
        return found

    def refresh(self) -> None:
        """Make conntrack forget servers that went down, for some passes."""
        down = _marks(self._held.artefacts.values())
        self._cuts = {mark: self._cuts.get(mark, 0) + 1 for mark in down}
        conntrack.forget([mark for mark, times in self._cuts.items() if times <= _CUTS])

    def alarms(self) -> tuple[str, ...]:
        """Sentences about a table of connections that is nearly full, and ports that have run out."""
        if BASE.key not in self._held.artefacts:
            return ()
        return self._exhaustion.look(conntrack.fill(), time.monotonic())

    def close(self) -> None:
        """The kernel keeps translating."""


def _marks(artefacts: Iterable[Hashable]) -> list[int]:
    """Of servers that are down."""
    return [mark for artefact in artefacts if isinstance(artefact, Down) for mark in artefact.marks]


def _list(before: Listing) -> Listing:
    """Our table; nothing if there is none. Raises EngineError."""
    try:
        return parse(_nft("--json", "--numeric", "list", "table", *TABLE.split()), before)
    except _Absent:
        return Listing()


class _Absent(EngineError):
    """There is no such thing in nftables, or no nftables."""


def _nft(*arguments: str, text: str = "") -> str:
    """What nft prints. Raises EngineError with what it complains of."""
    done = nftables.nft(*arguments, text=text)
    if done is None:
        raise _Absent("nft is not installed, and NAT and SNAT need it: apt-get install nftables")
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    if "No such file or directory" in said[0]:
        raise _Absent(f"nftables has no such thing: {' '.join(said[:2])}; the next pass looks anew")
    if "Operation not permitted" in done.stderr:
        raise EngineError("nft may not touch the rules: run Willis as root or with CAP_NET_ADMIN")
    raise EngineError(f"nftables refused: {' '.join(said[:2])}; what was in force goes on")
