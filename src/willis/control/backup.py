"""All that a node must not lose, in one closed file; and back onto a new node.

In it: the store (documents, orders, events, audit trail, users), certificates and sealed secrets
with their keys, and the ACME account. What is generated is not: it comes from the document. The
file is a compressed tar, closed by what ``backup_seal`` has.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from willis.control.backup_seal import BackupError, Identity, Passphrase, Recipient

_STORE = "willis.db"
_MANIFEST = "manifest.json"
_FOLDERS = ("certificates", "acme", "secrets")
_NAME = re.compile(
    r"\A(?:manifest\.json|willis\.db|(?:certificates|acme|secrets)(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,200}){1,3})\Z"
)
_LARGEST = 1 << 30


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is of."""

    at: float
    """Seconds since the epoch."""
    node: str
    site: str
    revision: int | None
    certificates: tuple[str, ...]


def pack(state: Path, node: str, site: str, lock: Passphrase | Recipient) -> bytes:
    """The backup of a state directory; its engine may run. Raises BackupError."""
    try:
        files = dict(_gathered(state))
        manifest = Manifest(time.time(), node, site, _running(files[_STORE]), _names(files))
        return lock.seal(_tar({_MANIFEST: json.dumps(asdict(manifest)).encode(), **files}))
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"{state} cannot be read: {error}") from error


def unpack(backup: bytes, key: Passphrase | Identity) -> tuple[Manifest, dict[str, bytes]]:
    """What a backup is of, and its files. Raises BackupError."""
    try:
        files = dict(_members(key.open(backup)))
        said = json.loads(files.pop(_MANIFEST))
        manifest = Manifest(**{**said, "certificates": tuple(said["certificates"])})
    except (tarfile.TarError, zlib.error, OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise BackupError(f"the backup is damaged: {error}") from error
    if _STORE not in files:
        raise BackupError("the backup is damaged: it has no store")
    return manifest, files


def put_back(files: Mapping[str, bytes], state: Path) -> None:
    """Make ``state`` from the files of a backup, whole or not at all. Raises BackupError."""
    if state.exists() and any(state.iterdir()):
        remedy = "Move it away first, or give another --state-dir"
        raise BackupError(f"{state} is not empty: a backup goes onto a new node. {remedy}")
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{state.name}-", dir=state.parent))
        try:
            for name, content in files.items():
                _write(new / name, content)
            new.replace(state)
        finally:
            shutil.rmtree(new, ignore_errors=True)  # nothing is there any more once it took its place
    except OSError as error:
        raise BackupError(f"{state} cannot be made: {error}; nothing was changed") from error


def _gathered(state: Path) -> Iterator[tuple[str, bytes]]:
    """The store as of one moment, and the files of both folders."""
    with tempfile.TemporaryDirectory() as home:
        copy = Path(home) / _STORE
        source, target = sqlite3.connect(state / _STORE), sqlite3.connect(copy)
        with source, target:
            source.backup(target)
        source.close()
        target.execute("PRAGMA journal_mode = DELETE")  # one file, and none beside it
        target.close()
        yield _STORE, copy.read_bytes()
    for folder in _FOLDERS:
        for path in sorted((state / folder).rglob("*")):
            name = path.relative_to(state).as_posix()
            if path.is_file() and not path.is_symlink() and _NAME.match(name):
                yield name, path.read_bytes()


def _running(store: bytes) -> int | None:
    database = sqlite3.connect(":memory:")
    try:
        database.deserialize(store)
        row = database.execute("SELECT number FROM revision WHERE state = 'running'").fetchone()
    finally:
        database.close()
    return None if row is None else int(row[0])


def _names(files: Mapping[str, bytes]) -> tuple[str, ...]:
    parts = (name.split("/") for name in files)
    return tuple(sorted(p[1].removesuffix(".pem") for p in parts if len(p) == 2 and p[1].endswith(".pem")))


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _members(packed: bytes) -> Iterator[tuple[str, bytes]]:
    """Plain files with names that we would write ourselves, and nothing else."""
    left = _LARGEST
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        for member in tar:
            left -= member.size
            found = tar.extractfile(member) if member.isreg() else None
            if found is None or not _NAME.match(member.name) or left < 0:
                raise ValueError(f"{member.name[:80]!r} has no place in a backup")
            yield member.name, found.read()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
