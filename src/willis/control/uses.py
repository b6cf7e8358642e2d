"""Who names what of the certificate store: services with their checks, ``acme`` and ``alerts``. Pure.

Nothing that is named may be removed. The whole config is walked, so that a new place in the
model that holds one of these records is seen without a word here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from willis.model.config import AcmeCertificate, Config
from willis.model.proxy import ServerTls, Tls


def certificate_users(config: Config, name: str) -> list[str]:
    """The services that show or serve this certificate, and ``acme`` if it is ordered."""
    return [user for user, thing in _users(config) if name in _certificates(thing)]


def authority_users(config: Config, name: str) -> list[str]:
    """The services that trust this authority, and ``acme`` or ``alerts``."""
    return [user for user, thing in _users(config) if name in _authorities(thing)]


def _users(config: Config) -> Iterator[tuple[str, object]]:
    yield from ((service.name, service) for service in config.services)
    yield "acme", config.acme
    yield "alerts", config.alerts


def _certificates(thing: object) -> Iterator[str | None]:
    for each in _within(thing):
        match each:
            case Tls():
                yield from each.certificates
            case ServerTls():
                yield each.certificate
            case AcmeCertificate():
                yield each.name


def _authorities(thing: object) -> Iterator[str | None]:
    return (getattr(each, "authority", None) for each in _within(thing))


def _within(thing: object) -> Iterator[object]:
    """A record and all that it holds."""
    if is_dataclass(thing):
        yield thing
        for field in fields(thing):
            yield from _within(getattr(thing, field.name))
    elif isinstance(thing, tuple):
        for each in thing:
            yield from _within(each)
