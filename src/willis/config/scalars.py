"""The kinds of single values: what may be written, what it means, and what to say otherwise.

Each kind reads the text as it was written and knows its JSON Schema and its words for
the manual. Every pattern is an allow-list that ends in ``\\Z``, because what is read here
enters generated files. A value that other YAML readers take for something else (``no``,
``22:22``, ``010``, ``1e3``) is never guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from willis.config.problem import did_you_mean, shown, suggestion
from willis.model.service import NAME

Schema = dict[str, Any]


class Unfit(ValueError):
    """A value that its place cannot take; with what is wrong and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


class ScalarKind(Protocol):
    """What one single value may be."""

    def read(self, text: str, plain: bool) -> object:
        """The value of ``text``; ``plain`` says that it stood without quotes. Raises ``Unfit``."""

    def schema(self) -> Schema:
        """The JSON Schema of the value."""

    def words(self) -> str:
        """What may be written, as the manual says it: ``a whole number, 1 to 65535``."""


_TRAPS = tuple(
    (re.compile(pattern, re.IGNORECASE), meaning)
    for pattern, meaning in (
        (r"\A(y|n|yes|no|on|off|true|false)\Z", "a boolean"),
        (r"\A(~|null|)\Z", "nothing at all"),
        (r"\A[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?\Z", "a base-60 number"),
        (r"\A[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([T \t].*)?\Z", "a date"),
        (r"\A[-+]?0(x[0-9a-f_]+|b[01_]+)\Z", "a hexadecimal or binary number"),
        (r"\A[-+]?0o?[0-9_]+\Z", "an octal number"),
        (r"\A([-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)(e[-+]?[0-9]+)?|[-+]?\.inf|\.nan)\Z", "a number"),
    )
)


def taken_for(text: str) -> str | None:
    """What some YAML reader takes the unquoted ``text`` for, if not for text (YAML 1.1 or 1.2)."""
    return next((meaning for pattern, meaning in _TRAPS if pattern.match(text)), None)


@dataclass(frozen=True, slots=True)
class Name:
    """An id: it may stand in a generated file as it is."""

    of: str
    """What it names: ``host``."""
    pattern: re.Pattern[str] = NAME
    allowed: str = "1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit"

    def read(self, text: str, plain: bool) -> str:
        trap = taken_for(text) if plain else None
        if trap == "nothing at all":
            raise Unfit(f"The name of the {self.of} is missing.", f"Write one: {self.allowed}.")
        if not self.pattern.match(text):
            raise Unfit(f"{shown(text)} is no valid {self.of} name.", f"Use {self.allowed}.")
        if trap is not None:
            what = f"{shown(text)} without quotes is {trap} to YAML, not a name."
            raise Unfit(what, f'Choose another name, or write it in quotes: "{text}".')
        return text

    def schema(self) -> Schema:
        return {"type": "string", "pattern": self.pattern.pattern.replace(r"\A", "^").replace(r"\Z", "$")}

    def words(self) -> str:
        return f"a name: {self.allowed}"


@dataclass(frozen=True, slots=True)
class Text:
    """A value by an allow-list of its own; it may stand, quoted as its grammar wants, in a generated file."""

    of: str
    """What it is: ``header name``."""
    pattern: str
    """A regular expression for the whole of it."""
    allowed: str
    example: str

    def read(self, text: str, plain: bool) -> str:
        if not re.fullmatch(self.pattern, text):
            raise Unfit(f"{shown(text)} is no valid {self.of}.", f"Use {self.words()}.")
        trap = taken_for(text) if plain else None
        if trap is not None:
            raise Unfit(f"{shown(text)} without quotes is {trap} to YAML.", f'Write it in quotes: "{text}".')
        return text

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}

    def words(self) -> str:
        return f"{self.allowed}, such as {self.example}"


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number in decimal digits."""

    low: int
    high: int

    def read(self, text: str, plain: bool) -> int:
        digits = re.match(r"\A-?(0|[1-9][0-9]*)\Z", text)
        if digits and not plain:
            raise Unfit(f'"{shown(text)[1:-1]}" in quotes is text, not a number.', "Remove the quotes.")
        if not digits:
            trap = taken_for(text)
            also = f" (to YAML it is {trap})" if trap else ""
            raise Unfit(
                f"{shown(text)} is not a whole number{also}.", f"Write {self.words()}, in plain digits."
            )
        # The length is looked at first: converting a million digits would take seconds.
        if len(text) > 12 or not self.low <= int(text) <= self.high:
            raise Unfit(f"{shown(text)[1:-1]} is out of range.", f"Use {self._range()}.")
        return int(text)

    def _range(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def words(self) -> str:
        return f"a whole number, {self._range()}"


@dataclass(frozen=True, slots=True)
class Version:
    """The version of the format, up to the one that this Willis knows."""

    newest: int

    def read(self, text: str, plain: bool) -> int:
        if plain and re.match(r"\A[1-9][0-9]{0,8}\Z", text) and int(text) > self.newest:
            what = f"This document is of version {text}; this Willis reads up to {self.newest}."
            raise Unfit(what, "Upgrade Willis, or use a document that was made for this one.")
        return Integer(1, self.newest).read(text, plain)

    def schema(self) -> Schema:
        return Integer(1, self.newest).schema()

    def words(self) -> str:
        return Integer(1, self.newest).words()


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive ports by the first and the last; often one."""

    first: int
    last: int

    @property
    def ports(self) -> range:
        return range(self.first, self.last + 1)

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class PortSpan:
    """A port, or a range of ports such as ``8000-8010``. The value is a ``Span``."""

    port: Integer = Integer(1, 65535)

    def read(self, text: str, plain: bool) -> Span:
        first, hyphen, last = text.partition("-")
        if not (first and hyphen):
            port = self.port.read(text, plain)
            return Span(port, port)
        span = Span(self.port.read(first, True), self.port.read(last, True))
        if span.first >= span.last:
            raise Unfit(f"The range {text} does not ascend.", "Write the lower port first: 8000-8010.")
        return span

    def schema(self) -> Schema:
        spans = {"type": "string", "pattern": "^[1-9][0-9]{0,4}-[1-9][0-9]{0,4}$"}
        return {"anyOf": [self.port.schema(), spans]}

    def words(self) -> str:
        return f"{self.port.words()}, or a range such as 8000-8010"


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no, written ``true`` or ``false`` and in no other way."""

    def read(self, text: str, plain: bool) -> bool:
        if not plain or text not in ("true", "false"):
            said = shown(text) if plain else f'"{shown(text)[1:-1]}" in quotes'
            raise Unfit(f"{said} is neither true nor false.", f"Write {self.words()}, in small letters.")
        return text == "true"

    def schema(self) -> Schema:
        return {"type": "boolean"}

    def words(self) -> str:
        return "true or false"


_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True, slots=True)
class Duration:
    """A whole number with a unit. The value is in seconds: a float, or an int where ``whole``."""

    low: str
    high: str
    whole: bool = False

    def read(self, text: str, plain: bool) -> float | int:
        ms = _milliseconds(text)
        if ms is None:
            raise Unfit(f"{shown(text)} is not a duration{_reason(text)}.", f"Write {self.words()}.")
        if not (_milliseconds(self.low) or 0) <= ms <= (_milliseconds(self.high) or 0):
            raise Unfit(f"{text} is out of range.", f"Use {self.low} to {self.high}.")
        if not self.whole:
            return ms / 1000
        if ms % 1000:
            raise Unfit(f"{text} is not a whole number of seconds.", "Round it to seconds.")
        return ms // 1000

    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h|d)$"}

    def words(self) -> str:
        return f"a duration, {self.low} to {self.high} (units ms, s, m, h, d)"


def _milliseconds(text: str) -> int | None:
    match = re.match(r"\A([0-9]{1,9})(ms|s|m|h|d)\Z", text)
    return int(match[1]) * _UNITS_MS[match[2]] if match else None


def _reason(text: str) -> str:
    if re.match(r"\A[0-9]{1,9}\Z", text):
        return ": it has no unit"
    if re.match(r"\A[0-9]{1,9}(\.[0-9]+)(ms|s|m|h|d)\Z", text):
        return ": it has a fraction, and a smaller unit avoids that"
    trap = taken_for(text)
    return f" (to YAML it is {trap})" if trap else ""


_SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True, slots=True)
class Size:
    """A whole number of bytes with a unit of 1,024 and its powers."""

    low: str
    high: str

    def read(self, text: str, plain: bool) -> int:
        size = _bytes(text)
        if size is None:
            raise Unfit(f"{shown(text)} is not a size.", f"Write {self.words()}.")
        if not (_bytes(self.low) or 0) <= size <= (_bytes(self.high) or 0):
            raise Unfit(f"{text} is out of range.", f"Use {self.low} to {self.high}.")
        return size

    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^[0-9]{1,9}[kmgt]$"}

    def words(self) -> str:
        return f"a size, {self.low} to {self.high} (units k, m, g, t)"


def _bytes(text: str) -> int | None:
    match = re.match(r"\A([0-9]{1,9})([kmgt])\Z", text)
    return int(match[1]) * _SIZES[match[2]] if match else None


def size_text(size: int) -> str:
    """The text that ``Size`` reads as ``size``, in the largest unit that leaves no rest."""
    unit, each = next((u, each) for u, each in reversed(_SIZES.items()) if size % each == 0)
    return f"{size // each}{unit}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of a few."""

    of: type[StrEnum]
    later: tuple[StrEnum, ...] = ()
    """Words that are understood but not carried; a rule refuses them with the reason."""

    def read(self, text: str, plain: bool) -> StrEnum:
        try:
            return self.of(text)
        except ValueError:
            hint = did_you_mean(suggestion(text, self._now()))
            trap = taken_for(text) if plain else None
            also = f" (to YAML it is {trap})" if trap else ""
            raise Unfit(
                f"{shown(text)} is not one of the words known here{also}.", f"{hint}Write {self.words()}."
            ) from None

    def _now(self) -> list[str]:
        return [str(word) for word in self.of if word not in self.later]

    def schema(self) -> Schema:
        return {"type": "string", "enum": self._now()}

    def words(self) -> str:
        *most, last = self._now()
        return f"{', '.join(most)} or {last}" if most else last
