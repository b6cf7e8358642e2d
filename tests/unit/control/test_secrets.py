"""Sealed secrets: kept whole, for the owner only, never in clear; and who may not do without them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import dr, site
from willis.control import secrets as room
from willis.control.secrets import SecretError, Secrets
from willis.control.uses import secret_names, secret_users
from willis.model.alerts import Alerts, Login, Mail, Webhook

VALUE = "correct horse battery staple"


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    return Secrets(tmp_path / "secrets")


def test_what_is_put_is_got_and_lies_sealed(secrets: Secrets, tmp_path: Path) -> None:
    assert secrets.names() == []
    secrets.put("smtp", "old")
    secrets.put("smtp", VALUE)
    secrets.put("chat", VALUE)
    assert secrets.get("smtp") == Secrets(tmp_path / "secrets").get("smtp") == VALUE
    assert secrets.names() == ["chat", "smtp"]
    files = [*(tmp_path / "secrets").iterdir()]
    assert len(files) == 3
    assert {path.stat().st_mode & 0o077 for path in [*files, tmp_path / "secrets"]} == {0}
    assert not any(VALUE.encode() in path.read_bytes() for path in files)
    secrets.remove("smtp")
    assert secrets.names() == ["chat"]
    with pytest.raises(SecretError, match="willis secret list"):
        secrets.get("smtp")


def test_a_file_changed_or_given_another_name_does_not_open(secrets: Secrets, tmp_path: Path) -> None:
    secrets.put("smtp", VALUE)
    path = tmp_path / "secrets/smtp.sealed"
    (tmp_path / "secrets/chat.sealed").write_bytes(path.read_bytes())
    with pytest.raises(SecretError, match="willis secret set chat"):
        secrets.get("chat")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(SecretError, match="does not open") as failure:
        secrets.get("smtp")
    assert VALUE not in str(failure.value)


def test_a_lost_key_is_no_reason_for_another_one(secrets: Secrets, tmp_path: Path) -> None:
    secrets.put("smtp", VALUE)
    (tmp_path / "secrets/node.key").unlink()
    with pytest.raises(SecretError, match=r"node\.key is missing"):
        secrets.put("chat", VALUE)
    assert secrets.names() == ["smtp"]


def test_a_failed_write_leaves_the_old_one(
    secrets: Secrets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets.put("smtp", VALUE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room.os, "fsync", full)
    with pytest.raises(SecretError, match="what was there stays"):
        secrets.put("smtp", "new")
    assert secrets.get("smtp") == VALUE
    assert secrets.names() == ["smtp"]


@pytest.mark.parametrize("name", ["", "../smtp", "a/b", ".key", "smtp\n", "x" * 64])
def test_no_name_leaves_the_folder(secrets: Secrets, name: str) -> None:
    for act in (secrets.get, secrets.remove, lambda each: secrets.put(each, VALUE)):
        with pytest.raises(SecretError, match="name has"):
            act(name)


@given(st.text(max_size=50))
def test_any_value_comes_back_or_is_refused(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    secrets = Secrets(tmp_path_factory.mktemp("any"))
    try:
        secrets.put("any", value)
    except SecretError:
        assert not value or not value.isprintable()
    else:
        assert secrets.get("any") == value


def test_who_names_a_secret() -> None:
    login = Mail("mail.example", "a@b.example", ("c@b.example",), login=Login("willis", "smtp"))
    alerts = Alerts(mail=(login,), webhooks=(Webhook("https://chat.example/", secret="chat"),))
    config = replace(site(dr()), alerts=alerts)
    assert secret_names(config) == {"smtp", "chat"}
    assert secret_users(config, "smtp") == ["alerts"]
    assert secret_names(site(dr())) == frozenset()
