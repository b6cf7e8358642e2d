"""Config: all that people asked for, as one frozen value. What was learnt is in ``status``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from willis.model.alerts import Alerts
from willis.model.collector import AuditCollector
from willis.model.node import Host, Interface
from willis.model.service import Address, VirtualService
from willis.model.sign_in import SignIn


@dataclass(frozen=True, slots=True)
class AcmeCertificate:
    """A certificate that is ordered and renewed by itself."""

    name: str
    """In the certificate store."""
    domains: tuple[str, ...]
    """Host names that clients use; the first is the common name."""


@dataclass(frozen=True, slots=True)
class Acme:
    """Where certificates are ordered (RFC 8555), proved by HTTP-01 on the VIPs' own port 80."""

    directory: str
    """The authority's URL."""
    contact: str | None = None
    """An e-mail address."""
    authority: str | None = None
    """Whose certificate the directory itself has, by name in the store; None: the system's authorities."""
    certificates: tuple[AcmeCertificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """A site. Interfaces, hosts and services are in the document's order; names are unique."""

    site: str = "unconfigured"
    interfaces: tuple[Interface, ...] = ()
    hosts: tuple[Host, ...] = ()
    services: tuple[VirtualService, ...] = field(default=())
    acme: Acme | None = None
    alerts: Alerts = Alerts()
    access: SignIn = SignIn()
    audit: tuple[AuditCollector, ...] = ()

    def service(self, name: str) -> VirtualService | None:
        return next((service for service in self.services if service.name == name), None)

    def services_of(self, host: str) -> Iterator[VirtualService]:
        """The services whose pool has a real server on ``host``."""
        return (s for s in self.services if any(rs.host == host for rs in s.pool))

    def interface_to(self, address: Address) -> Interface | None:
        """The interface whose subnet holds ``address``, if any."""
        return next((i for i in self.interfaces if i.reaches(address)), None)

    def own_address_facing(self, address: Address) -> Address | None:
        """The node's own address in the subnet of ``address``, if it has one there."""
        own = (each for interface in self.interfaces for each in interface.addresses)
        return next((each.ip for each in own if address in each.network), None)
