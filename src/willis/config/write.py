"""Config to text: a document as a careful person would write it.

What most services share stands once under ``defaults``; what is the document's default
anyway is left out. The same config always gives the same text, and ``load`` gives the
config back. Only typed values are written, so no text can leave its place.
"""

# ruff: noqa: ANN401 - a parsed tree has no type of its own

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Any, TypeVar

from willis.config.build import PROXY_KEYS
from willis.config.build_check import parts
from willis.config.document import HOST, SERVICE, SITE
from willis.config.document_check import CHECK
from willis.config.fields import Kind, Many, Record, Variant
from willis.config.make import unmake
from willis.config.scalars import Duration, Size, size_text, taken_for
from willis.model.alerts import Alerts
from willis.model.check import Check, HalfOpen
from willis.model.config import Config
from willis.model.node import Attach, Interface
from willis.model.persistence import Persistence, SourcePersistence
from willis.model.service import (
    Application,
    Forwarding,
    Protocol,
    RealServer,
    Scheduler,
    Timeouts,
    VirtualService,
)
from willis.model.sign_in import SignIn

_T = TypeVar("_T")

_WIDTH = 100
_BARE = re.compile(r"\A[A-Za-z0-9_./+][A-Za-z0-9_./@+-]*\Z")
"""What means the same to every YAML reader without quotes, unless it is a word or number of YAML's."""
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))

_PLAIN = VirtualService("plain", IPv4Address(0), (), Forwarding.PROXY, Check(), ())
"""A service that asks for nothing of layer 7."""


def write(config: Config, notes: Mapping[str, str] | None = None) -> str:
    """The document of a config. Times are written to the millisecond.

    ``notes`` become comments: by path as problems spell it (``services.MWL``), and
    ``document`` for the top. Their text must not come from people; it is kept on its lines.
    """
    return "\n".join(_Writer(config, notes or {}).lines()) + "\n"


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What most services and real servers share."""

    scheduler: Scheduler
    weight: int
    check: Check


class _Writer:
    def __init__(self, config: Config, notes: Mapping[str, str]) -> None:
        self.config = config
        self.notes = notes
        self.defaults = _defaults(config.services)

    def lines(self) -> Iterator[str]:
        yield from self._note("document", "")
        yield "version: 1"
        yield f"site: {token(self.config.site)}"
        yield from self._section("interfaces", self.config.interfaces, self._interfaces())
        yield from self._section("hosts", self.config.hosts, self._hosts())
        if self.config.acme is not None:
            yield from ("", *block("acme", _tree(SITE.by_name["acme"].kind, self.config.acme)))
        if self.config.alerts != Alerts():
            yield from ("", *block("alerts", _tree(SITE.by_name["alerts"].kind, self.config.alerts)))
        if self.config.audit:
            yield from ("", *block("audit", _tree(SITE.by_name["audit"].kind, self.config.audit)))
        if self.config.access != SignIn():
            yield from ("", *block("access", _tree(SITE.by_name["access"].kind, self.config.access)))
        if self.config.services:
            yield from ("", *self._note("defaults", ""), "defaults:", *self._default_lines())
        yield from self._section("services", self.config.services, self._services())

    def _section(self, name: str, items: tuple[object, ...], lines: Iterator[str]) -> Iterator[str]:
        yield ""
        yield from self._note(name, "")
        yield f"{name}:" if items else f"{name}: {{}}"
        yield from lines

    def _interfaces(self) -> Iterator[str]:
        for interface in self.config.interfaces:
            yield from self._note(f"interfaces.{interface.name}", "  ")
            yield f"  {token(interface.name)}:"
            yield from (f"    {line}" for line in _interface(interface))

    def _hosts(self) -> Iterator[str]:
        for host in self.config.hosts:
            yield from self._note(f"hosts.{host.name}", "  ")
            if not host.needs:
                yield f"  {token(host.name)}: {token(host.address)}"
                continue
            tree = {"address": host.address, "needs": _tree(HOST.by_name["needs"].kind, host.needs)}
            yield from (f"  {line}" for line in block(token(host.name), tree))

    def _default_lines(self) -> Iterator[str]:
        yield f"  scheduler: {self.defaults.scheduler}"
        yield f"  weight: {self.defaults.weight}"
        yield f"  check: {_flow(_check(self.defaults.check))}"

    def _services(self) -> Iterator[str]:
        for index, service in enumerate(self.config.services):
            if index:
                yield ""
            yield from self._note(f"services.{service.name}", "  ")
            yield f"  {token(service.name)}:"
            yield from (f"    {line}" for line in self._service(service))

    def _service(self, service: VirtualService) -> Iterator[str]:
        yield f"vip: {token(service.vip)}"
        if service.ports:
            yield from _ports(service)
        if service.protocol is not Protocol.TCP:
            yield f"protocol: {service.protocol}"
        if service.application is not Application.GENERIC:
            yield f"application: {service.application}"
        yield f"forwarding: {service.forwarding}"
        if service.source is not None:
            yield f"source: {token(service.source)}"
        if service.floor:
            yield f"floor: {service.floor}"
        if service.slow_start_s:
            yield f"slow-start: {service.slow_start_s}s"
        if service.watermarks is not None:
            yield from block("watermarks", _tree(SERVICE.by_name["watermarks"].kind, service.watermarks))
        if service.feedback is not None:
            yield from block("feedback", _tree(SERVICE.by_name["feedback"].kind, service.feedback))
        if service.one_packet:
            yield "one-packet: true"
        if service.timeouts != Timeouts():
            yield f"timeouts: {_flow(_timeouts(service.timeouts))}"
        if service.scheduler is not self.defaults.scheduler:
            yield f"scheduler: {service.scheduler}"
        if service.persistence is not None:
            tree = _persistence(service.persistence, service.vip.max_prefixlen)
            yield from block("persistence", tree)
        for key, field in PROXY_KEYS.items():
            value = getattr(service, field)
            if value != getattr(_PLAIN, field):
                yield from block(key, _tree(SERVICE.by_name[key].kind, value))
        common = _check(self.defaults.check)
        own = {key: value for key, value in _check(service.check).items() if common.get(key) != value}
        if own:
            yield from block("check", own)
        if service.fallback is not None:
            yield f"fallback: {_server(service.fallback, service.fallback.weight)}"
        yield from _listing("pool", [_server(server, self.defaults.weight) for server in service.pool])

    def _note(self, path: str, indent: str) -> Iterator[str]:
        for line in self.notes.get(path, "").splitlines():
            yield f"{indent}# {line}".rstrip()


def _defaults(services: tuple[VirtualService, ...]) -> _Defaults:
    weights = (server.weight for service in services for server in service.pool)
    return _Defaults(
        scheduler=_commonest((s.scheduler for s in services), Scheduler.WLC),
        weight=_commonest(weights, 100),
        check=_commonest((_times(s.check) for s in services), Check()),
    )


def _commonest(values: Iterable[_T], otherwise: _T) -> _T:
    most = Counter(values).most_common(1)
    return most[0][0] if most else otherwise


def _interface(interface: Interface) -> Iterator[str]:
    yield f"addresses: {_list(map(token, interface.addresses))}"
    if interface.attach is not Attach.TCX:
        yield f"attach: {interface.attach}"


def _times(check: Check) -> Check:
    """What services may share: how often and how patiently. What is asked stands with each of them."""
    return replace(check, port=None, question=HalfOpen(), deep=None)


def _check(check: Check) -> dict[str, Any]:
    """Every key but those of the questions at their defaults."""
    written: dict[str, Any] = {
        "kind": token(check.kind),
        "interval": _duration(check.interval_s),
        "timeout": _duration(check.timeout_s),
        "rise": str(check.rise),
        "fall": str(check.fall),
    }
    if check.port is not None:
        written["port"] = str(check.port)
    deep = check.deep
    asked = parts(check.question) if deep is None else {**parts(deep.question), **parts(check.question)}
    written |= {key: _tree(CHECK.by_name[key].kind, value) for key, value in asked.items()}
    if deep is not None:
        written["deep"] = {"kind": token(deep.question.kind), "every": str(deep.every)}
        if deep.port is not None:
            written["deep"]["port"] = str(deep.port)
    return written


def _persistence(persistence: Persistence, whole_address: int) -> dict[str, Any]:
    """A mask stands only where it is not the whole address of the family."""
    tree: dict[str, Any] = _tree(SERVICE.by_name["persistence"].kind, persistence)
    if isinstance(persistence, SourcePersistence):
        return {"kind": tree["kind"], **_source(persistence, whole_address)}
    if persistence.otherwise is not None:
        tree["otherwise"] = _source(persistence.otherwise, whole_address)
    return tree


def _source(persistence: SourcePersistence, whole_address: int) -> dict[str, str]:
    written = {"timeout": _duration(persistence.timeout_s)}
    return written if persistence.mask == whole_address else {**written, "mask": str(persistence.mask)}


def _tree(kind: Kind, value: Any) -> Any:
    """The value as nested dicts and lists of the texts that the document takes, without defaults."""
    return _texts(kind, unmake(kind, value))


def _texts(kind: Kind, plain: Any) -> Any:
    match kind:
        case Record():
            return {key: _texts(kind.by_name[key].kind, value) for key, value in plain.items()}
        case Variant():
            word = plain[kind.tag]
            rest = {key: value for key, value in plain.items() if key != kind.tag}
            return {kind.tag: word, **_texts(kind.records[word], rest)}
        case Many():
            return [_texts(kind.item, item) for item in plain]
        case Duration():
            return _duration(plain)
        case Size():
            return size_text(plain)
        case _:
            return str(plain).lower() if isinstance(plain, int) else token(plain)


def block(key: str, tree: Any) -> Iterator[str]:
    """``key`` with its tree, on one line where that fits and reads well."""
    flat = f"{key}: {one_line(tree)}"
    if len(flat) <= _WIDTH or not isinstance(tree, dict | list):
        yield flat
        return
    yield f"{key}:"
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from (f"  {line}" for line in block(name, value))
    else:
        yield from (f"  - {one_line(item)}" for item in tree)


def one_line(tree: Any) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {one_line(value)}" for key, value in tree.items()) + "}"
    return _list(map(one_line, tree)) if isinstance(tree, list) else str(tree)


def _server(server: RealServer, usual_weight: int) -> str:
    host = token(server.host)
    more = {}
    if server.port is not None:
        more["port"] = str(server.port)
    if server.weight != usual_weight:
        more["weight"] = str(server.weight)
    return _flow({"host": host, **more}) if more else host


def _ports(service: VirtualService) -> Iterator[str]:
    """Runs of three and more as ranges."""
    items: list[str] = []
    for first, last in service.port_runs:
        run = range(first, last + 1)
        items += [f"{first}-{last}"] if len(run) > 2 else map(str, run)
    return iter([f"ports: {items[0]}"]) if len(items) == 1 else _listing("ports", items)


def _timeouts(timeouts: Timeouts) -> dict[str, str]:
    usual = Timeouts()
    given = {
        "established": (timeouts.established_s, usual.established_s),
        "closing": (timeouts.closing_s, usual.closing_s),
        "datagram": (timeouts.datagram_s, usual.datagram_s),
    }
    return {key: _duration(own) for key, (own, default) in given.items() if own != default}


def _duration(seconds: float) -> str:
    ms = round(seconds * 1000)
    unit, size = next((unit, size) for unit, size in _UNITS if ms % size == 0)
    return f"{ms // size}{unit}"


def token(value: object) -> str:
    """A text that every YAML reader takes for just this text: bare where that is safe, else in quotes.

    What cannot be seen is written by its number, so that no reader of a difference is deceived.
    """
    text = str(value)
    if _BARE.match(text) and not taken_for(text):
        return text
    return '"' + "".join(map(_character, text)) + '"'


def _character(one: str) -> str:
    """One character between double quotes (YAML 1.2, section 5.7)."""
    if one in '"\\':
        return f"\\{one}"
    return one if one.isprintable() else f"\\U{ord(one):08X}"


def _flow(record: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in record.items()) + "}"


def _listing(key: str, items: list[str]) -> Iterator[str]:
    """A list on one line if it fits, else on a line an item."""
    one_line = f"{key}: {_list(items)}"
    yield from [one_line] if len(one_line) <= _WIDTH else [f"{key}:", *(f"  - {item}" for item in items)]


def _list(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"
