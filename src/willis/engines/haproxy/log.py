"""The access log: what HAProxy tells of every connection and request, and to whom. Pure."""

from __future__ import annotations

from willis.engines.haproxy.files import HaproxyFiles
from willis.engines.haproxy.write import Writer
from willis.model.service import VirtualService


def head(writer: Writer, files: HaproxyFiles) -> None:
    """Sections that stand before all services."""


def front(writer: Writer, service: VirtualService) -> None:
    """The frontend's lines."""
