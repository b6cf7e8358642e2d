"""Rules about certificates that are ordered and renewed by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from willis.config.places import at
from willis.config.problem import Fault, Path, Severity
from willis.model.config import Acme, Config
from willis.model.service import Forwarding, Protocol, VirtualService

_CERTIFICATES: Path = ("acme", "certificates")
_PORT = 80
"""Where HTTP-01 looks (RFC 8555, 8.3)."""


def ordered_once(config: Config) -> Iterator[Fault]:
    """A certificate is ordered once: no name in `acme.certificates` stands twice."""
    seen: set[str] = set()
    for i, certificate in enumerate(_acme(config).certificates):
        if certificate.name in seen:
            what = f"The certificate {certificate.name} is ordered twice; one would replace the other."
            yield Fault(
                (*_CERTIFICATES, i, "name"), what, "Give it another name, or put the domains together."
            )
        seen.add(certificate.name)


def domains_once(config: Config) -> Iterator[Fault]:
    """No domain stands twice in one certificate, whatever its case."""
    for i, certificate in enumerate(_acme(config).certificates):
        seen: set[str] = set()
        for j, domain in enumerate(certificate.domains):
            if domain.lower() in seen:
                what = f"The domain {domain} stands twice; authorities refuse such orders."
                yield Fault((*_CERTIFICATES, i, "domains", j), what, "Remove one of the two.")
            seen.add(domain.lower())


def domains_can_be_proved(config: Config) -> Iterator[Fault]:
    """HTTP-01 proves whole host names of a DNS: no wildcards, and no names without a dot."""
    for i, certificate in enumerate(_acme(config).certificates):
        for j, domain in enumerate(certificate.domains):
            path: Path = (*_CERTIFICATES, i, "domains", j)
            if domain.startswith("*."):
                what = f"HTTP-01 cannot prove the wildcard {domain} (RFC 8555, 8.3)."
                yield Fault(path, what, "List the host names that clients use.")
            elif "." not in domain or domain.replace(".", "").isdigit():
                what = f"{domain} is no full host name, so no authority can look it up."
                yield Fault(path, what, "Write the name with its domain, as in pacs.example.org.")


def an_ordered_certificate_is_used(config: Config) -> Iterator[Fault]:
    """Warning: an ordered certificate that no service uses."""
    used = {name for service in config.services if service.tls for name in service.tls.certificates}
    for i, certificate in enumerate(_acme(config).certificates):
        if certificate.name not in used:
            what = f"No service uses the certificate {certificate.name}."
            remedy = f"Name it: tls: {{certificates: {certificate.name}}}, or remove it here."
            path: Path = (*_CERTIFICATES, i, "name")
            yield Fault(path, what, remedy, Severity.WARNING, rests_on=(("services",),))


def port_80_answers(config: Config) -> Iterator[Fault]:
    """Warning: port 80 of a VIP whose certificate is ordered belongs to what cannot answer HTTP-01."""
    ordered = {certificate.name for certificate in _acme(config).certificates}
    for service in config.services:
        if service.tls is None or not ordered.intersection(service.tls.certificates):
            continue
        for other in config.services:
            if other.vip == service.vip and _PORT in other.ports and not _answers(other):
                what = (
                    f"The authority will ask on port 80 of {service.vip}, where {other.name} cannot answer: "
                    "it is not plain HTTP that Willis reads."
                )
                remedy = f"Use forwarding: proxy with application: http for {other.name}, or another VIP."
                needs = (at(other), at(service, "vip"), at(service, "tls"))
                yield Fault(
                    at(service, "tls", "certificates"), what, remedy, Severity.WARNING, rests_on=needs
                )


def _answers(service: VirtualService) -> bool:
    read = service.forwarding is Forwarding.PROXY and service.application.is_http
    return service.protocol is Protocol.UDP or (read and service.tls is None)


def _acme(config: Config) -> Acme:
    return config.acme or Acme("")


ACME_RULES: tuple[Callable[[Config], Iterator[Fault]], ...] = (
    ordered_once,
    domains_once,
    domains_can_be_proved,
    an_ordered_certificate_is_used,
    port_80_answers,
)
