"""Ports for servers that must be told one before they start."""

from __future__ import annotations

import itertools
import os
import socket

_FIRST, _END = 12_000, 32_000
"""Below the ports that the kernel gives to clients, so nobody comes by one before it is bound."""
_next = itertools.count(os.getpid() * 37)


def free_port(host: str = "") -> int:
    """A TCP port of ``host``, all addresses by default, that nobody listens on; another one at each call."""
    for number in _next:
        port = _FIRST + number % (_END - _FIRST)
        try:
            with socket.create_server((host, port)):
                return port
        except OSError:
            continue
    raise AssertionError
