"""TLS towards clients and towards real servers. Pure."""

from __future__ import annotations

from willis.engines.haproxy.files import HaproxyFiles
from willis.engines.haproxy.write import Token, Writer
from willis.model.service import VirtualService


def bind(service: VirtualService, files: HaproxyFiles) -> tuple[Token, ...]:
    """What each bind line says."""
    return ()


def front(writer: Writer, service: VirtualService) -> None:
    """The frontend's lines."""


def server(service: VirtualService, files: HaproxyFiles) -> tuple[Token, ...]:
    """What each server line says."""
    return ()
