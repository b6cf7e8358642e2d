"""A backup holds all that must not be lost, says nothing without its key, and comes back whole."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import dr, site
from tests.pki import Root
from willis.certificates.store import CertificateStore
from willis.config import write
from willis.control import backup, backup_seal
from willis.control.backup import pack, put_back, unpack
from willis.control.backup_seal import BackupError, Identity, Passphrase, Recipient
from willis.control.secrets import Secrets
from willis.control.store import Store

SECRET = Passphrase("correct horse battery")
IDENTITY = Identity.make()
LOCKS = pytest.mark.parametrize(
    ("lock", "key"), [(SECRET, SECRET), (IDENTITY.recipient, IDENTITY)], ids=["passphrase", "recipient"]
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real cost of a key is meant to hurt."""
    monkeypatch.setattr(
        backup_seal, "_key", lambda secret, salt: (secret.encode() + salt).ljust(32, b"x")[:32]
    )


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir()
    store = Store(state / "willis.db")
    store.promote(store.propose(write(site(dr())), 1.0, "ann", "go").number)
    CertificateStore(state / "certificates").put("pacs", Root("Drill").issue("pacs.example").pem_with_key)
    Secrets(state / "secrets").put("smtp", "a password")
    (state / "haproxy.cfg").write_text("generated")
    return state


@LOCKS
def test_it_comes_back_whole_on_a_new_node(
    state: Path, tmp_path: Path, lock: Passphrase | Recipient, key: Passphrase | Identity
) -> None:
    packed = pack(state, "lb1", "test", lock)
    manifest, files = unpack(packed, key)
    assert (manifest.node, manifest.site, manifest.revision) == ("lb1", "test", 1)
    assert "pacs" in manifest.certificates
    new = tmp_path / "new"
    put_back(files, new)
    running = Store(new / "willis.db").running()
    assert running is not None
    assert running.document == write(site(dr()))
    assert (new / "certificates/pacs.pem").read_bytes() == (state / "certificates/pacs.pem").read_bytes()
    assert Secrets(new / "secrets").get("smtp") == "a password"
    assert not (new / "haproxy.cfg").exists()
    assert unpack(pack(new, "lb1", "test", lock), key)[1] == files
    assert {path.stat().st_mode & 0o077 for path in [new, *new.rglob("*")]} == {0}


def test_without_the_passphrase_it_says_nothing(state: Path) -> None:
    packed = pack(state, "lb1", "secret-site", SECRET)
    assert b"secret-site" not in packed
    with pytest.raises(BackupError, match="passphrase is wrong"):
        unpack(packed, Passphrase("another one here"))
    with pytest.raises(BackupError, match="fewer than 12"):
        pack(state, "lb1", "test", Passphrase("short"))


def test_for_a_recipient_it_says_nothing_without_the_identity(state: Path) -> None:
    packed = pack(state, "lb1", "secret-site", IDENTITY.recipient)
    assert b"secret-site" not in packed
    another = Identity.make()
    with pytest.raises(BackupError, match="this backup is for") as refused:
        unpack(packed, another)
    assert IDENTITY.recipient.line in str(refused.value)
    assert another.recipient.line in str(refused.value)


def test_what_closes_it_is_said_to_whoever_comes_with_the_other() -> None:
    with pytest.raises(BackupError, match="give --identity"):
        unpack(IDENTITY.recipient.seal(b"content"), SECRET)
    with pytest.raises(BackupError, match="leave --identity away"):
        unpack(SECRET.seal(b"content"), IDENTITY)


def test_a_node_that_has_something_is_not_overwritten(state: Path) -> None:
    _, files = unpack(pack(state, "lb1", "test", SECRET), SECRET)
    before = (state / "willis.db").read_bytes()
    with pytest.raises(BackupError, match="is not empty"):
        put_back(files, state)
    assert (state / "willis.db").read_bytes() == before


def test_a_failed_write_leaves_nothing(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, files = unpack(pack(state, "lb1", "test", SECRET), SECRET)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup.os, "fsync", full)
    target = tmp_path / "deep" / "new"
    with pytest.raises(BackupError, match="nothing was changed"):
        put_back(files, target)
    assert list((tmp_path / "deep").iterdir()) == []


@LOCKS
@given(rubbish=st.binary(max_size=200), at=st.integers(0, 5000))
def test_rubbish_and_changed_or_missing_bytes_are_refused(
    lock: Passphrase | Recipient, key: Passphrase | Identity, rubbish: bytes, at: int
) -> None:
    whole = lock.seal(b"content")
    at %= len(whole)
    for damaged in (rubbish, whole[:16] + rubbish, whole[:at], _flipped(whole, at), whole + b"x"):
        with pytest.raises(BackupError):
            key.open(damaged)
    assert key.open(whole) == b"content"


def _flipped(whole: bytes, at: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]


@given(packed=st.binary(max_size=100), cut=st.integers(1, 50))
def test_what_a_stranger_closed_for_the_recipient_is_read_with_care(packed: bytes, cut: int) -> None:
    whole = backup._tar({"manifest.json": b"{}", "willis.db": b"x" * 100})
    for content in (packed, b"\x1f\x8b\x08" + packed, whole[:-cut], whole[:cut] + packed + whole[cut:]):
        with pytest.raises(BackupError, match="damaged"):
            unpack(IDENTITY.recipient.seal(content), IDENTITY)


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "certificates/../../x", "haproxy.cfg", "acme/a/b/c/d/e"]
)
def test_no_file_leaves_its_place(name: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(BackupError, match="has no place"):
        unpack(SECRET.seal(packed.getvalue()), SECRET)


def test_a_link_is_no_file() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        link = tarfile.TarInfo("certificates/pacs.pem")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
        tar.addfile(link)
    with pytest.raises(BackupError, match="has no place"):
        unpack(SECRET.seal(packed.getvalue()), SECRET)
