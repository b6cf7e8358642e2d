"""The manual's page on the routes is up to date, and the commands that it names are there.

``python -m tests.api.test_reference`` makes the page anew; read the diff.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.api.test_parity import OF_BROWSERS
from willis.__main__ import app as command_line
from willis.acme.account import Account
from willis.api.app import build
from willis.api.contract import contract
from willis.api.reference import reference
from willis.certificates.store import CertificateStore
from willis.control.controller import Controller
from willis.control.renewal import Renewal
from willis.control.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"


async def whole(path: Path) -> dict[str, Any]:
    """The contract of a node that has everything."""
    certificates = CertificateStore(path / "certificates")
    renewal = Renewal(certificates, Account(path / "acme"), path / "acme")
    controller = Controller("lb1", Store(path / "willis.db"), [], certificates, renewal=renewal)
    try:
        return contract(build(controller, path))
    finally:
        await controller.close()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return asyncio.run(whole(tmp_path_factory.mktemp("node")))


def test_the_page_is_up_to_date(found: dict[str, Any]) -> None:
    assert PAGE.read_text() == reference(found), "Make the page anew: python -m tests.api.test_reference"


def test_every_route_names_a_command_that_is_there(found: dict[str, Any]) -> None:
    known = set(commands(typer.main.get_command(command_line)))
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            route = path.removeprefix("/api/v1")
            command = operation.get("x-willis-command")
            if route in OF_BROWSERS:
                assert command is None
                continue
            assert command, f"{method.upper()} {route} has no command: name it in api/commands.py"
            words = tuple(takewhile(lambda word: word[0].isalpha() and word.islower(), command.split()))
            assert any(one[: len(words)] == words for one in known), command


def commands(one: Any, so_far: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Of the command line, each as its words."""
    for name, further in getattr(one, "commands", {}).items():
        yield from commands(further, (*so_far, name))
    if not hasattr(one, "commands"):
        yield so_far


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        PAGE.write_text(reference(asyncio.run(whole(Path(home)))))
