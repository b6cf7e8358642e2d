"""Rules about TLS, towards clients and towards real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from willis.config.places import at
from willis.config.problem import Fault, Severity
from willis.model.persistence import TlsSessionPersistence
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


def new_tls_sessions_say_nothing(service: VirtualService) -> Iterator[Fault]:
    """Warning: persistence by `tls-session` without `otherwise`, which clients with TLS 1.3 need."""
    kept = service.persistence
    if isinstance(kept, TlsSessionPersistence) and kept.otherwise is None:
        what = (
            "In TLS 1.3, and with session tickets, nothing that can be seen on the way tells that a client "
            "comes back: it meets another server each time."
        )
        remedy = "Add otherwise: {timeout: 30m}, which keeps such clients by their address."
        yield Fault(at(service, "persistence", "otherwise"), what, remedy, Severity.WARNING)


TLS_RULES: tuple[Callable[[VirtualService], Iterator[Fault]], ...] = (
    verified_servers_have_a_name,
    unverified_servers_are_told,
    titles_need_client_certificates,
    new_tls_sessions_say_nothing,
)
