"""HTTP: headers about the client, the rules of the document, keep-alive and HTTP/2. Pure."""

from __future__ import annotations

from willis.engines.haproxy.files import HaproxyFiles
from willis.engines.haproxy.write import Token, Writer
from willis.model.service import VirtualService


def front(writer: Writer, service: VirtualService, files: HaproxyFiles) -> None:
    """The frontend's lines."""


def pool(writer: Writer, service: VirtualService) -> None:
    """The backend's lines."""


def server(service: VirtualService) -> tuple[Token, ...]:
    """What each server line says."""
    return ()
