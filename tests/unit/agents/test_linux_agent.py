"""The agent for Linux servers, as a process of its own, asked as the engine asks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.ports import free_port
from willis.health.agent import Asked, Silent, ask
from willis.model.feedback import Feedback, FeedbackKind
from willis.plan.feedback import Said

AGENT = Path(__file__).parents[3] / "agents/linux/willis_agent.py"
HERE = IPv4Address("127.0.0.1")


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    port = free_port(str(HERE))
    words = [sys.executable, "-I", str(AGENT), "--address", str(HERE), "--port", str(port)]
    agent = subprocess.Popen([*words, "--state", str(tmp_path), "--connections", "100000"])
    try:
        yield Asked(HERE, Feedback(port=port))
    finally:
        agent.kill()
        agent.wait()


async def answer(asked: Asked) -> Said:
    async with asyncio.timeout(20):
        while True:
            try:
                return await ask(asked)
            except Silent:
                await asyncio.sleep(0.05)


def test_it_says_what_is_left_and_drains_while_a_file_is_there(asked: Asked, tmp_path: Path) -> None:
    said = asyncio.run(answer(asked))
    assert said.percent is not None
    assert 1 <= said.percent <= 100
    assert said.away is False
    (tmp_path / "drain").touch()
    assert asyncio.run(answer(asked)).away is True


def test_nobody_there_is_said_in_a_sentence() -> None:
    with pytest.raises(Silent, match="onnect"):
        asyncio.run(ask(Asked(HERE, Feedback(port=free_port()))))


def test_http_servers_are_asked_too() -> None:
    async def story() -> Said:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"GET /load HTTP/1.1")
            body = b'{"percent": 35, "state": "drain"}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            writer.close()

        async with await asyncio.start_server(talk, str(HERE), 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await ask(Asked(HERE, Feedback(FeedbackKind.HTTP, port)))

    assert asyncio.run(story()) == Said(35, True)


def test_an_endless_answer_is_cut() -> None:
    async def story() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)
            writer.close()

        async with await asyncio.start_server(talk, str(HERE), 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Silent, match="longer than"):
                await ask(Asked(HERE, Feedback(FeedbackKind.HTTP, port)))

    asyncio.run(story())
