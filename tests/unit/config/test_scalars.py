"""Single values: what is read, what is refused, and that no YAML trap is guessed at."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_interface

import pytest
import yaml

from willis.config import load
from willis.config.addresses import IPAddress, OwnAddress
from willis.config.document import INTERFACE_NAME
from willis.config.scalars import (
    Choice,
    Duration,
    Flag,
    Integer,
    Name,
    PortSpan,
    ScalarKind,
    Span,
    Unfit,
    taken_for,
)
from willis.config.words import COOKIE_PATTERN
from willis.model.service import Forwarding

NAME = Name("host")
PORT = Integer(1, 65535)
SHORT = Duration("200ms", "1h")
SECONDS = Duration("1s", "24h", whole=True)
ADDRESS = IPAddress()
OWN = OwnAddress()
FORWARDING = Choice(Forwarding, (Forwarding.NAT,))
PORTS = PortSpan()
FLAG = Flag()
COOKIE_NAME = Name("cookie", COOKIE_PATTERN, "1 to 32 letters")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (NAME, "vna1", "vna1"),
        (NAME, "a" * 63, "a" * 63),
        (NAME, "10.60.0.11", "10.60.0.11"),
        (PORT, "1", 1),
        (PORT, "65535", 65535),
        (Integer(0, 256), "0", 0),
        (SHORT, "500ms", 0.5),
        (SHORT, "5s", 5.0),
        (SHORT, "1h", 3600.0),
        (SECONDS, "5m", 300),
        (SECONDS, "2000ms", 2),
        (SECONDS, "1d", 86400),
        (ADDRESS, "10.60.0.11", ip_address("10.60.0.11")),
        (ADDRESS, "127.0.0.11", ip_address("127.0.0.11")),
        (ADDRESS, "2001:DB8::1", ip_address("2001:db8::1")),
        (OWN, "10.60.0.2/24", ip_interface("10.60.0.2/24")),
        (OWN, "10.60.0.2/31", ip_interface("10.60.0.2/31")),
        (OWN, "10.60.0.2/32", ip_interface("10.60.0.2/32")),
        (OWN, "2001:db8::/64", ip_interface("2001:db8::/64")),
        (FORWARDING, "dr", Forwarding.DR),
        (FORWARDING, "nat", Forwarding.NAT),
        (COOKIE_NAME, "SERVER_ID-1", "SERVER_ID-1"),
        (PORTS, "80", Span(80, 80)),
        (PORTS, "8000-8010", Span(8000, 8010)),
        (PORTS, "1-65535", Span(1, 65535)),
        (FLAG, "true", True),
        (FLAG, "false", False),
    ],
)
def test_is_read(kind: ScalarKind, text: str, value: object) -> None:
    assert kind.read(text, plain=True) == value


TRAPS = ["no", "Yes", "on", "OFF", "y", "n", "true", "False", "~", "null", "", "22:22", "1:30:00", "1_000"]
TRAPS += ["0o17", "010", "0x1F", "0b11", "1e3", "1.0", "1.5e-3", ".inf", "-.inf", ".nan", "+5", "2026-01-31"]


@pytest.mark.parametrize("text", TRAPS)
def test_traps_are_refused_everywhere(text: str) -> None:
    assert taken_for(text)
    for kind in (NAME, COOKIE_NAME, PORT, PORTS, SHORT, ADDRESS, OWN, FORWARDING):
        with pytest.raises(Unfit) as refusal:
            kind.read(text, plain=True)
        assert refusal.value.what.endswith(".") and refusal.value.remedy.endswith((".", '".'))


@pytest.mark.parametrize("text", ["no", "123", "1e3", "2026-01-31"])
def test_a_name_in_quotes_is_meant(text: str) -> None:
    assert NAME.read(text, plain=False) == text


@pytest.mark.parametrize("text", [*TRAPS, "vna1", "a-b", "1a", "0a", "10.60.0.11", "e3", "x:y"])
def test_whatever_yaml_takes_for_something_else_is_known(text: str) -> None:
    if not isinstance(yaml.safe_load(text), str):
        assert taken_for(text)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (NAME, "-x", "no valid"),
        (NAME, "a" * 64, "no valid"),
        (NAME, "a b", "no valid"),
        (NAME, "a\n", "no valid"),
        (NAME, "a/b", "no valid"),
        (NAME, "ü", "no valid"),
        (INTERFACE_NAME, "a" * 16, "no valid"),
        (INTERFACE_NAME, "eth0:1", "no valid"),
        (COOKIE_NAME, "a;b", "no valid"),
        (COOKIE_NAME, "a" * 33, "no valid"),
        (COOKIE_NAME, "A\n", "no valid"),
        (PORT, "0", "out of range"),
        (PORT, "65536", "out of range"),
        (PORT, "-1", "out of range"),
        (PORT, "9" * 5000, "out of range"),
        (PORT, "80-90", "not a whole number"),
        (PORT, "80\n", "not a whole number"),
        (PORT, "٨٠", "not a whole number"),
        (SHORT, "5", "no unit"),
        (SHORT, "0.5s", "fraction"),
        (SHORT, "5 s", "not a duration"),
        (SHORT, "5S", "not a duration"),
        (SHORT, "1h30m", "not a duration"),
        (SHORT, "100ms", "out of range"),
        (SHORT, "999999999d", "out of range"),
        (SECONDS, "1500ms", "whole number of seconds"),
        (ADDRESS, "10.60.0.11/24", "prefix length"),
        (ADDRESS, "10.60.0.11:80", "port"),
        (ADDRESS, "10.60.0.011", "octal"),
        (ADDRESS, "10.60.0", "not an IP address"),
        (ADDRESS, "fe80::1%eth0", "not an IP address"),
        (ADDRESS, "vna1", "not an IP address"),
        (ADDRESS, "0.0.0.0", "unspecified"),
        (ADDRESS, "::", "unspecified"),
        (ADDRESS, "224.0.0.1", "multicast"),
        (ADDRESS, "255.255.255.255", "reserved"),
        (ADDRESS, "::ffff:10.0.0.1", "clothing"),
        (OWN, "10.60.0.2", "prefix length"),
        (OWN, "10.60.0.2/255.255.255.0", "prefix length"),
        (OWN, "10.60.0.2/33", "prefix length"),
        (OWN, "10.60.0.2/0", "every address"),
        (OWN, "10.60.0.0/24", "first or last"),
        (OWN, "10.60.0.255/24", "first or last"),
        (PORTS, "8010-8000", "does not ascend"),
        (PORTS, "80-80", "does not ascend"),
        (PORTS, "80-", "not a whole number"),
        (PORTS, "-80", "out of range"),
        (PORTS, "080-90", "not a whole number"),
        (PORTS, "80 - 90", "not a whole number"),
        (PORTS, "80-90\n", "not a whole number"),
        (PORTS, "80-90-99", "not a whole number"),
        (PORTS, "0-10", "out of range"),
        (PORTS, "1-65536", "out of range"),
        (PORTS, "80:90", "not a whole number"),
        (FLAG, "True", "neither true nor false"),
        (FLAG, "yes", "neither true nor false"),
        (FLAG, "1", "neither true nor false"),
        (FORWARDING, "Dr", "not one of the words"),
        (FORWARDING, "prxy", "not one of the words"),
    ],
)
def test_is_refused(kind: ScalarKind, text: str, says: str) -> None:
    with pytest.raises(Unfit, match=re.escape(says)):
        kind.read(text, plain=True)


def test_a_number_in_quotes_is_text() -> None:
    with pytest.raises(Unfit, match="Remove the quotes"):
        PORT.read("80", plain=False)
    with pytest.raises(Unfit, match='"true" in quotes is neither'):
        FLAG.read("true", plain=False)


def test_a_close_word_is_suggested() -> None:
    with pytest.raises(Unfit, match="Did you mean 'proxy'"):
        FORWARDING.read("prxy", plain=True)


def test_later_words_are_not_offered() -> None:
    assert "nat" not in FORWARDING.words().split(", ")
    assert FORWARDING.schema()["enum"] == ["dr", "snat", "tun", "proxy"]


def test_a_newer_document_is_refused_with_what_to_do() -> None:
    problems = load("version: 7\nsite: s\ninterfaces: {}\nhosts: {}\nservices: {}\n").problems
    (told,) = (p for p in problems if p.path == "version")
    assert (told.pointer, told.line) == ("/version", 1)
    assert told.what == "This document is of version 7; this Willis reads up to 1."
    assert told.remedy.startswith("Upgrade Willis")


@pytest.mark.parametrize("text", ["0", "-1", "1.0", "two", "01", '"1"'])
def test_what_is_no_version_is_refused_as_such(text: str) -> None:
    problems = load(f"version: {text}\nsite: s\n").problems
    assert any(p.path == "version" and p.line == 1 and p.severity == "error" for p in problems)
