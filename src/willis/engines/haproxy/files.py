"""Where HAProxy's files and sockets are, and the limits it runs under: what its configuration must name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from willis.certificates.store import Holdings
from willis.engines.haproxy import script


@dataclass(frozen=True, slots=True)
class HaproxyFiles:
    """Plain text, since the compiler is pure and knows no paths."""

    stats_socket: str
    """The worker's runtime socket; at most about 90 characters (unix(7): 108 with HAProxy's suffix)."""
    server_state: str
    """Read by each new worker, so that drains, verdicts and weights survive a reload."""
    jail: str
    """Where HAProxy is started and where workers that give up root are locked in. It holds
    nothing but the socket over which an old worker hands its stick tables to the new one;
    that one is named relative to it, so it is found from inside and outside.
    """
    maps: str
    """The directory of the lists that change without a reload (``maps``)."""
    tls: str
    """The directory of the certificate store: NAME.pem, and authority/NAME.pem."""
    dicom_lua: str
    """The script for DICOM (``lua/dicom.lua``), where HAProxy may name it."""
    hl7_lua: str
    """The script for HL7 (``lua/hl7.lua``)."""
    user: str | None = None
    """The user and group that workers change to; None: they stay who they are."""
    since_3_0: bool = False
    """Whether this HAProxy is 3.0 or newer: it can change its user and keep a capability (``setcap``), and
    its Lua bears threads."""
    open_files: int = 20_000
    """RLIMIT_NOFILE (hard) that HAProxy will run under; asking for more is fatal."""
    holdings: Holdings | None = None
    """What the certificate store holds; None: not asked, every name counts as held."""
    thumbprint: str | None = None
    """Of the ACME account, where certificates are ordered: what answers to challenges end with."""

    @classmethod
    def under(
        cls,
        run_dir: Path,
        state_dir: Path,
        *,
        user: str | None = None,
        open_files: int = 20_000,
        since_3_0: bool = False,
    ) -> HaproxyFiles:
        """The usual names in the engine's two directories."""
        return cls(
            stats_socket=str(run_dir / "haproxy.sock"),
            server_state=str(state_dir / "haproxy.servers"),
            jail=str(run_dir / "haproxy"),
            maps=str(state_dir / "maps"),
            tls=str(state_dir / "certificates"),
            dicom_lua=str(state_dir / script.DICOM.name),
            hl7_lua=str(state_dir / script.HL7.name),
            user=user,
            open_files=open_files,
            since_3_0=since_3_0,
        )
