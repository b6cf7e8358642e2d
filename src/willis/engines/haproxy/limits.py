"""Limits and time-outs: of connections, requests, bodies, queues. Pure."""

from __future__ import annotations

from willis.engines.haproxy.write import Token, Writer
from willis.model.service import VirtualService


def front(writer: Writer, service: VirtualService) -> None:
    """The frontend's lines."""


def pool(writer: Writer, service: VirtualService) -> None:
    """The backend's lines."""


def server(service: VirtualService) -> tuple[Token, ...]:
    """What each server line says."""
    return ()
