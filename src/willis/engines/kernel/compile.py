"""From Config to the kernel settings that its services need. Pure.

Direct routing and the proxy need none: the layer-4 program sends before the kernel
routes. NAT and SNAT pass through the kernel's routing, twice:

- ``ip_forward`` and ``ipv6.conf.all.forwarding``: without them the node is no router.
- ``send_redirects`` off, on ``all`` and on each interface (the kernel takes either): with
  one arm, packets leave by the interface that they came by, and the node would tell
  servers and clients a way around itself. IPv6 has no such setting; the nft engine
  keeps those messages back.

A transparent proxy needs the same: the node is its servers' gateway, so it must pass on what
they send on their own account (C-MOVE to a modality), and must not tell them a way around itself.

Nothing else is set. ``rp_filter`` may stay strict: a translated packet comes in by the
interface by which its sender is reached, like any other.
See Documentation/networking/ip-sysctl.rst in the kernel.
"""

from __future__ import annotations

import re

from willis.model.config import Config
from willis.model.service import TRANSLATED
from willis.model.status import Status

FORWARD4 = "net.ipv4.ip_forward"
FORWARD6 = "net.ipv6.conf.all.forwarding"

_INTERFACE = r"[A-Za-z0-9][A-Za-z0-9/_-]{0,14}"
_NAME = re.compile(
    r"\Anet\.(?:ipv4\.ip_forward|ipv6\.conf\.all\.forwarding"
    rf"|ipv4\.conf\.{_INTERFACE}\.(?:send_redirects|accept_redirects|forwarding)"
    rf"|ipv6\.conf\.{_INTERFACE}\.forwarding)\Z"
)
_VALUE = re.compile(r"\A[0-9]{1,3}\Z")


def compile_settings(config: Config, status: Status) -> dict[str, str]:
    """Values by ``sysctl/NAME``. Names as in sysctl(8): a dot in an interface's name is a slash."""
    families = {s.vip.version for s in config.services if s.forwarding in TRANSLATED or s.transparent}
    settings = {}
    if 4 in families:
        settings[f"sysctl/{FORWARD4}"] = "1"
        for name in ("all", *(interface.name for interface in config.interfaces)):
            settings[f"sysctl/net.ipv4.conf.{name.replace('.', '/')}.send_redirects"] = "0"
    if 6 in families:
        settings[f"sysctl/{FORWARD6}"] = "1"
    return settings


def allowed(name: str, value: str) -> bool:
    """Whether Willis may ever write this: what it sets, and what it puts back."""
    return _NAME.match(name) is not None and _VALUE.match(value) is not None
