"""Where the parts of a service stand in the document."""

from __future__ import annotations

from collections.abc import Iterator

from willis.config.problem import Path
from willis.model.service import RealServer, VirtualService


def at(service: VirtualService, *rest: str | int) -> Path:
    """The path of a part of ``service``."""
    return ("services", service.name, *rest)


def servers(service: VirtualService) -> Iterator[tuple[Path, RealServer]]:
    """Every real server of ``service`` with its path; the fallback server last."""
    for i, server in enumerate(service.pool):
        yield at(service, "pool", i), server
    if service.fallback is not None:
        yield at(service, "fallback"), service.fallback
