"""Keeps the staples of all stored certificates fresh: who is due, what came, what is wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from willis.acme.ocsp import Staple, Unfit, judge, question, responder_of
from willis.acme.responder import ResponderError
from willis.acme.when import halfway, retry_after
from willis.certificates.store import CertificateError, CertificateStore

log = logging.getLogger("willis.acme")


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one certificate's staple."""

    fingerprint: str
    again: datetime
    until: datetime | None = None
    """None: there is no staple that counts."""
    failures: int = 0
    reason: str = ""


class Staples:
    """``ask`` sends a question to a responder. All methods may take seconds; call them in one thread."""

    def __init__(self, store: CertificateStore, ask: Callable[[str, bytes], bytes]) -> None:
        self._store = store
        self._ask = ask
        self._known: dict[str, _Known] = {}

    def refresh(self, now: datetime) -> dict[str, bytes]:
        """Ask for what is due. Returns the new staples by certificate."""
        fresh = {}
        names = self._store.names()
        self._known = {name: known for name, known in self._known.items() if name in names}
        for name in names:
            try:
                if (der := self._one(name, now)) is not None:
                    fresh[name] = der
            except CertificateError as error:
                log.warning("no staple for %s: %s", name, error)
        return fresh

    def alarms(self, now: datetime) -> tuple[str, ...]:
        """Certificates that are served without a staple although their responder should give one."""
        return tuple(
            f"certificate {name} is served without an OCSP staple: {known.reason}"
            for name, known in sorted(self._known.items())
            if known.reason and (known.until is None or known.until <= now)
        )

    def _one(self, name: str, now: datetime) -> bytes | None:
        stored = self._store.read(name)
        known = self._known.get(name)
        if known is not None and known.fingerprint == stored.facts.fingerprint and now < known.again:
            return None
        chain = x509.load_pem_x509_certificates(stored.chain.encode())
        url = responder_of(chain[0])
        if url is None or len(chain) < 2:
            return None
        if known is None or known.fingerprint != stored.facts.fingerprint:
            known = _stored(stored.facts.fingerprint, stored.staple, chain, now)
            if now < known.again:
                self._known[name] = known
                return None
        try:
            staple = judge(self._ask(url, question(chain[0], chain[1])), chain[0], chain[1], now)
        except (Unfit, ResponderError) as error:
            self._known[name] = _failed(known, str(error), now)
            log.warning("certificate %s: no new OCSP staple: %s", name, error)
            return None
        self._store.staple(name, staple.der)
        self._known[name] = _taken(stored.facts.fingerprint, staple)
        log.info("certificate %s: stapled until %s", name, f"{staple.until:%Y-%m-%d %H:%M} UTC")
        return staple.der


def _stored(fingerprint: str, der: bytes | None, chain: list[x509.Certificate], now: datetime) -> _Known:
    """What an earlier engine left."""
    try:
        return _taken(fingerprint, judge(der or b"", chain[0], chain[1], now))
    except Unfit:
        return _Known(fingerprint, again=now)


def _taken(fingerprint: str, staple: Staple) -> _Known:
    return _Known(fingerprint, again=halfway(staple.since, staple.until), until=staple.until)


def _failed(known: _Known, reason: str, now: datetime) -> _Known:
    failures = known.failures + 1
    wait: timedelta = retry_after(failures)
    if known.until is not None and known.until > now:
        wait = min(wait, max((known.until - now) / 2, timedelta(minutes=1)))
    return _Known(known.fingerprint, now + wait, known.until, failures, reason)
