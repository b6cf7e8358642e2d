"""Rules about TLS, towards clients and towards real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from willis.config.places import at
from willis.config.problem import Fault, Severity
from willis.model.service import VirtualService


def verified_servers_have_a_name(service: VirtualService) -> Iterator[Fault]:
    """A `server-tls` that verifies says which `name` to find in the certificate."""
    tls = service.server_tls
    if tls is not None and tls.verify and tls.name is None:
        what = "Without a name any certificate of the authority would do, whoever it was issued to."
        remedy = "Write the name in the servers' certificate: server-tls: {name: ...}."
        yield Fault(at(service, "server-tls"), what, remedy)


def unverified_servers_are_told(service: VirtualService) -> Iterator[Fault]:
    """Warning: `server-tls` with `verify: false`."""
    tls = service.server_tls
    if tls is not None and not tls.verify:
        what = "The real servers' certificates are not looked at, so anybody on the way may pose as them."
        remedy = "Add their authority to the store and name it: server-tls: {authority: ..., name: ...}."
        yield Fault(at(service, "server-tls", "verify"), what, remedy, Severity.WARNING)


def titles_need_client_certificates(service: VirtualService) -> Iterator[Fault]:
    """The key `dicom.certificates` needs `tls.clients` that are required."""
    clients = service.tls.clients if service.tls is not None else None
    if service.dicom.certificates and (clients is None or not clients.required):
        what = "AE titles are bound to certificates, but clients need not show one."
        remedy = "Add tls: {clients: {authority: ...}}, or remove dicom.certificates."
        needs = (at(service, "tls"),)
        yield Fault(at(service, "dicom", "certificates"), what, remedy, rests_on=needs)


TLS_RULES: tuple[Callable[[VirtualService], Iterator[Fault]], ...] = (
    verified_servers_have_a_name,
    unverified_servers_are_told,
    titles_need_client_certificates,
)
