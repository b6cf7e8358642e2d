"""Speaks REST to an engine, here or on another node, and turns every failure into one sentence."""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from willis.cli.remote import Remote

DEFAULT_SOCKET = Path("/run/willis/engine.sock")

Json = dict[str, Any]

_AGAIN_S = 1.0
_LOGIN = "/login"
_COOKIE = "__Host-willis"
"""By which the web process gives the session of whoever signs in; the engine's own sockets say it."""


class Unreachable(Exception):
    """No engine answers (exit code 3)."""


class Broken(Unreachable):
    """The connection broke before the answer came: nobody knows here whether it was done."""


class Refusal(Exception):
    """The engine refused or failed (exit code 1). ``kind``: one of ``willis api problems``; empty: none."""

    def __init__(self, detail: str, problems: list[Json], kind: str = "") -> None:
        super().__init__(detail)
        self.problems = problems
        self.kind = kind


def route(form: str, *parts: object) -> str:
    """``/services/MWL`` of ``("/services/{}", "MWL")``: all that a person typed into a route.

    No name reaches another route or becomes a query: even a quoted ``/``, and dots alone, would be
    taken for steps of the path, and are refused. Raises Refusal.
    """
    names = [str(part) for part in parts]
    for name in names:
        if name in ("", ".", "..") or "/" in name or not name.isprintable():
            raise Refusal(f"{json.dumps(name)} is no name: none has a '/' or unprintable characters", [])
    return form.format(*(quote(name, safe="") for name in names))


class Client:
    """One engine. ``timeout`` covers a whole request: an apply may wait for a reload."""

    def __init__(self, place: Path | Remote, timeout: float = 60.0, session: str | None = None) -> None:
        """``place``: its socket, or another node. ``session``: asked as the person who signed in."""
        self.place = place
        self._timeout = timeout
        self._session = session

    def signed_in(self, body: Json) -> Client:
        """The same engine, asked as the person of ``body`` (name, password and perhaps a code)."""
        with self._http(self._timeout) as http:
            answer = http.post(f"/api/v1{_LOGIN}", json=body)
        if not answer.is_success:
            raise _refusal(answer)
        session = answer.cookies.get(_COOKIE) or answer.json()["session"]
        return Client(self.place, self._timeout, session)

    def get(self, route: str) -> Json:
        return self._ask("GET", route, None)

    def post(self, route: str, body: Json) -> Json:
        """Over a network its key keeps it from being done twice: sent again once if the connection breaks."""
        if not isinstance(self.place, Remote):
            return self._ask("POST", route, body)
        headers = {"Idempotency-Key": str(uuid4())}
        try:
            return self._ask("POST", route, body, headers=headers)
        except Broken:
            return self._again(route, body, headers)

    def _again(self, route: str, body: Json, headers: dict[str, str]) -> Json:
        """The answer of what may still be carried out."""
        end = time.monotonic() + self._timeout
        while True:
            try:
                return self._ask("POST", route, body, headers=headers)
            except Refusal as refusal:
                if refusal.kind != "still-running" or time.monotonic() > end:
                    raise
            time.sleep(_AGAIN_S)

    def put(self, route: str, body: Json) -> Json:
        return self._ask("PUT", route, body)

    def delete(self, route: str) -> Json:
        return self._ask("DELETE", route, None)

    def change(
        self, method: str, route: str, etag: str, *, body: Json | None = None, query: Json | None = None
    ) -> Json:
        """Change what has this ETag still."""
        headers = {"If-Match": f'"{etag}"'}
        return self._ask(method, route, body, headers=headers, params=query)

    def bytes(self, route: str, body: Json) -> bytes:
        """What a request makes that is no text."""
        with self._http(self._timeout) as http:
            answer = http.post(f"/api/v1{route}", json=body)
        if not answer.is_success:
            raise _refusal(answer)
        return answer.content

    def text(self, route: str) -> str:
        """An answer that is no JSON."""
        with self._http(self._timeout) as http:
            answer = http.get(f"/api/v1{route}")
        if not answer.is_success:
            raise _refusal(answer)
        return answer.text

    def lines(self, route: str) -> Iterator[Json]:
        """A JSON object for each line of an answer that goes on until the engine or the caller ends it."""
        return map(json.loads, self.raw_lines(route))

    def raw_lines(self, route: str) -> Iterator[str]:
        """The same as text, for what is no JSON."""
        with self._http(None) as http, http.stream("GET", f"/api/v1{route}") as answer:
            if not answer.is_success:
                answer.read()
                raise _refusal(answer)
            yield from answer.iter_lines()

    def _ask(self, method: str, route: str, body: Json | None, **more: Any) -> Json:  # noqa: ANN401 - httpx' own
        with self._http(self._timeout) as http:
            answer = http.request(method, f"/api/v1{route}", json=body, **more)
        if not answer.is_success:
            raise _refusal(answer)
        content: Json = answer.json()
        return content

    @contextmanager
    def _http(self, timeout: float | None) -> Iterator[httpx.Client]:
        """A connection to the engine; ``timeout``: seconds for an answer, None: as long as it takes."""
        place = self.place
        name = place.url if isinstance(place, Remote) else str(place)
        try:
            with _connection(place, timeout, self._session) as http:
                yield http
        except (httpx.InvalidURL, UnicodeError):
            detail = "a name or text here has characters that none may have; look for line ends and bad UTF-8"
            raise Refusal(detail, []) from None
        except httpx.TimeoutException:
            raise Unreachable(
                f"the engine at {name} did not answer within {self._timeout:.0f} s; see its log"
            ) from None
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
            what = f"the connection to {name} broke before the answer came ({error})"
            raise Broken(f"{what}; 'willis audit list' says what was done") from None
        except httpx.HTTPError as error:
            remedy = (
                "see WILLIS_URL, and WILLIS_CA or WILLIS_FINGERPRINT"
                if isinstance(place, Remote)
                else "start one with 'willis engine' or a twin with 'willis lab up'"
            )
            raise Unreachable(f"no engine answers at {name} ({error}); {remedy}") from None


def _connection(place: Path | Remote, timeout: float | None, session: str | None) -> httpx.Client:
    proof = f"Willis-Session {session}" if session else None
    if isinstance(place, Remote):
        proof = proof or (f"Bearer {place.token}" if place.token else None)
        url, transport = place.url, httpx.HTTPTransport(verify=place.trust)
    else:
        # No TLS here. Left alone, httpx reads all of the system's authorities for it: half a command's time.
        no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        url, transport = "http://engine", httpx.HTTPTransport(uds=str(place), verify=no_tls)
    headers = {"Authorization": proof} if proof else {}
    return httpx.Client(transport=transport, base_url=url, timeout=timeout, headers=headers, trust_env=False)


def socket_path(twin: Path | None) -> tuple[Path, bool]:
    """The socket to ask, and whether it is a twin's: $WILLIS_SOCKET, this machine's engine, or ``twin``."""
    named = os.environ.get("WILLIS_SOCKET")
    if named:
        return Path(named), False
    if DEFAULT_SOCKET.exists() or twin is None:
        return DEFAULT_SOCKET, False
    return twin, True


def _refusal(answer: httpx.Response) -> Refusal:
    try:
        content: Json = answer.json()
    except ValueError:
        return Refusal(f"the engine failed (HTTP {answer.status_code}); see its log", [])
    kind = str(content.get("type", "")).rpartition("/")[2]
    return Refusal(_detail(content), content.get("problems", []), kind)


def _detail(content: Json) -> str:
    detail = content.get("detail", "the engine refused without a reason")
    return detail if isinstance(detail, str) else "; ".join(str(d.get("msg", d)) for d in detail)
