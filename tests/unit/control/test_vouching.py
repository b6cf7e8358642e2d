"""Who is asked for a name and a password: the node itself, else a directory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from willis.control.backoff import Slowed
from willis.control.changes import Refused
from willis.control.database import Database
from willis.control.identity import Identity, SignInFailed
from willis.control.vouched import Person, Unproved
from willis.model.identity import Grant, Role

GRANTS = (Grant(Role.OPERATOR),)
CLIENT = "198.51.100.7"


@pytest.fixture
def identity(tmp_path: Path) -> Iterator[Identity]:
    database = Database(tmp_path / "willis.db")
    yield Identity(database, clock=lambda: 1000.0)
    database.close()


async def _directory(name: str, password: str) -> Person:
    if password == "away":
        raise Refused("no directory server can be asked")
    if password != "right":
        raise Unproved("name, password or code is wrong")
    return Person(name, GRANTS)


def test_a_directory_vouches_under_a_name_of_its_own(identity: Identity) -> None:
    identity.directory = _directory
    opened = asyncio.run(identity.login("carl", "right", None, CLIENT))
    assert opened.name == "ldap:carl"
    assert identity.caller(f"Willis-Session {opened.key}", CLIENT).grants == GRANTS


def test_guesses_at_a_directory_are_slowed_like_others(identity: Identity) -> None:
    identity.directory = _directory

    async def guess() -> None:
        for _ in range(100):
            with pytest.raises(SignInFailed):
                await identity.login("carl", "wrong", None, CLIENT)

    with pytest.raises(Slowed):
        asyncio.run(guess())


def test_who_meets_a_directory_that_is_away_has_guessed_nothing(identity: Identity) -> None:
    identity.directory = _directory

    async def drive() -> None:
        for _ in range(100):
            with pytest.raises(Refused):
                await identity.login("carl", "away", None, CLIENT)
        await identity.login("carl", "right", None, CLIENT)

    asyncio.run(drive())


def test_a_user_of_the_node_is_asked_of_nobody_else(identity: Identity) -> None:
    asked: list[str] = []

    def directory(name: str, password: str) -> None:
        asked.append(name)

    async def drive() -> None:
        await identity.set_user("ann", GRANTS, "a long enough sentence")
        identity.directory = directory
        await identity.login("ann", "a long enough sentence", None, CLIENT)
        assert asked == []
        with pytest.raises(SignInFailed):
            await identity.login("bob", "whatever it is", None, CLIENT)
        assert asked == ["bob"]

    asyncio.run(drive())
