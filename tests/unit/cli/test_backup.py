"""``willis backup``, ``backup-key``, ``restore-backup``: from one node to another whole, or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.builders import dr, site
from willis.__main__ import app
from willis.api.backup import BackupBody
from willis.cli.client import Client, Json
from willis.config import write
from willis.control import backup_seal
from willis.control.backup import pack
from willis.control.store import Store


def run(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], input=stdin, obj=lambda: None)


@pytest.fixture(autouse=True)
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers as the route does; the real cost of a key is meant to hurt."""
    state = tmp_path / "state"
    state.mkdir()
    store = Store(state / "willis.db")
    store.promote(store.propose(write(site(dr())), 1.0, "ann", "go").number)

    def answer(_: Client, route: str, body: Json) -> bytes:
        assert route == "/backup"
        return pack(state, "lb1", "test", BackupBody(**body).lock())

    monkeypatch.setattr(Client, "bytes", answer)
    monkeypatch.setattr(backup_seal, "_key", lambda text, salt: (text.encode() + salt).ljust(32)[:32])


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    file = tmp_path / "backup.key"
    made = run("backup-key", file)
    assert made.exit_code == 0, made.stderr
    (tmp_path / "backup.pub").write_text(made.stdout)
    return file


def test_a_key_pair_is_made_once_and_for_its_owner_alone(identity: Path, tmp_path: Path) -> None:
    assert identity.stat().st_mode & 0o777 == 0o600
    before = identity.read_text()
    again = run("backup-key", identity)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "cannot write" in again.stderr
    assert identity.read_text() == before
    assert before.splitlines()[1] not in (tmp_path / "backup.pub").read_text()


def test_a_backup_for_a_recipient_comes_back_by_its_identity(identity: Path, tmp_path: Path) -> None:
    public = tmp_path / "backup.pub"
    for number, recipient in enumerate((public, public.read_text().strip())):
        file, new = tmp_path / f"{number}.willis", tmp_path / f"new{number}"
        made = run("backup", file, "--recipient", recipient)
        assert made.exit_code == 0, made.stderr
        assert "without the identity" in made.stdout
        assert file.stat().st_mode & 0o777 == 0o600
        looked = run("restore-backup", file, "--identity", identity, "--state-dir", new, "--dry-run")
        assert (looked.exit_code, new.exists()) == (0, False), looked.stderr
        assert "node lb1, site test, revision 1" in looked.stdout
        assert run("restore-backup", file, "--identity", identity, "--state-dir", new).exit_code == 0
        assert Store(new / "willis.db").running() is not None


def test_a_backup_under_a_passphrase_comes_back_as_ever(tmp_path: Path) -> None:
    words, file, new = tmp_path / "words", tmp_path / "b.willis", tmp_path / "new"
    words.write_text("correct horse battery\n")
    assert run("backup", file, "--passphrase-file", words).exit_code == 0
    assert run("restore-backup", file, "--state-dir", new, stdin="correct horse battery\n").exit_code == 0
    assert Store(new / "willis.db").running() is not None


def test_nothing_is_half_restored(identity: Path, tmp_path: Path) -> None:
    other, words, new = tmp_path / "other.key", tmp_path / "words", tmp_path / "new"
    run("backup-key", other)
    words.write_text("correct horse battery\n")
    file, under = tmp_path / "b.willis", tmp_path / "under.willis"
    run("backup", file, "--recipient", tmp_path / "backup.pub")
    run("backup", under, "--passphrase-file", words)
    whole = file.read_bytes()
    (cut := tmp_path / "cut.willis").write_bytes(whole[:-1])
    (bent := tmp_path / "bent.willis").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for arguments, sentence in (
        ((file, "--identity", other), "the identity is of"),
        ((cut, "--identity", identity), "cut short"),
        ((bent, "--identity", identity), "was changed"),
        ((under, "--identity", identity), "under a passphrase"),
        ((file, "--passphrase-file", words), "give --identity FILE"),
        ((file,), "give --identity FILE"),
        ((file, "--identity", tmp_path / "backup.pub"), "chmod 600"),
        ((file, "--identity", words), "chmod 600"),
        ((file, "--identity", tmp_path / "nowhere"), "cannot read"),
        ((identity, "--identity", identity), "no backup of Willis"),
    ):
        found = run("restore-backup", *arguments, "--state-dir", new)
        assert (found.exit_code, found.stdout) == (1, ""), arguments
        assert sentence in " ".join(found.stderr.split()), found.stderr
        assert not new.exists()
    assert not list(tmp_path.glob(".new*"))


def test_an_identity_that_others_may_read_is_refused(identity: Path, tmp_path: Path) -> None:
    run("backup", tmp_path / "b.willis", "--recipient", tmp_path / "backup.pub")
    for mode in (0o640, 0o604):
        identity.chmod(mode)
        found = run("restore-backup", tmp_path / "b.willis", "--identity", identity, "--dry-run")
        assert found.exit_code == 1
        assert "chmod 600" in found.stderr


def test_an_identity_is_not_sent_for_its_recipient(
    identity: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "bytes", lambda *_: pytest.fail("it was sent"))
    found = run("backup", tmp_path / "b.willis", "--recipient", identity)
    assert found.exit_code == 1
    assert "stays with you" in found.stderr
    assert identity.read_text().splitlines()[1] not in found.stderr


def test_one_way_to_close_and_one_to_open(identity: Path, tmp_path: Path) -> None:
    both = ("--passphrase-file", identity)
    assert run("backup", tmp_path / "b", "--recipient", tmp_path / "backup.pub", *both).exit_code == 2
    assert run("restore-backup", identity, "--identity", identity, *both).exit_code == 2
    assert run("backup", tmp_path / "b", "--recipient", tmp_path / "nowhere").exit_code == 1


def test_a_file_that_does_not_fit_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, descriptor: int, *_: object) -> None:
            os.close(descriptor)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            raise OSError(28, "No space left on device")

        def write(self, _: bytes) -> None:
            pass

    monkeypatch.setattr("willis.cli.backup.os.fdopen", Full)
    found = run("backup-key", tmp_path / "k")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "No space left" in found.stderr
    assert not (tmp_path / "k").exists()
