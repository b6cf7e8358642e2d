"""What kind of proxy a service is, as HAProxy has it. Pure."""

from __future__ import annotations

from willis.model.service import Forwarding, VirtualService


def is_http(service: VirtualService) -> bool:
    """Whether requests are read; else bytes are passed on."""
    return service.forwarding is Forwarding.PROXY and service.application.is_http
