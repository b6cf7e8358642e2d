"""The certificate store: a directory with the files as HAProxy reads them.

``NAME.pem`` holds a key and its chain, ``NAME.pem.ocsp`` its staple, ``authority/NAME.pem``
whom to trust, ``pending/NAME.key`` a key whose certificate was requested. Files are 0600
in directories of 0700, and are replaced whole or not at all, so whoever reads one
between two acts reads a good one. Nothing replaces a good certificate but a good one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from willis.certificates.facts import Facts, facts, judge, judge_authorities, warnings
from willis.certificates.material import CertificateError, Key, pair, pem_of, pem_of_key, read
from willis.certificates.request import new_key, signing_request
from willis.model.service import NAME

__all__ = ["Authority", "CertificateError", "CertificateStore", "Holdings", "Stored"]

_LARGEST = 256 * 1024
"""Bytes of all files of one certificate, or of one file of authorities."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A certificate with its key."""

    name: str
    chain: str
    """PEM, the leaf first."""
    key: str
    """PEM (PKCS#8), not encrypted. Never to be shown."""
    facts: Facts
    """Of the leaf."""
    at: datetime
    """When it was stored (UTC)."""
    staple: bytes | None
    """The OCSP response beside it, DER."""
    warnings: tuple[str, ...] = ()
    """What was odd when it was put; empty when it is only read."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Whom to trust under one name."""

    name: str
    facts: tuple[Facts, ...]


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the store holds at one moment: certificates with the SHA-1 of their leaf, which is what
    HAProxy tells of the one that it serves; authorities with the SHA-256 of their file."""

    certificates: frozenset[tuple[str, str]]
    authorities: frozenset[tuple[str, str]]


class CertificateStore:
    """May be used from several threads. Every method raises CertificateError with reason and remedy."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._authorities = directory / "authority"
        self._pending = directory / "pending"
        self._lock = threading.Lock()
        self._digests: dict[Path, tuple[tuple[int, int, int], str]] = {}
        try:
            for place in (directory, self._authorities, self._pending):
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
                place.chmod(0o700)
        except OSError as error:
            raise CertificateError(f"cannot use {directory}: {error.strerror}; check its rights") from error

    def path(self, name: str) -> Path:
        """Where HAProxy finds the certificate, whether it is there or not."""
        return self.directory / f"{_checked(name)}.pem"

    def authority_path(self, name: str) -> Path:
        """Where HAProxy finds the authorities, whether they are there or not."""
        return self._authorities / f"{_checked(name)}.pem"

    def names(self) -> list[str]:
        """The certificates, sorted."""
        return sorted(path.name.removesuffix(".pem") for path in _pem_files(self.directory))

    def read(self, name: str) -> Stored:
        """One certificate."""
        path = self.path(name)
        found = pair(read([_bytes(path, f"there is no certificate {name}; see 'willis certificate list'")]))
        staple = path.with_name(f"{path.name}.ocsp")
        return Stored(
            name,
            found.chain_pem(),
            found.key_pem(),
            facts(found.leaf),
            datetime.fromtimestamp(path.stat().st_mtime, UTC),
            staple.read_bytes() if staple.exists() else None,
        )

    def put(self, name: str, *files: bytes, passphrase: str | None = None) -> Stored:
        """Store a certificate, or replace it by a newer one.

        ``files``: the certificate, its chain and its key, in any order. Without a key the
        one that was made for a request is taken, else the one that is stored already.
        """
        with self._lock:
            path = self.path(name)
            _small(files)
            old = self._whole(name)
            found = pair(read(files, passphrase), self._known_keys(name))
            now = datetime.now(UTC)
            judge(found, now)
            said = warnings(found, old.facts if old else None, now)
            self._staple(name).unlink(missing_ok=True)
            _replace(path, (found.key_pem() + found.chain_pem()).encode())
            self._pending_key(name).unlink(missing_ok=True)
        return Stored(name, found.chain_pem(), found.key_pem(), facts(found.leaf), now, None, said)

    def remove(self, name: str) -> None:
        """Forget a certificate, its key, its staple and its request."""
        with self._lock:
            path, pending = self.path(name), self._pending_key(name)
            if not path.exists() and not pending.exists():
                raise CertificateError(f"there is no certificate {name}; see 'willis certificate list'")
            for each in (self._staple(name), path, pending):
                _unlink(each)

    def request(self, name: str, domains: Sequence[str]) -> str:
        """A signing request (PEM). Its key waits here; asking again keeps the key."""
        with self._lock:
            place = self._pending_key(name)
            waiting = read([place.read_bytes()]).keys if place.exists() else ()
            key = waiting[0] if waiting else new_key()
            text = signing_request(key, domains)
            if not waiting:
                _replace(place, pem_of_key(key).encode())
        return text

    def pending(self) -> list[str]:
        """Names whose certificate was requested and has not come."""
        return sorted(path.stem for path in self._pending.glob("[!.]*.key"))

    def staple(self, name: str, der: bytes) -> None:
        """Keep an OCSP response beside a certificate."""
        with self._lock:
            if not self.path(name).exists():
                raise CertificateError(f"there is no certificate {name} to staple to")
            _replace(self._staple(name), der)

    def put_authority(self, name: str, *files: bytes) -> Authority:
        """Store or replace whom to trust under ``name``."""
        _small(files)
        found = read(files).certificates
        judge_authorities(found, datetime.now(UTC))
        with self._lock:
            _replace(self.authority_path(name), "".join(map(pem_of, found)).encode())
        return Authority(name, tuple(map(facts, found)))

    def remove_authority(self, name: str) -> None:
        with self._lock:
            path = self.authority_path(name)
            if not path.exists():
                raise CertificateError(
                    f"there is no authority {name}; see 'willis certificate authority list'"
                )
            _unlink(path)

    def authorities(self) -> list[Authority]:
        """Whom to trust, sorted by name."""
        return [
            Authority(path.name.removesuffix(".pem"), tuple(map(facts, _certificates(path))))
            for path in sorted(_pem_files(self._authorities))
        ]

    def holdings(self) -> Holdings:
        """What is there now, by content. Cheap: a file is read again only when it changed.

        A file that somebody broke by hand counts as what it was: HAProxy still serves that, and
        nothing else that the node does may wait for its repair.
        """
        return Holdings(
            frozenset(self._digested(self.directory)),
            frozenset(self._digested(self._authorities)),
        )

    def _digested(self, directory: Path) -> Iterator[tuple[str, str]]:
        for path in _pem_files(directory):
            try:
                stat = path.stat()
                stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
                kept = self._digests.get(path)
                if kept is None or kept[0] != stamp:
                    kept = self._digests[path] = (stamp, self._digest(path))
            except FileNotFoundError:
                continue  # removed since it was listed
            except CertificateError:
                if kept is None:
                    continue
            yield path.name.removesuffix(".pem"), kept[1]

    def _digest(self, path: Path) -> str:
        if path.parent == self._authorities:
            return sha256(path.read_bytes()).hexdigest()
        leaf = pair(read([path.read_bytes()])).leaf
        return leaf.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - a name, not a proof

    def _whole(self, name: str) -> Stored | None:
        """What is stored, unless it is missing or broken: then anything good is better."""
        try:
            return self.read(name)
        except CertificateError:
            return None

    def _known_keys(self, name: str) -> Iterator[Key]:
        for pem in (self._pending_key(name), self.path(name)):
            if pem.exists():
                with suppress(CertificateError):  # broken by hand: no key
                    yield from read([pem.read_bytes()]).keys

    def _staple(self, name: str) -> Path:
        return self.directory / f"{_checked(name)}.pem.ocsp"

    def _pending_key(self, name: str) -> Path:
        return self._pending / f"{_checked(name)}.key"


def _checked(name: str) -> str:
    if not NAME.match(name):
        raise CertificateError(
            f"{name[:70]!r} cannot be a name; use 1 to 63 letters, digits, '.', '_' and '-'"
        )
    return name


def _small(files: Sequence[bytes]) -> None:
    if sum(map(len, files)) > _LARGEST:
        raise CertificateError(f"the files are larger than {_LARGEST // 1024} KiB; give the certificate only")


def _pem_files(directory: Path) -> list[Path]:
    return [path for path in directory.glob("[!.]*.pem") if path.is_file()]


def _certificates(path: Path) -> tuple[x509.Certificate, ...]:
    return read([_bytes(path, f"{path} has just been removed")]).certificates


def _bytes(path: Path, missing: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CertificateError(missing) from None
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}; check its rights") from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as error:
        raise CertificateError(f"cannot remove {path}: {error.strerror}; check its rights") from error


def _replace(path: Path, content: bytes) -> None:
    """Whole or not at all, kept over a power cut, for its owner only."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise CertificateError(
            f"cannot write {path}: {error.strerror}; what was there stays. Check free space and rights"
        ) from error


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
