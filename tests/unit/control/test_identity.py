"""Users, passwords, second factors, sessions and tokens, by a clock that the test turns."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pyotp
import pytest
from argon2 import PasswordHasher

from willis.control.backoff import Backoff, Slowed
from willis.control.changes import Refused
from willis.control.database import Database
from willis.control.identity import Identity, NotKnown, SecondFactorNeeded, SignInFailed
from willis.control.passwords import Busy, Passwords
from willis.control.tokens import TokenWish
from willis.model.identity import Caller, Grant, Role, Way

PASSWORD = "four words make one"
ADMIN, VIEWER = (Grant(Role.ADMIN),), (Grant(Role.VIEWER),)
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HERE = "192.0.2.7"


class Node:
    """An identity and its clock."""

    def __init__(self, path: Path) -> None:
        self.now = 1_800_000_000.0
        self.path = path
        self.start()

    def start(self) -> None:
        """Again, with what is on the disk."""
        self.database = Database(self.path / "willis.db")
        self.identity = Identity(self.database, lambda: self.now, Passwords(CHEAP))

    def set_user(self, name: str, grants: tuple[Grant, ...] | None, password: str | None = PASSWORD) -> None:
        asyncio.run(self.identity.set_user(name, grants, password))

    def login(self, name: str, password: str = PASSWORD, code: str | None = None, source: str = HERE) -> str:
        return asyncio.run(self.identity.login(name, password, code, source)).key

    def session(self, key: str) -> Caller:
        return self.identity.caller(f"Willis-Session {key}", HERE)

    def token(self, secret: str, source: str = HERE) -> Caller:
        return self.identity.caller(f"Bearer {secret}", source)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    found = Node(tmp_path)
    yield found
    found.database.close()


def test_nothing_that_opens_is_kept_in_the_clear(node: Node, tmp_path: Path) -> None:
    node.set_user("ann", ADMIN)
    key = node.login("ann")
    made = node.identity.tokens.make(TokenWish("prom", VIEWER, 60), "ann")
    codes = node.identity.users.set_second_factor("ann", pyotp.random_base32(), 0)
    node.database.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for secret in (PASSWORD, key, made, *codes):
        assert secret is not None
        assert secret.encode() not in kept


def test_the_setup_code_is_the_owners_alone_and_gone_with_the_first_user(node: Node, tmp_path: Path) -> None:
    node.identity.start()
    file = tmp_path / "setup-code"
    assert file.stat().st_mode & 0o777 == 0o600
    code = file.read_text()
    node.start()
    node.identity.start()
    assert file.read_text() == code, "a restart does not renew it"
    newer = node.identity.new_setup_code()
    with pytest.raises(SignInFailed):
        asyncio.run(node.identity.set_up(code, "ann", PASSWORD, HERE))
    opened = asyncio.run(node.identity.set_up(newer.upper().replace("-", " "), "ann", PASSWORD, HERE))
    assert node.session(opened.key).grants == ADMIN
    assert not file.exists()
    for again in (node.identity.new_setup_code, lambda: asyncio.run(_set_up(node, newer))):
        with pytest.raises(Refused, match="users already"):
            again()


async def _set_up(node: Node, code: str, source: str = HERE) -> None:
    await node.identity.set_up(code, "bob", PASSWORD, source)


def test_guessing_the_setup_code_is_slowed(node: Node) -> None:
    right = node.identity.new_setup_code()
    for _ in range(20):
        with pytest.raises(SignInFailed):
            asyncio.run(_set_up(node, "wrong"))
    with pytest.raises(Slowed):
        asyncio.run(_set_up(node, right))
    node.now += 300
    asyncio.run(_set_up(node, right))


@pytest.mark.parametrize(
    ("name", "password", "why"),
    [
        ("ann", "short", "12"),
        ("ann", "x" * 1001, "12"),
        ("ann", "here comes Ann again", "name"),
        ("ann", "aaaaaaaaaaaaabbb", "few"),
        ("ann\n", PASSWORD, "letters"),
        ("../ann", PASSWORD, "letters"),
        ("oidc:ann", PASSWORD, "letters"),
    ],
)
def test_weak_passwords_and_odd_names_are_refused(node: Node, name: str, password: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        node.set_user(name, ADMIN, password)
    assert node.identity.users.all() == []


def test_a_long_password_in_any_script_is_taken_whole(node: Node) -> None:
    password = "пароль из слов ☃ " * 20
    node.set_user("ann", ADMIN, password)
    node.login("ann", password)
    with pytest.raises(SignInFailed):
        node.login("ann", password[:-1])


def test_a_password_is_the_same_from_every_keyboard(node: Node) -> None:
    node.set_user("ann", ADMIN, "Schlüssel für vier Wörter")
    node.login("ann", unicodedata.normalize("NFD", "Schlüssel für vier Wörter"))


def test_wrong_name_and_wrong_password_say_the_same(node: Node) -> None:
    node.set_user("ann", ADMIN)
    said = []
    for name, password in (("ann", "wrong"), ("bob", PASSWORD)):
        with pytest.raises(SignInFailed) as caught:
            node.login(name, password)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_an_unknown_name_costs_as_many_hashes_as_a_known_one(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.set_user("ann", ADMIN)
    asked: list[str] = []
    passwords = node.identity.passwords
    real = passwords._verify
    monkeypatch.setattr(passwords, "_verify", lambda kept, given: (asked.append(kept), real(kept, given))[1])
    for name in ("ann", "bob"):
        with pytest.raises(SignInFailed):
            node.login(name, "wrong")
    assert len(asked) == 2
    parameters = Passwords()._hasher
    memory, time = parameters.memory_cost, parameters.time_cost
    assert asked[1].startswith(f"$argon2id$v=19$m={memory},t={time},p={parameters.parallelism}$")


def test_guessing_at_a_name_is_slowed_and_never_for_good(node: Node) -> None:
    node.set_user("ann", ADMIN)
    for number in range(5):
        with pytest.raises(SignInFailed):
            node.login("ann", "wrong", source=f"192.0.2.{number}")
    with pytest.raises(Slowed) as caught:
        node.login("ann")
    assert caught.value.wait_s == 1
    node.now += 1
    node.login("ann")
    node.login("ann")


def test_a_whole_ipv6_network_counts_as_one_address(node: Node) -> None:
    node.identity.new_setup_code()
    for number in range(20):
        with pytest.raises(SignInFailed):
            asyncio.run(_set_up(node, "wrong", f"2001:db8::{number + 1:x}"))
    with pytest.raises(Slowed):
        asyncio.run(_set_up(node, "wrong", "2001:db8::ffff"))
    with pytest.raises(SignInFailed):
        asyncio.run(_set_up(node, "wrong", "2001:db8:0:1::1"))


def test_the_wait_doubles_has_an_end_and_is_forgotten() -> None:
    now = 0.0
    backoff = Backoff(2, lambda: now)
    waits: list[int] = []
    backoff.begin("ann")
    while len(waits) < 11:
        backoff.begin("ann")
        with pytest.raises(Slowed) as caught:
            backoff.begin("ann")
        waits.append(caught.value.wait_s)
        now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    now += 3601
    backoff.begin("ann")
    backoff.begin("ann")


def test_many_guesses_at_once_gain_nothing(node: Node) -> None:
    node.set_user("ann", ADMIN)

    async def all_at_once() -> list[object]:
        tries = [node.identity.login("ann", "wrong", None, HERE) for _ in range(50)]
        return list(await asyncio.gather(*tries, return_exceptions=True))

    kinds = [type(found) for found in asyncio.run(all_at_once())]
    assert (kinds.count(SignInFailed), kinds.count(Slowed)) == (5, 45)


def test_a_crowd_that_signs_in_is_sent_away_and_two_are_looked_at_at_once() -> None:
    passwords = Passwords(CHEAP)

    async def crowd() -> list[object]:
        return list(await asyncio.gather(*(passwords.hash("x") for _ in range(50)), return_exceptions=True))

    found = asyncio.run(crowd())
    assert [type(each) for each in found].count(Busy) == 50 - 16


def test_who_was_sent_away_by_a_crowd_has_guessed_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.set_user("ann", ADMIN)

    async def crowded(*_: object) -> bool:
        raise Busy

    with monkeypatch.context() as crowd:
        crowd.setattr(node.identity.passwords, "fits", crowded)
        for _ in range(30):
            with pytest.raises(Busy):
                node.login("ann")
    node.login("ann")


def test_traffic_goes_before_passwords() -> None:
    class Nosy:
        def hash(self, _: bytes) -> str:
            return str(os.getpriority(os.PRIO_PROCESS, 0))

    before = os.getpriority(os.PRIO_PROCESS, 0)
    found = asyncio.run(Passwords(Nosy()).hash("x"))  # type: ignore[arg-type]
    assert int(found) == min(before + 5, 19)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_a_second_factor_is_asked_for_and_each_code_works_once(node: Node) -> None:
    node.set_user("ann", ADMIN)
    secret, uri = node.identity.second_factors.begin("ann", "lb1")
    assert uri.startswith("otpauth://totp/")
    node.login("ann")
    totp = pyotp.TOTP(secret)
    with pytest.raises(Refused, match="clock"):
        node.identity.second_factors.confirm("ann", totp.at(node.now + 300))
    recovery = node.identity.second_factors.confirm("ann", totp.at(node.now))
    with pytest.raises(SecondFactorNeeded):
        node.login("ann")
    with pytest.raises(SignInFailed):
        node.login("ann", code=totp.at(node.now))  # has confirmed it
    node.now += 30
    code = totp.at(node.now)
    node.login("ann", code=code)
    for replayed in (code, totp.at(node.now - 30)):
        with pytest.raises(SignInFailed):
            node.login("ann", code=replayed)
    node.login("ann", code=recovery[0].upper())
    with pytest.raises(SignInFailed):
        node.login("ann", code=recovery[0])
    with pytest.raises(SignInFailed):
        node.login("ann", "wrong", code=recovery[1])
    node.login("ann", code=recovery[1])
    node.identity.reset_second_factor("ann")
    node.login("ann")


@pytest.mark.parametrize("drift", [-30, 30])
def test_a_phone_may_be_half_a_minute_off(node: Node, drift: int) -> None:
    node.set_user("ann", ADMIN)
    secret, _ = node.identity.second_factors.begin("ann", "lb1")
    node.identity.second_factors.confirm("ann", pyotp.TOTP(secret).at(node.now))
    node.now += 90
    node.login("ann", code=pyotp.TOTP(secret).at(node.now + drift))
    with pytest.raises(SignInFailed):
        node.login("ann", code=pyotp.TOTP(secret).at(node.now + 3 * drift))


def test_a_password_without_its_code_is_no_wrong_guess_but_wrong_codes_are(node: Node) -> None:
    node.set_user("ann", ADMIN)
    node.identity.users.set_second_factor("ann", pyotp.random_base32(), 0)
    for _ in range(30):
        with pytest.raises(SecondFactorNeeded):
            node.login("ann")
    for _ in range(5):
        with pytest.raises(SignInFailed):
            node.login("ann", code="000000")
    with pytest.raises(Slowed):
        node.login("ann", code="000000")


def test_the_last_administrator_stays(node: Node) -> None:
    node.set_user("ann", ADMIN)
    node.set_user("bob", (Grant(Role.ADMIN, ("Dicom*",)),))
    for deed in (lambda: node.identity.remove_user("ann"), lambda: node.set_user("ann", VIEWER, None)):
        with pytest.raises(Refused, match="last administrator"):
            deed()
    node.set_user("bob", ADMIN, None)
    node.identity.remove_user("ann")
    assert [user.name for user in node.identity.users.all()] == ["bob"]


def test_sessions_end_with_password_role_factor_and_user(node: Node) -> None:
    node.set_user("root", ADMIN)
    node.set_user("ann", VIEWER)
    node.set_user("bob", VIEWER)
    other = node.login("bob")
    deeds = (
        lambda: node.set_user("ann", ADMIN, None),
        lambda: node.set_user("ann", None, "another four words"),
        lambda: node.identity.reset_second_factor("ann"),
        lambda: node.identity.remove_user("ann"),
    )
    password = PASSWORD
    for number, deed in enumerate(deeds):
        key = node.login("ann", password)
        assert node.session(key).name == "ann"
        deed()
        password = "another four words" if number else PASSWORD
        with pytest.raises(NotKnown):
            node.session(key)
    assert node.session(other).name == "bob"


def test_who_others_vouch_for_is_nobody_of_ours(node: Node) -> None:
    node.set_user("ann", ADMIN)
    opened = node.identity.open_session("ann", VIEWER, HERE, "oidc")
    assert (opened.name, node.session(opened.key).grants) == ("oidc:ann", VIEWER)
    node.set_user("ann", None, "another four words")
    assert node.session(opened.key).way is Way.SESSION
    with pytest.raises(Refused, match="no user"):
        asyncio.run(node.identity.change_password("oidc:ann", "x", "another four words", HERE))


def test_changing_a_password_needs_the_old_one(node: Node) -> None:
    node.set_user("ann", ADMIN)
    key = node.login("ann")
    with pytest.raises(SignInFailed):
        asyncio.run(node.identity.change_password("ann", "wrong", "another four words", HERE))
    assert node.session(key)
    asyncio.run(node.identity.change_password("ann", PASSWORD, "another four words", HERE))
    node.login("ann", "another four words")


def test_a_token_comes_from_its_networks_only(node: Node) -> None:
    wish = TokenWish("prom", VIEWER, 60, (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))
    secret = node.identity.tokens.make(wish, "ann")
    assert secret is not None
    assert node.token(secret, "2001:db8::7").name == "token:prom"
    for source in ("192.0.3.1", "2001:db9::1", "socket", "unknown", ""):
        with pytest.raises(NotKnown, match="may not be used from"):
            node.token(secret, source)
    assert node.identity.tokens.make(wish, "bob") is None, "no second one of that name"
