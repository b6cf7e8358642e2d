"""Where HAProxy's files and sockets are, and the limits it runs under: what its configuration must name."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

PEERS = Path("/run/willis-haproxy")
"""Holds the peers sockets of workers that are not root."""


@dataclass(frozen=True, slots=True)
class HaproxyFiles:
    """Plain text, since the compiler is pure and knows no paths."""

    stats_socket: str
    """The worker's runtime socket; at most about 90 characters (unix(7): 108 with HAProxy's suffix)."""
    server_state: str
    """Read by each new worker, so that drains, verdicts and weights survive a reload."""
    peers: str
    """The socket over which an old worker hands its stick tables to the new one."""
    user: str | None = None
    """The user and group that workers change to; None: they stay who they are."""
    open_files: int = 20_000
    """RLIMIT_NOFILE (hard) that HAProxy will run under; asking for more is fatal."""

    @classmethod
    def under(
        cls, run_dir: Path, state_dir: Path, *, user: str | None = None, open_files: int = 20_000
    ) -> HaproxyFiles:
        """The usual names in the engine's two directories.

        Workers that gave up root cannot reach a path in our private directory, so their
        peers socket is elsewhere. (An abstract socket would be reachable, but HAProxy
        cannot pause one: a reload that fails to bind would then end the old worker.)
        """
        mark = sha256(str(run_dir).encode()).hexdigest()[:16]
        return cls(
            stats_socket=str(run_dir / "haproxy.sock"),
            server_state=str(state_dir / "haproxy.servers"),
            peers=str(run_dir / "haproxy-peers.sock") if user is None else str(PEERS / f"{mark}.sock"),
            user=user,
            open_files=open_files,
        )
