"""One node for all tests of the web process; those that stop something start it again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.web.node import PASSWORD, Node, running


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="willis-web-") as base:
        Path(base).chmod(0o711)
        with running(Path(base)) as node:
            with node.browser() as first:
                code = (node.state / "setup-code").read_text().strip()
                body = {"code": code, "name": "ann", "password": PASSWORD}
                first.post("/api/v1/setup", json=body).raise_for_status()
            yield node


@pytest.fixture
def ann(node: Node) -> Iterator[httpx.Client]:
    """A browser in which the administrator has signed in."""
    with node.browser() as client:
        client.post("/api/v1/login", json={"name": "ann", "password": PASSWORD}).raise_for_status()
        yield client
