"""Answers to typed values; everything that does not fit is reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address

from willis.config.addresses import IPAddress, OwnAddress
from willis.config.document import HOST_NAME, INTERFACE_NAME
from willis.config.problem import Problem, Severity, did_you_mean, shown, suggestion
from willis.config.scalars import ScalarKind, Unfit
from willis.model.service import Address
from willis.templates.template import Template

MOST_HOSTS = 64
_OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Answers:
    """What a site has answered."""

    interface: str
    address: IPv4Interface | IPv6Interface
    hosts: dict[str, Address]
    vips: tuple[Address, ...]
    """One for each row."""


class AnswerReader:
    """Reads the answers to one template's questions; ``problems`` collects what does not fit."""

    def __init__(self, template: Template, answers: Mapping[str, str]) -> None:
        self.template = template
        self.problems: list[Problem] = []
        examples = {question.name: question.example for question in template.questions}
        for name in answers:
            if name not in examples:
                hint = did_you_mean(suggestion(name, examples))
                self._refuse(
                    name, f"There is no question {shown(name)}.", f"{hint}They are {', '.join(examples)}."
                )
        self.unanswered = tuple(name for name in examples if name not in answers)
        self.text = {**examples, **answers}

    def read(self) -> Answers | None:
        """The answers, or None if there are problems."""
        interface = self._value("interface", INTERFACE_NAME, self.text["interface"])
        address = self._value("address", OwnAddress(), self.text["address"])
        hosts, vips = self._hosts(), self._vips()
        if (
            self.problems
            or not isinstance(interface, str)
            or not isinstance(address, IPv4Interface | IPv6Interface)
        ):
            return None
        return Answers(interface, address, hosts, vips)

    def _hosts(self) -> dict[str, Address]:
        hosts: dict[str, Address] = {}
        for number, (name, text) in enumerate(_pairs(self.text["hosts"]), start=1):
            host = self._value("hosts", HOST_NAME, name) if name is not None else f"vna{number}"
            address = self._address("hosts", text)
            if host in hosts:
                self._refuse("hosts", f"The host {host} is given twice.", "Name each host once.")
            elif isinstance(host, str) and address is not None:
                hosts[host] = address
        if len(hosts) > MOST_HOSTS:
            self._refuse("hosts", f"There are {len(hosts)} hosts.", f"Give at most {MOST_HOSTS}.")
        return hosts

    def _vips(self) -> tuple[Address, ...]:
        pairs = _pairs(self.text["vips"])
        rows = len(self.template.rows)
        if any(name is not None for name, _ in pairs):
            return self._named_vips(pairs)
        found = [address for _, text in pairs if (address := self._address("vips", text)) is not None]
        if len(pairs) == 1 and found:
            return self._counted_vips(found[0])
        if len(pairs) != rows:
            what = f"{len(pairs)} addresses do not tell which service has which: there are {rows} services."
            remedy = f"Give one, or {rows} in the table's order, or Service=address and others=address."
            self._refuse("vips", what, remedy)
        return tuple(found)

    def _counted_vips(self, first: Address) -> tuple[Address, ...]:
        count = len(self.template.rows)
        if int(first) + count > 2**first.max_prefixlen:
            self._refuse(
                "vips", f"{count} addresses from {first} run out of the address space.", "Begin lower."
            )
            return ()
        return tuple(first + i for i in range(count))

    def _named_vips(self, pairs: list[tuple[str | None, str]]) -> tuple[Address, ...]:
        names = [row.name for row in self.template.rows]
        given: dict[str, Address | None] = {}
        for name, text in pairs:
            if name is None:
                self._refuse("vips", f"{shown(text)} has no service.", "Write Service=address for every one.")
            elif name not in (*names, _OTHERS):
                hint = did_you_mean(suggestion(name, names))
                self._refuse(
                    "vips", f"There is no service {shown(name)}.", f"{hint}They are {', '.join(names)}."
                )
            elif name in given:
                self._refuse("vips", f"{name} is given twice.", "Give each service one address.")
            else:
                given[name] = self._address("vips", text)
        missing = [name for name in names if name not in given] if _OTHERS not in given else []
        if missing:
            self._refuse(
                "vips", f"No VIP is given for {', '.join(missing)}.", "Name them, or add others=address."
            )
        chosen = (given.get(name, given.get(_OTHERS)) for name in names)
        return tuple(address for address in chosen if address is not None)

    def _address(self, question: str, text: str) -> Address | None:
        value = self._value(question, IPAddress(), text)
        return ip_address(str(value)) if value is not None else None

    def _value(self, question: str, kind: ScalarKind, text: str) -> object:
        try:
            return kind.read(text, plain=True)
        except Unfit as unfit:
            self._refuse(question, unfit.what, unfit.remedy)
            return None

    def _refuse(self, question: str, what: str, remedy: str) -> None:
        self.problems.append(Problem(question, 0, Severity.ERROR, what, remedy))


def _pairs(text: str) -> list[tuple[str | None, str]]:
    """``a=1,2`` as ``[('a', '1'), (None, '2')]``."""
    pairs: list[tuple[str | None, str]] = []
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        pairs.append((name.strip(), value.strip()) if equals else (None, name))
    return pairs
