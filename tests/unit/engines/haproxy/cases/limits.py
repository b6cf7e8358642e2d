"""Limits, time-outs, reuse of connections and the PROXY protocol."""

from __future__ import annotations

from ipaddress import ip_network

from tests.builders import dr, site, web
from willis.model.config import Config
from willis.model.proxy import Http, KeepAlive, Limits, ProxyProtocol, ProxyTimeouts
from willis.model.service import Forwarding

_ALL = Limits(500, 20, 50, 200, 4 << 30, 16, (ip_network("10.60.0.0/24"), ip_network("2001:db8::/64")))
_WAITS = ProxyTimeouts(2, 20, 7200, 600, 5, 60)

CASES: dict[str, tuple[Config, dict[str, bool]]] = {
    "limits": (
        site(
            web("Web", 110, limits=_ALL, waits=_WAITS),
            dr(
                "Tcp",
                111,
                forwarding=Forwarding.PROXY,
                limits=Limits(per_client=4, per_server=2),
                waits=_WAITS,
            ),
            web("Behind", 112, limits=Limits(per_client=4), behind_proxies=True),
            web("Trusting", 113, limits=_ALL, http=Http(trust=(ip_network("10.60.9.0/24"),))),
        ),
        {},
    ),
    "connections": (
        site(
            web("Client", 110, http=Http(keep_alive=KeepAlive.CLIENT, compress=("text/html", "text/css"))),
            web("None", 111, http=Http(keep_alive=KeepAlive.NONE), proxy_protocol=ProxyProtocol.V1),
            web("H2", 112, http=Http(http2_to_servers=True), proxy_protocol=ProxyProtocol.V2),
        ),
        {},
    ),
}
