"""HTTP: one request on a connection of its own, judged by status, header and body.

``dicomweb``, ``mint`` and ``fhir`` are requests that every such server must answer and that ask
its database: a study that does not exist, or the capabilities. Queries and bodies are never told.
"""

from __future__ import annotations

from dataclasses import dataclass

import h11

from willis.health.faults import Ended, where
from willis.health.trust import Trust
from willis.health.wire import Wire, ask
from willis.model.check import Check, CheckKind, Http, HttpAsk, HttpMethod, Target
from willis.model.status import Verdict
from willis.plan.verdict import Result
from willis.protocols.error import ProtocolError

_LARGEST_HEAD = 32 * 1024
_LARGEST_BODY = 64 * 1024
_AGENT = "Willis-check"


@dataclass(frozen=True, slots=True)
class _Preset:
    root: str
    path: str
    accept: str
    status: tuple[int, ...]
    says: str


_PRESETS = {
    CheckKind.DICOMWEB: _Preset(
        "/dicom-web",
        "/studies?PatientID=WILLIS-CHECK-NONE&limit=1",
        "application/dicom+json",
        (200, 204),
        "QIDO-RS",
    ),
    CheckKind.MINT: _Preset("", "/studies?studyuid=2.25.1", "*/*", (200,), "the MINT query"),
    CheckKind.FHIR: _Preset("", "/metadata", "application/fhir+json", (200,), "the FHIR capabilities"),
}


@dataclass(frozen=True, slots=True)
class _Order:
    """A request as it is sent, and the statuses that are right."""

    method: HttpMethod
    path: str
    accept: str
    status: tuple[int, ...]
    says: str


async def look(target: Target, check: Check, trust: Trust) -> Result:
    """One request. Never raises."""
    question = target.question
    assert isinstance(question, Http)  # noqa: S101 - chosen by its class

    async def talk(wire: Wire) -> Ended:
        try:
            return await _Exchange(wire, question).run()
        except h11.RemoteProtocolError as error:
            raise ProtocolError(str(error)) from error

    return await ask(target, check, trust, question.tls, talk, "HTTP")


def _order(question: Http) -> _Order:
    wanted = question.ask
    preset = _PRESETS.get(question.kind)
    if preset is None:
        said = f"{wanted.method} {wanted.path.partition('?')[0]}"
        return _Order(wanted.method, wanted.path, "*/*", wanted.status, said)
    root = (preset.root if wanted.root is None else wanted.root).rstrip("/")
    return _Order(
        HttpMethod.GET, root + preset.path, preset.accept, wanted.status or preset.status, preset.says
    )


class _Exchange:
    """A request and its answer."""

    def __init__(self, wire: Wire, question: Http) -> None:
        self.wire = wire
        self.kind = question.kind
        self.ask: HttpAsk = question.ask
        self.order = _order(question)
        self.connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)

    async def run(self) -> Ended:
        request = h11.Request(method=str(self.order.method), target=self.order.path, headers=self._headers())
        raw = (self.connection.send(request) or b"") + (self.connection.send(h11.EndOfMessage()) or b"")
        said = f"{self.order.method} {self.order.path.partition('?')[0]}"
        self.wire.send(raw, said, f"the answer to {said}")
        self.wire.asks_database = self.kind in (CheckKind.DICOMWEB, CheckKind.MINT)
        answer = await self._head()
        self.wire.heard(f"HTTP {answer.status_code}")
        wrong = self._wrong_status(answer.status_code) or self._wrong_header(answer)
        if wrong is not None:
            return wrong
        good = Ended(Verdict.UP, f"answers {self.order.says} with {answer.status_code}")
        if self.ask.body is None:
            self.wire.judge(good)
        body = await self._body()
        if self.ask.body is not None and not _holds(body, self.ask.body):
            self.wire.heard(f"{len(body)} bytes of body without http.body")
            return self._no(Verdict.FAILING, "but its body lacks what http.body says")
        return good

    def _headers(self) -> list[tuple[str, str]]:
        own = {
            "host": self.ask.host or where(self.wire.target),
            "user-agent": _AGENT,
            "accept": self.order.accept,
            "connection": "close",
        }
        asked = {field.name.lower(): field.value for field in self.ask.headers}
        return list((own | asked).items())

    async def _head(self) -> h11.Response:
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise self.wire.closed()

    async def _body(self) -> bytes:
        """The first 64 KiB. A body that breaks off is as long as it came."""
        found = bytearray()
        while len(found) < _LARGEST_BODY:
            event = await self._event()
            if not isinstance(event, h11.Data):
                break
            found += event.data
        return bytes(found[:_LARGEST_BODY])

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self.connection.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            data = await self.wire.receive()
            if not data and self.connection.their_state is h11.SEND_RESPONSE:
                raise self.wire.closed()
            self.connection.receive_data(data)

    def _wrong_status(self, code: int) -> Ended | None:
        wanted = self.order.status
        if code in wanted if wanted else 200 <= code < 400:
            return None
        expected = " or ".join(map(str, wanted)) or "200 to 399"
        if 400 <= code < 500:
            return self._no(
                Verdict.MISCONFIGURED,
                f"with {code} instead of {expected}; look at the check's path, host and headers",
            )
        return self._no(Verdict.FAILING, f"with {code} instead of {expected}")

    def _wrong_header(self, answer: h11.Response) -> Ended | None:
        wanted = self.ask.header
        if wanted is None:
            return None
        values = [v.decode("latin-1") for name, v in answer.headers if name.decode() == wanted.name.lower()]
        if any(wanted.value in value for value in values):
            return None
        return self._no(Verdict.FAILING, f"without the header {wanted.name} that http.header says")

    def _no(self, verdict: Verdict, how: str) -> Ended:
        return Ended(
            verdict, f"{where(self.wire.target)} answers {self.order.says}, {how}".replace(", with", " with")
        )


def _holds(body: bytes, pattern: str) -> bool:
    """Whether the pieces between ``*`` stand in ``body`` one after the other. In linear time."""
    at = 0
    for piece in pattern.encode("ascii").split(b"*"):
        found = body.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return True
