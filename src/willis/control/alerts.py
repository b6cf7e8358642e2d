"""Tells people and machines of events, as the document says: webhooks, mail, syslog.

Each receiver has a queue of its own, so one that is gone delays no other. It is tried again,
slower and slower, and that it is gone is an event too. No receiver gets more than ten
messages a minute: the rest is counted, and the count is told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator

from willis.control.receivers import Failed, Find, Message, Receiver, receiver
from willis.control.secrets import Secrets
from willis.model.alerts import Alerts, Mail, Syslog, Webhook
from willis.model.event import Condition, Event, Severity

log = logging.getLogger("willis.alerts")

_A_MINUTE = 10
_WAITING = 200
_SLOWEST_S = 300.0

Setting = Webhook | Mail | Syslog


class Alerter:
    """Made and used in the event loop's thread."""

    def __init__(
        self, node: str, find: Find, secrets: Secrets, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._node = node
        self._find = find
        self._secrets = secrets
        self._clock = clock
        self._lines: dict[Setting, _Line] = {}

    def tell(self, event: Event, alerts: Alerts) -> None:
        """Send it to whom it concerns, later and in another task."""
        wanted: set[Setting] = {*alerts.webhooks, *alerts.mail, *alerts.syslog}
        for setting in self._lines.keys() - wanted:
            self._lines.pop(setting).close()
        if event.severity.rank < alerts.least.rank:
            return
        for setting in wanted:
            if setting not in self._lines:
                self._lines[setting] = _Line(receiver(setting, self._find, self._secrets), self._clock)
            self._lines[setting].put(Message(self._node, event))

    def failures(self) -> Iterator[Condition]:
        """Receivers that get nothing at the moment."""
        for line in self._lines.values():
            if line.failure is not None:
                what = f"cannot be told of events: {line.failure}"
                yield Condition(Severity.WARNING, f"alerts to {line.name}", what, "silence")

    def close(self) -> None:
        for line in self._lines.values():
            line.close()


class _Line:
    """One receiver with its queue."""

    def __init__(self, to: Receiver, clock: Callable[[], float]) -> None:
        self.name = to.name
        self.failure: str | None = None
        self._to = to
        self._clock = clock
        self._queue: asyncio.Queue[Message] = asyncio.Queue(_WAITING)
        self._sent: deque[float] = deque(maxlen=_A_MINUTE)
        self._left_out = 0
        self._task = asyncio.get_running_loop().create_task(self._work())

    def put(self, message: Message) -> None:
        now = self._clock()
        if (len(self._sent) == _A_MINUTE and now - self._sent[0] < 60) or self._queue.full():
            self._left_out += 1
            return
        self._sent.append(now)
        left_out, self._left_out = self._left_out, 0
        self._queue.put_nowait(Message(message.node, message.event, left_out))

    def close(self) -> None:
        self._task.cancel()

    async def _work(self) -> None:
        while True:
            message = await self._queue.get()
            pause = 1.0
            while not await self._try(message):
                await asyncio.sleep(pause)
                pause = min(pause * 2, _SLOWEST_S)

    async def _try(self, message: Message) -> bool:
        try:
            await self._to.send(message)
        except Failed as error:
            self.failure = str(error)
            log.warning("%s was not told: %s", self.name, error)
            return False
        self.failure = None
        return True
