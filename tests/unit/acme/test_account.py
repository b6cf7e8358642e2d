"""The account's secrets: where they are kept and what never leaves."""

from __future__ import annotations

import json
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from josepy.b64 import b64encode

from willis.acme.account import Account, AccountError

SECRET = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_key_is_made_once_and_is_the_owners(tmp_path: Path) -> None:
    place = tmp_path / "acme"
    first = Account(place).thumbprint()
    assert Account(place).thumbprint() == first
    assert mode(place / "account.key") == 0o600
    assert mode(place) == 0o700


def test_the_thumbprint_is_that_of_rfc_7638(tmp_path: Path) -> None:
    account = Account(tmp_path)
    public = account.key().public_key().to_partial_json()
    members = {name: public[name] for name in ("crv", "kty", "x", "y")}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    assert account.thumbprint() == b64encode(sha256(text.encode()).digest()).decode()


def test_the_binding_is_kept_and_does_not_show(tmp_path: Path) -> None:
    account = Account(tmp_path)
    assert account.binding() is None
    account.bind(" kid-1\n", f"{SECRET}\n")
    kept = account.binding()
    assert kept is not None
    assert (kept.kid, kept.hmac_key) == ("kid-1", SECRET)
    assert SECRET not in repr(kept)
    assert mode(tmp_path / "eab.json") == 0o600


@pytest.mark.parametrize(("kid", "key"), [("", SECRET), ("a b", SECRET), ("kid", "short"), ("kid", "%" * 40)])
def test_what_was_not_copied_whole_is_refused(tmp_path: Path, kid: str, key: str) -> None:
    account = Account(tmp_path)
    with pytest.raises(AccountError):
        account.bind(kid, key)
    assert account.binding() is None


def test_a_broken_key_is_said_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "account.key").write_text("broken")
    with pytest.raises(AccountError, match="restore it"):
        Account(tmp_path).thumbprint()
    assert (tmp_path / "account.key").read_text() == "broken"
