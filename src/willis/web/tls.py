"""TLS towards browsers and programs, and a certificate that may be replaced while it runs."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from willis.web.certificate import fingerprint

log = logging.getLogger("willis.web")

_LOOK_S = 2.0


class TlsError(Exception):
    """Certificate or key cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Files:
    """PEM: the certificate with its chain, and its key."""

    certificate: Path
    key: Path


class Tls:
    """The context; made once, so that a new certificate counts from the next connection on."""

    def __init__(self, files: Files) -> None:
        """Raises TlsError."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
        self.context.set_alpn_protocols(["http/1.1"])
        self._files = files
        self._seen = self._stamp()
        self.fingerprint = self._load()

    async def follow(self) -> None:
        """Take what replaces the files, for ever. What cannot be used is said and changes nothing."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                stamp = self._stamp()
                if stamp == self._seen:
                    continue
                self._seen = stamp
                self.fingerprint = self._load()
            except TlsError as error:
                log.warning("the former certificate stays: %s", error)
            else:
                log.info("new certificate, SHA-256 fingerprint %s", self.fingerprint)

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        found = []
        for path in (self._files.certificate, self._files.key):
            try:
                stat = path.stat()
            except OSError as error:
                raise TlsError(f"cannot read {path}: {error.strerror}") from error
            found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(found)

    def _load(self) -> str:
        """Both files into the context, after they proved to fit in one that nobody uses."""
        certificate, key = self._files.certificate, self._files.key
        try:
            for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
                context.load_cert_chain(certificate, key, password=_no_passphrase)
            return fingerprint(certificate.read_bytes())
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise TlsError(
                f"cannot use {certificate} with {key}: {why}; both must be PEM, belong together, have no "
                "passphrase, and be readable for the user that this process runs as"
            ) from error


def _no_passphrase() -> bytes:
    """Instead of asking on the terminal."""
    raise ValueError("the key has a passphrase")
