"""Connecting in time though packets get lost.

TCP repeats a lost SYN after a whole second (RFC 6298, 2.1), which is as long as a look may
take. So a second and a third SYN go out, each from a socket of its own, when a third and two
thirds of the time have passed in silence; whichever is answered first counts. A server that
answers at once sees one.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from willis.health import faults
from willis.health.faults import Ended
from willis.model.check import Target

_TRIES = 3


class Knock:
    """The sockets of one look. Leaving the context closes all but the one that was ``taken``."""

    def __init__(
        self,
        target: Target,
        prepare: Callable[[socket.socket], None],
        opened: Callable[[socket.socket], None],
    ) -> None:
        """``prepare``: options before connecting. ``opened``: called in the moment of the answer."""
        self._target = target
        self._prepare = prepare
        self._opened = opened
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[tuple[int, socket.socket] | None] = self._loop.create_future()
        self._sockets: list[tuple[socket.socket, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._step_s = 0.0

    def __enter__(self) -> Knock:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for sock, descriptor in self._sockets:
            # Once closed, the number may already be another look's.
            if sock.fileno() == descriptor:
                self._loop.remove_writer(descriptor)
                sock.close()

    async def answer(self, timeout_s: float) -> int | None:
        """SO_ERROR of the first that is answered; None for silence. Raises Ended, OSError."""
        self._step_s = timeout_s / _TRIES
        self._try()
        found = await self._answer
        return None if found is None else found[0]

    def taken(self) -> socket.socket:
        """The connected socket, the caller's from now on."""
        found = self._answer.result()
        assert found is not None  # noqa: S101 - there was an answer
        self._sockets = [each for each in self._sockets if each[0] is not found[1]]
        return found[1]

    def _try(self) -> None:
        """The next SYN, and a timer for what follows its silence. (A task a look would cost far more.)"""
        if self._answer.done():
            return
        if len(self._sockets) == _TRIES:
            self._answer.set_result(None)
            return
        try:
            self._send()
        except (Ended, OSError) as error:
            self._answer.set_exception(error)
            return
        self._timer = self._loop.call_later(self._step_s, self._try)

    def _send(self) -> None:
        target = self._target
        family = socket.AF_INET6 if target.address.version == 6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        descriptor = sock.fileno()
        self._sockets.append((sock, descriptor))
        self._prepare(sock)
        code = sock.connect_ex((str(target.address), target.port))
        if code not in (0, errno.EINPROGRESS):
            raise faults.at_once(code, target)

        def answered() -> None:
            self._loop.remove_writer(descriptor)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._opened(sock)
            if not self._answer.done():
                self._answer.set_result((error, sock))

        self._loop.add_writer(descriptor, answered)
