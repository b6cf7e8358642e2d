"""Who names what of the certificate store and of the sealed secrets: services, and sections such as ``acme``.

Pure. Nothing that is named may be removed. The whole config is walked, so that a new place in the
model that holds one of these records is seen without a word here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from willis.model.collector import AuditCollector
from willis.model.config import AcmeCertificate, Config
from willis.model.proxy import ServerTls, Tls


def certificate_users(config: Config, name: str) -> list[str]:
    """The services that show or serve this certificate, and ``acme`` if it is ordered."""
    return [user for user, thing in _users(config) if name in _certificates(thing)]


def authority_users(config: Config, name: str) -> list[str]:
    """The services that trust this authority, and sections of the document such as ``alerts``."""
    return [user for user, thing in _users(config) if name in _authorities(thing)]


def secret_users(config: Config, name: str) -> list[str]:
    """The sections of the document that name this secret."""
    return [user for user, thing in _users(config) if name in _secrets(thing)]


def secret_names(config: Config) -> frozenset[str]:
    """Every secret that the document names."""
    return frozenset(name for _, thing in _users(config) for name in _secrets(thing) if name is not None)


def _users(config: Config) -> Iterator[tuple[str, object]]:
    yield from ((service.name, service) for service in config.services)
    yield from ((each.name, getattr(config, each.name)) for each in fields(config) if each.name != "services")


def _certificates(thing: object) -> Iterator[str | None]:
    for each in _within(thing):
        match each:
            case Tls():
                yield from each.certificates
            case ServerTls():
                yield each.certificate
            case AcmeCertificate():
                yield each.name
            case AuditCollector():
                yield each.certificate


def _authorities(thing: object) -> Iterator[str | None]:
    return (getattr(each, "authority", None) for each in _within(thing))


def _secrets(thing: object) -> Iterator[str | None]:
    return (getattr(each, "secret", None) for each in _within(thing))


def _within(thing: object) -> Iterator[object]:
    """A record and all that it holds."""
    if isinstance(thing, tuple):
        for each in thing:
            yield from _within(each)
    elif is_dataclass(thing):
        yield thing
        for name in thing.__dataclass_fields__:  # not fields(), which would take most of the time
            yield from _within(getattr(thing, name))
