"""The verdict on one client's traffic through one service, from the hosts' ledgers alone. Pure.

It passes if everything sent stands in the ledgers of the service, unchanged, and if the
servers saw whom they must: in DR, NAT and behind a transparent proxy the client itself, in SNAT
the node, behind a web proxy the client's address in X-Forwarded-For.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from willis.lab.evidence import Entry
from willis.model.persistence import SourcePersistence
from willis.model.service import Forwarding, VirtualService


@dataclass(frozen=True, slots=True)
class Expected:
    """What the ledgers must hold after an act."""

    sent: str
    """In words, for people."""
    whats: tuple[str, ...]
    """The acts, each as often as it must appear."""
    details: frozenset[str] = field(default_factory=frozenset)
    """Digests (DICOM) or control ids (HL7) that must all have arrived."""
    one_server: bool = False
    """Whether all acts must have reached one server, whatever the scheduler."""


@dataclass(frozen=True, slots=True)
class Parties:
    """The addresses by which a server may know whom it speaks to."""

    client: frozenset[str]
    node: frozenset[str]
    """Those of its interfaces."""


def lacking(expected: Expected, found: Sequence[Entry]) -> Counter[str]:
    """The acts that are in no ledger, and how often they are missing."""
    return Counter(expected.whats) - Counter(entry.what for entry in found)


def fault(
    service: VirtualService, expected: Expected, found: Sequence[Entry], parties: Parties | None
) -> str:
    """Why the entries do not prove what they must, or ''. ``parties``: None if no address is visible."""
    missing = lacking(expected, found)
    if missing:
        return "not in any ledger: " + ", ".join(f"{what} x{count}" for what, count in missing.items())
    arrived = {entry.more.get(key, "") for entry in found for key in ("digest", "control")}
    changed = len(expected.details - arrived)
    if changed:
        return f"{changed} of {len(expected.details)} arrived changed or not at all"
    broken = next((entry for entry in found if not entry.ok), None)
    if broken is not None:
        return f"{broken.host} noted a failure: {broken.what}"
    hosts = sorted({entry.host for entry in found})
    if len(hosts) > 1 and (expected.one_server or isinstance(service.persistence, SourcePersistence)):
        return f"one client's traffic was split over {', '.join(hosts)}"
    return _stranger(service, found, parties)


def seen(service: VirtualService, entry: Entry) -> str:
    """Whom the server took for its client: behind a web proxy, what X-Forwarded-For says."""
    if service.forwarding is Forwarding.PROXY and service.application.is_http and not service.transparent:
        return entry.more.get("forwarded", entry.client)
    return entry.client


def _stranger(service: VirtualService, found: Sequence[Entry], parties: Parties | None) -> str:
    tells = service.application.is_http or service.transparent
    hides_clients = service.forwarding is Forwarding.PROXY and not tells
    if parties is None or hides_clients:
        return ""
    whom, right = "the client", parties.client
    if service.forwarding is Forwarding.SNAT:
        whom, right = "the node", parties.node
        if service.source is not None:
            whom, right = str(service.source), frozenset({str(service.source)})
    strangers = [address for entry in found if (address := seen(service, entry)) not in right]
    return f"the server saw {strangers[0]} instead of {whom}" if strangers else ""
