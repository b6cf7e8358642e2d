"""Values to model: defaults are filled in and names of hosts become real servers.

Where a value was broken and already reported, a harmless stand-in takes its place, so that
the rules can still judge everything else. Whatever rests on a stand-in is not reported
(``Fault.rests_on``), and a config with stand-ins never leaves this room.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from willis.config.build_check import build_check
from willis.config.document import HOST, MOST_PORTS, SERVICE, SITE
from willis.config.make import make
from willis.config.parse import guess
from willis.config.problem import Fault, Path, did_you_mean, shown
from willis.config.scalars import Span
from willis.model.alerts import Alerts
from willis.model.check import Check
from willis.model.config import Config
from willis.model.node import Attach, Host, Interface
from willis.model.persistence import Persistence
from willis.model.service import (
    Address,
    Application,
    Forwarding,
    Need,
    Protocol,
    RealServer,
    Scheduler,
    Timeouts,
    VirtualService,
)
from willis.model.sign_in import SignIn

Fields = dict[str, Any]

_NOWHERE: Address = IPv4Address(0)
PROXY_KEYS = {
    "proxy-timeouts": "waits",
    "limits": "limits",
    "tls": "tls",
    "server-tls": "server_tls",
    "proxy-protocol": "proxy_protocol",
    "behind-proxies": "behind_proxies",
    "transparent": "transparent",
    "quick-acknowledge": "quick_acknowledge",
    "http": "http",
    "dicom": "dicom",
}
"""Keys of a service that become fields of the model as they are (``make``)."""
_TIMEOUT_FIELDS = {"established": "established_s", "closing": "closing_s", "datagram": "datagram_s"}


def build(site: Fields, faults: list[Fault]) -> Config:
    """The config of a parsed document; unknown hosts go to ``faults``."""
    hosts = {name: _host(name, fields or {}) for name, fields in site.get("hosts", {}).items()}
    known = hosts if "hosts" in site else None
    defaults: Fields = site.get("defaults", {})
    return Config(
        site=site.get("site", ""),
        interfaces=tuple(_interface(*item) for item in site.get("interfaces", {}).items()),
        hosts=tuple(hosts.values()),
        services=tuple(
            _Service(name, fields or {}, defaults, known, faults).build()
            for name, fields in site.get("services", {}).items()
        ),
        acme=make(SITE.by_name["acme"].kind, site.get("acme")),
        alerts=make(SITE.by_name["alerts"].kind, site.get("alerts")) or Alerts(),
        access=make(SITE.by_name["access"].kind, site.get("access")) or SignIn(),
        audit=make(SITE.by_name["audit"].kind, site.get("audit") or ()),
    )


def _host(name: str, fields: Fields) -> Host:
    needs: tuple[Need, ...] = make(HOST.by_name["needs"].kind, fields.get("needs", ()))
    return Host(name, fields.get("address", _NOWHERE), needs)


def _interface(name: str, fields: Fields | None) -> Interface:
    fields = fields or {}
    addresses = tuple(own for own in fields.get("addresses", ()) if own is not None)
    return Interface(name, addresses, fields.get("attach", Attach.TCX))


class _Service:
    """One service while it is built. ``hosts`` is None where that section could not be read."""

    def __init__(
        self,
        name: str,
        fields: Fields,
        defaults: Fields,
        hosts: dict[str, Host] | None,
        faults: list[Fault],
    ) -> None:
        self.name = name
        self.fields = fields
        self.defaults = defaults
        self.hosts = hosts
        self.faults = faults
        self.ports = self._ports()
        self.forwarding: Forwarding = fields.get("forwarding", Forwarding.PROXY)
        self.vip: Address = fields.get("vip", _NOWHERE)

    def build(self) -> VirtualService:
        fields, defaults = self.fields, self.defaults
        return VirtualService(
            name=self.name,
            vip=self.vip,
            ports=self.ports,
            forwarding=self.forwarding,
            check=self._check(),
            pool=tuple(self._pool()),
            protocol=fields.get("protocol", Protocol.TCP),
            application=fields.get("application", Application.GENERIC),
            scheduler=fields.get("scheduler") or defaults.get("scheduler") or Scheduler.WLC,
            persistence=self._persistence(),
            fallback=self._fallback(),
            floor=fields.get("floor", 0),
            slow_start_s=fields.get("slow-start", 0),
            watermarks=make(SERVICE.by_name["watermarks"].kind, fields.get("watermarks")),
            feedback=make(SERVICE.by_name["feedback"].kind, fields.get("feedback")),
            source=fields.get("source"),
            one_packet=fields.get("one-packet", False),
            timeouts=self._timeouts(),
            **self._proxy(),
        )

    def _ports(self) -> tuple[int, ...]:
        """Every port once, ascending; none if there are too many. Ranges that meet are reported."""
        path: Path = ("services", self.name, "ports")
        given: list[Span | None] = self.fields.get("ports", [])
        spans = [(i, span) for i, span in enumerate(given) if span is not None]
        total = sum(len(span.ports) for _, span in spans)
        if total > MOST_PORTS:
            what = f"These are {total:,} ports; Willis takes at most {MOST_PORTS:,} a service."
            self.faults.append(Fault(path, what, "Spread them over several services."))
            return ()
        found: dict[int, Span] = {}
        for i, span in spans:
            for port in span.ports:
                other = found.setdefault(port, span)
                if other != span:
                    what = f"Port {port} is already in {other}."
                    self.faults.append(Fault((*path, i), what, "Name each port once."))
                    break
        return tuple(sorted(found))

    def _timeouts(self) -> Timeouts:
        given = self.fields.get("timeouts", {})
        return Timeouts(**{_TIMEOUT_FIELDS[key]: value for key, value in given.items()})

    def _check(self) -> Check:
        own = self.fields.get("check") or {}
        path: Path = ("services", self.name, "check")
        return build_check(self.defaults.get("check") or {}, own, path, self.faults)

    def _persistence(self) -> Persistence | None:
        """Without a mask the whole address of the VIP's family counts."""
        given = self.fields.get("persistence")
        if given is None:
            return None
        whole = {"mask": self.vip.max_prefixlen}
        if given["kind"] == "source-ip":
            given = {**whole, **given}
        elif "otherwise" in given:
            given = {**given, "otherwise": {**whole, **given["otherwise"]}}
        made: Persistence | None = make(SERVICE.by_name["persistence"].kind, given)
        return made

    def _proxy(self) -> Fields:
        """The fields of layer 7 that the document names."""
        made = {
            field: make(SERVICE.by_name[key].kind, self.fields[key])
            for key, field in PROXY_KEYS.items()
            if self.fields.get(key) is not None
        }
        return {field: value for field, value in made.items() if value is not None}

    def _pool(self) -> list[RealServer]:
        path: Path = ("services", self.name, "pool")
        weight: Any = self.fields.get("weight", self.defaults.get("weight", 100))
        return [
            self._server(item or {}, (*path, i), (item or {}).get("weight", weight))
            for i, item in enumerate(self.fields.get("pool", ()))
        ]

    def _fallback(self) -> RealServer | None:
        given = self.fields.get("fallback")
        return self._server(given, ("services", self.name, "fallback"), 100) if given else None

    def _server(self, fields: Fields, path: Path, weight: int) -> RealServer:
        host = fields.get("host", "")
        if host and self.hosts is not None and host not in self.hosts:
            what = f"There is no host {shown(host)} in this document."
            hint = did_you_mean(guess(host, self.hosts, self.faults))
            remedy = f"{hint}Name one that stands under 'hosts', or add it there."
            self.faults.append(Fault((*path, "host"), what, remedy))
        port = fields.get("port")
        # In DR the port is always the service's own: naming it is no change.
        if self.forwarding is Forwarding.DR and self.ports == (port,):
            port = None
        found = (self.hosts or {}).get(host, Host(host, _NOWHERE))
        return RealServer(host, found.address, port, weight, found.needs)
