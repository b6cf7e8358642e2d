"""Our table in nftables that marks answers to transparent sockets: read, made, removed by nft(8)."""

from __future__ import annotations

from willis.engines import nftables
from willis.engines.routes.compile import NFT_TABLE, STAMP, Marking, is_whole, marking_script, removal_script

_WHO = "transparent services"


def read() -> Marking | None:
    """What is there; None without a table. Raises EngineError."""
    rules = nftables.rules(NFT_TABLE)
    return None if rules is None else Marking(STAMP if is_whole(rules) else "")


def make() -> None:
    """Make it, or mend what is there. Raises EngineError."""
    nftables.run(marking_script(), _WHO)


def remove() -> None:
    """Remove it. Raises EngineError."""
    nftables.run(removal_script(), _WHO)


def check() -> None:
    """Have nft and the kernel try it; changes nothing. Raises EngineError."""
    nftables.run(marking_script(), _WHO, "--check")
