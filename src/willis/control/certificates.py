"""Certificates as people manage them: the store, and who uses what. Private keys never leave here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from willis.certificates.facts import Facts
from willis.certificates.store import Authority, CertificateError, CertificateStore, Stored
from willis.control.changes import Refused
from willis.control.loop import Loop
from willis.control.uses import authority_users, certificate_users

Row = dict[str, object]


class Certificates:
    """Raises Refused with reason and remedy. The loop takes new content to the engines with its next pass."""

    def __init__(self, store: CertificateStore, loop: Loop) -> None:
        self._store = store
        self._loop = loop

    def rows(self) -> Row:
        """All certificates, requested names, and files that hold no certificate, with the reason."""
        found, unreadable = [], []
        for name in self._store.names():
            try:
                found.append(self._row(self._store.read(name)))
            except CertificateError as error:
                unreadable.append({"name": name, "reason": str(error)})
        return {"certificates": found, "requested": self._store.pending(), "unreadable": unreadable}

    def show(self, name: str) -> Row:
        """One certificate with its chain (PEM)."""
        try:
            stored = self._store.read(name)
        except CertificateError as error:
            raise Refused(str(error)) from error
        return self._row(stored) | {"chain": stored.chain}

    def add(self, name: str, files: Sequence[bytes], passphrase: str | None) -> Row:
        """Store or replace one; what is odd about it is in ``warnings``."""
        try:
            stored = self._store.put(name, *files, passphrase=passphrase)
        except CertificateError as error:
            raise Refused(f"certificate {name} was not stored: {error}") from error
        self._loop.wake()
        return self._row(stored) | {"warnings": list(stored.warnings)}

    def remove(self, name: str) -> Row:
        _unused("certificate", name, certificate_users(self._loop.config, name))
        try:
            self._store.remove(name)
        except CertificateError as error:
            raise Refused(str(error)) from error
        return {"removed": name}

    def request(self, name: str, domains: Sequence[str]) -> Row:
        """A signing request; its key waits in the store."""
        try:
            return {"name": name, "request": self._store.request(name, domains)}
        except CertificateError as error:
            raise Refused(str(error)) from error

    def authorities(self) -> Row:
        try:
            return {"authorities": [_authority(each) for each in self._store.authorities()]}
        except CertificateError as error:
            raise Refused(str(error)) from error

    def add_authority(self, name: str, files: Sequence[bytes]) -> Row:
        try:
            found = self._store.put_authority(name, *files)
        except CertificateError as error:
            raise Refused(f"authority {name} was not stored: {error}") from error
        self._loop.wake()
        return _authority(found)

    def remove_authority(self, name: str) -> Row:
        _unused("authority", name, authority_users(self._loop.config, name))
        try:
            self._store.remove_authority(name)
        except CertificateError as error:
            raise Refused(str(error)) from error
        return {"removed": name}

    def _row(self, stored: Stored) -> Row:
        return {
            "name": stored.name,
            "services": certificate_users(self._loop.config, stored.name),
            "stored_at": _time(stored.at),
        } | _facts(stored.facts)


def _unused(what: str, name: str, users: list[str]) -> None:
    if users:
        raise Refused(f"{what} {name} is used by {', '.join(users)}; take it out of the document first")


def _authority(found: Authority) -> Row:
    return {"name": found.name, "certificates": [_facts(each) for each in found.facts]}


def _facts(facts: Facts) -> Row:
    return {
        "subject": facts.subject,
        "names": list(facts.names),
        "issuer": facts.issuer,
        "not_before": _time(facts.not_before),
        "not_after": _time(facts.not_after),
        "fingerprint": facts.fingerprint,
        "serial": facts.serial,
        "key": facts.key,
        "ocsp": facts.ocsp,
    }


def _time(when: datetime) -> str:
    return when.isoformat(timespec="seconds")
