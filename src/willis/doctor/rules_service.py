"""What services ask for that will disappoint: time-outs, shallow checks, one client on one server. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from willis.doctor.finding import Finding, Fix, Severity
from willis.doctor.seen import Learnt, Seen
from willis.doctor.sites import counted, listed
from willis.model.check import Fixed, HalfOpen, Hl7Connect, Ping, TcpTalk
from willis.model.config import Config
from willis.model.service import Application, Forwarding, Protocol, VirtualService

_IDLE_S = 3600
"""For which associations and HL7 connections must be allowed to be silent."""
_ANSWER_S = 300
"""For which an HTTP server may work before it answers: a large study, a report of a year."""
_LONG = (Application.DICOM, Application.MWL, Application.HL7)
_DEEPER = {
    Application.DICOM: "check: {kind: dicom-echo}",
    Application.MWL: "check: {kind: dicom-echo, deep: {kind: dicom-find}}",
    Application.HL7: "check: {kind: hl7, hl7: {message: QBP^Q22^QBP_Q21}}",
    Application.MINT: "check: {kind: mint}",
    Application.HTTP: "check: {kind: http}",
}
_MANY = 10
"""Connections below which a distribution says nothing."""
_MOST = 0.8


def timeouts(config: Config, seen: Seen) -> Iterator[Finding]:
    """The shortest time on the way from client to server, where the application is silent for longer."""
    for service in config.services:
        if service.application in _LONG and service.protocol is Protocol.TCP:
            yield from _silent(service, seen)
        if service.forwarding is Forwarding.PROXY and service.application.is_http:
            yield from _slow(service)


def _silent(service: VirtualService, seen: Seen) -> Iterator[Finding]:
    named = sorted(_silences(service, seen), key=lambda each: each[1])
    shortest, seconds = named[0]
    if seconds >= _IDLE_S:
        return
    cut = "HL7 connections" if service.application is Application.HL7 else "associations"
    what = (
        f"{service.name}: {shortest} ends {cut} that are silent for {_time(seconds)}; between two studies "
        "an hour is usual"
    )
    evidence = "silence is allowed for: " + ", ".join(f"{name} {_time(s)}" for name, s in named)
    yield Finding(Severity.WARNING, what, service.name, evidence, _longer(shortest))


def _slow(service: VirtualService) -> Iterator[Finding]:
    seconds = service.waits.response_s
    if seconds >= _ANSWER_S:
        return
    what = (
        f"{service.name}: proxy-timeouts.response cuts what the server needs more than {_time(seconds)} for"
    )
    fix = Fix(willis=("proxy-timeouts: {response: 1h}   # of the service",))
    evidence = f"proxy-timeouts.response is {_time(seconds)}; a large study or report may take minutes"
    yield Finding(Severity.WARNING, what, service.name, evidence, fix)


def shallow(config: Config) -> Iterator[Finding]:
    """Services whose checks never ask the application. One finding for all."""
    found = [s for s in config.services if _is_shallow(s)]
    if not found:
        return
    by_check: dict[str, list[str]] = {}
    for service in found:
        by_check.setdefault(_DEEPER[service.application], []).append(service.name)
    lines = [f"{check}   # {listed(names)}" for check, names in by_check.items()]
    lines.append("# docs/guide/checks.md says what else they may ask, and what servers must bear")
    what = (
        f"{counted(len(found), 'service')} checked by 'connect to port' only: a server that accepts and "
        "never answers stays in the pool"
    )
    evidence = f"no deep check: {listed([s.name for s in found])}"
    yield Finding(Severity.NOTE, what, "checks", evidence, Fix(willis=tuple(lines)))


def skews(config: Config, learnt: Learnt) -> Iterator[Finding]:
    """Persistence that leaves nearly all to one server."""
    for service in config.services:
        ties = learnt.ties.get(service.name)
        active = {s.host: learnt.active.get((service.name, s.host), 0) for s in service.pool}
        total = sum(active.values())
        if ties is None or len(active) < 2 or total < _MANY:
            continue
        host = max(active, key=active.__getitem__)
        if active[host] <= _MOST * total:
            continue
        here = sum(1 for tied in ties if tied == host)
        why = "one client, so one server" if here <= 1 else f"{here} of {len(ties)} clients are tied to it"
        what = f"{service.name}: {host} has {active[host]} of {total} connections: {why}"
        advice = (
            "# clients behind one address (NAT, a proxy, an integration engine) are one client:",
            "# persist by what they send (AE title, cookie), or not at all",
        )
        evidence = f"persistence by address; ties: {len(ties)}"
        yield Finding(Severity.NOTE, what, service.name, evidence, Fix(willis=advice))


def _silences(service: VirtualService, seen: Seen) -> Iterator[tuple[str, int]]:
    """How long each part of the way lets a connection be silent."""
    settings = seen.settings
    if service.forwarding is not Forwarding.PROXY:
        yield "timeouts.established", service.timeouts.established_s
        return
    yield "proxy-timeouts.idle", service.waits.idle_s
    # The proxy probes silent connections, which a stateful firewall counts as a sign of life.
    if settings.conntrack_s is not None and settings.conntrack_s < (settings.keepalive_s or 7200):
        yield "the node's conntrack", settings.conntrack_s


def _longer(what: str) -> Fix:
    if what == "the node's conntrack":
        return Fix(
            willis=(
                "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=43200",
                "# keep it in /etc/sysctl.d/90-willis.conf",
            )
        )
    record, _, key = what.partition(".")
    return Fix(willis=(f"{record}: {{{key}: 12h}}   # of the service",))


def _is_shallow(service: VirtualService) -> bool:
    question = service.check.question
    if service.application not in _DEEPER or service.check.deep is not None:
        return False
    if isinstance(question, TcpTalk):
        return question.talk.expect is None
    return isinstance(question, HalfOpen | Hl7Connect | Ping | Fixed)


def _time(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
