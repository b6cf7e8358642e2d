"""Asks servers how much they can take. Never raises OSError; what is wrong is said in a sentence."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

import httpx

from willis.model.feedback import Feedback, FeedbackKind
from willis.model.service import Address
from willis.plan.feedback import Said, Unreadable, read_json, read_line

_LONGEST = 4096
_PATIENCE_S = 2.0
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""httpx reads all of the system's authorities for each client that is given none."""


class Silent(Exception):
    """No usable answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked. Services that ask the same share the answer."""

    address: Address
    feedback: Feedback


async def ask(asked: Asked) -> Said:
    """One answer. Raises Silent."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            if asked.feedback.kind is FeedbackKind.AGENT:
                return read_line(await _line(str(asked.address), asked.feedback.port))
            return read_json(await _page(asked))
    except (OSError, httpx.HTTPError) as error:
        raise Silent(str(error) or type(error).__name__) from error
    except TimeoutError:
        raise Silent(f"no answer within {_PATIENCE_S:g} s") from None
    except Unreadable as error:
        raise Silent(str(error)) from error


async def _line(host: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        return (await reader.read(_LONGEST)).split(b"\n")[0].decode("ascii", "replace")
    finally:
        writer.close()


async def _page(asked: Asked) -> str:
    host = f"[{asked.address}]" if asked.address.version == 6 else str(asked.address)
    url = f"http://{host}:{asked.feedback.port}{asked.feedback.path}"
    async with httpx.AsyncClient(verify=_NO_TLS, trust_env=False) as http, http.stream("GET", url) as answer:
        if not answer.is_success:
            raise Unreadable(f"it answered HTTP {answer.status_code}")
        body = b""
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > _LONGEST:
                raise Unreadable(f"its answer is longer than {_LONGEST} bytes")
        return body.decode("utf-8", "replace")
