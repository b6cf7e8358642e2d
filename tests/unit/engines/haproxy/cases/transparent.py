"""Real servers that see the client's own address."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address

from tests.builders import dr, site, web
from willis.model.config import Config
from willis.model.service import Application, Forwarding, RealServer

_VNA = RealServer("vna1", IPv6Address("2001:db8::11"))

CASES: dict[str, tuple[Config, dict[str, bool]]] = {
    "transparent": (
        site(
            dr("Dicom", 110, forwarding=Forwarding.PROXY, transparent=True),
            dr("Hl7", 111, 2398, forwarding=Forwarding.PROXY, application=Application.HL7, transparent=True),
            replace(web("V6", transparent=True, pool=(_VNA,)), vip=IPv6Address("2001:db8::1")),
            web("Plain", 112),
        ),
        {},
    ),
}
