"""DICOM: AE titles decide who may call, where an association goes and how many there are. Pure."""

from __future__ import annotations

from willis.engines.haproxy.files import HaproxyFiles
from willis.engines.haproxy.write import Writer
from willis.model.service import VirtualService


def front(writer: Writer, service: VirtualService, files: HaproxyFiles) -> None:
    """The frontend's lines."""


def pool(writer: Writer, service: VirtualService) -> None:
    """The backend's lines."""
