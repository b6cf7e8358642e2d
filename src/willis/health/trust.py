"""TLS contexts of checks: made once for each setting, and again when a file of the store changed."""

from __future__ import annotations

import ssl
from pathlib import Path

from willis.certificates.store import CertificateError, CertificateStore
from willis.health.faults import Ended
from willis.model.proxy import ServerTls
from willis.model.status import Verdict

_Stamp = tuple[tuple[Path, int], ...]


class Trust:
    """Without a store only the system's authorities are known."""

    def __init__(self, store: CertificateStore | None = None) -> None:
        self._store = store
        self._made: dict[ServerTls, tuple[_Stamp, ssl.SSLContext]] = {}

    def context(self, tls: ServerTls) -> ssl.SSLContext:
        """Raises Ended (UNKNOWN) where the store lacks what is named."""
        try:
            authority = self._path(tls.authority, authority=True)
            certificate = self._path(tls.certificate, authority=False)
            files = [path for path in (authority, certificate) if path is not None]
            stamp = tuple((path, path.stat().st_mtime_ns) for path in files)
            known = self._made.get(tls)
            if known is None or known[0] != stamp:
                known = stamp, _context(tls, authority, certificate)
                self._made[tls] = known
        except (OSError, ssl.SSLError, CertificateError) as error:
            named = " and ".join(name for name in (tls.authority, tls.certificate) if name)
            reason = (
                f"the certificate store does not give {named or 'the authorities'} for this check ({error})"
            )
            raise Ended(Verdict.UNKNOWN, reason) from error
        return known[1]

    def _path(self, name: str | None, *, authority: bool) -> Path | None:
        if name is None:
            return None
        if self._store is None:
            raise CertificateError("there is no certificate store")
        return self._store.authority_path(name) if authority else self._store.path(name)


def _context(tls: ServerTls, authority: Path | None, certificate: Path | None) -> ssl.SSLContext:
    found = ssl.create_default_context(cafile=None if authority is None else str(authority))
    found.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        found.load_cert_chain(certificate)
    if not tls.verify:
        found.check_hostname = False
        found.verify_mode = ssl.CERT_NONE
    return found
