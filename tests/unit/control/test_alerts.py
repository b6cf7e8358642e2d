"""Webhooks, mail and syslog, against small servers of the test's own."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from willis.control import alerts as room
from willis.control.alerts import Alerter
from willis.control.receivers import Message, syslog_line
from willis.control.secrets import Secrets
from willis.model.alerts import Alerts, Mail, MailTls, Syslog, Transport, Webhook
from willis.model.event import Event, Severity

EVENT = Event(7, Severity.ERROR, "DicomRouting", "no server takes new connections", 1_795_520_061.5)
NO_SECRETS = Secrets(Path("/nowhere/secrets"))
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(talk: Talk) -> Any:
    found = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield found.sockets[0].getsockname()[1]
    finally:
        found.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def alerter() -> Alerter:
    return Alerter("lb1", lambda name: Path("/nowhere") / name, NO_SECRETS)


def test_a_webhook_gets_the_event_as_json() -> None:
    heard: list[Any] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(re.search(r"content-length: (\d+)", head, re.IGNORECASE)[1])  # type: ignore[index]
        heard.append(json.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    async def story() -> None:
        async with server(talk) as port:
            told = alerter()
            told.tell(EVENT, Alerts(webhooks=(Webhook(f"http://127.0.0.1:{port}/hook"),)))
            await until(lambda: bool(heard))
            told.close()

    asyncio.run(story())
    assert heard[0]["about"] == "DicomRouting"
    assert heard[0]["state"] == "begins"
    assert heard[0]["severity"] == "error"


def test_mail_is_sent() -> None:
    heard: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org\r\n")
        data = False
        while line := (await reader.readline()).decode():
            heard.append(line.rstrip())
            if data and line != ".\r\n":
                continue
            data = line.upper().startswith("DATA")
            writer.write(b"354 go on\r\n" if data else b"250 fine\r\n")
        writer.close()

    async def story() -> None:
        async with server(talk) as port:
            told = alerter()
            mail = Mail("127.0.0.1", "willis@example.org", ("pacs@example.org",), port, MailTls.NONE)
            told.tell(EVENT, Alerts(mail=(mail,)))
            await until(lambda: any("no server takes" in line for line in heard))
            told.close()

    asyncio.run(story())
    assert any(line.lower().startswith("rcpt to:<pacs@example.org>") for line in heard)
    assert any(line.startswith("Subject: [lb1] error: DicomRouting") for line in heard)


def test_syslog_over_tcp_counts_its_octets() -> None:
    heard = b""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard += await reader.read()
        writer.close()

    async def story() -> None:
        async with server(talk) as port:
            told = alerter()
            told.tell(EVENT, Alerts(syslog=(Syslog("127.0.0.1", port, Transport.TCP),)))
            await until(lambda: bool(heard))
            told.close()

    asyncio.run(story())
    length, _, line = heard.partition(b" ")
    assert int(length) == len(line)
    assert re.match(rb"<27>1 2026-11-24T\d\d:\d\d:21\.500Z \S+ willis \d+ event - \xef\xbb\xbferror: ", line)


def test_a_line_of_syslog_is_one_line() -> None:
    odd = Event(1, Severity.INFO, "x\n<1>1 forged", "a\0b\r\nc", 0.0)
    assert not re.search(rb"[\x00-\x1f]", syslog_line(Message("lb1", odd)))


def test_who_is_gone_is_tried_again_and_called_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_SLOWEST_S", 0.05)

    async def story() -> None:
        told = alerter()
        told.tell(EVENT, Alerts(webhooks=(Webhook("http://127.0.0.1:9/secret-token"),)))
        await until(lambda: any(told.failures()))
        (failure,) = told.failures()
        assert failure.about == "alerts to webhook 127.0.0.1:9"
        assert "secret-token" not in failure.what
        told.close()

    asyncio.run(story())


def test_no_more_than_ten_a_minute_and_the_rest_is_counted() -> None:
    heard: list[bytes] = []
    now = 0.0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    async def story() -> None:
        nonlocal now
        async with server(talk) as port:
            told = Alerter("lb1", Path, NO_SECRETS, lambda: now)
            alerts = Alerts(syslog=(Syslog("127.0.0.1", port, Transport.TCP),))
            for _ in range(500):
                told.tell(EVENT, alerts)
            await until(lambda: len(heard) == 10)
            now = 61.0
            told.tell(EVENT, alerts)
            await until(lambda: len(heard) == 11)
            told.close()

    asyncio.run(story())
    assert b"490 more events were not sent" in heard[-1]


def test_what_is_below_the_least_is_not_told() -> None:
    async def story() -> None:
        told = alerter()
        told.tell(EVENT, Alerts(webhooks=(Webhook("http://127.0.0.1:9/"),), least=Severity.ERROR))
        assert len(told._lines) == 1
        other = alerter()
        info = Event(1, Severity.INFO, "vna1", "in drain by an administrator", 0.0)
        other.tell(info, Alerts(webhooks=(Webhook("http://127.0.0.1:9/"),)))
        assert not other._lines
        told.close()

    asyncio.run(story())
