"""The manual's page on the document is up to date, and the defaults that it states are true."""

from __future__ import annotations

from pathlib import Path

from willis import config
from willis.config.document import CHECK, COOKIE_RECORD, DEFAULTS, INTERFACE, SERVICE, SOURCE_IP, TIMEOUTS
from willis.config.fields import Record
from willis.config.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "document.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), "Make the page anew with the command that stands in it."


def stated(record: Record) -> str:
    """The literal defaults of a record, written out."""
    return ", ".join(f"{key.name}: {key.default[1:-1]}" for key in record.keys if _is_literal(key.default))


def _is_literal(default: str) -> bool:
    return default.startswith("`") and not default.startswith("`defaults.")


def test_writing_the_stated_defaults_out_changes_nothing() -> None:
    def document(
        interface: str, defaults: str, check: str, dr: str, persistence: str, cookie: str, timeouts: str
    ) -> str:
        return f"""\
version: 1
site: s
interfaces: {{eth0: {{addresses: [10.60.0.2/24]{interface}}}}}
hosts: {{a: 10.60.0.11}}
defaults: {{{defaults}}}
services:
  A: {{vip: 10.60.0.101, ports: 1, forwarding: dr, check: {{{check}}}, pool: [a]{dr},
      timeouts: {{{timeouts}}}, persistence: {{kind: source-ip{persistence}}}}}
  B: {{vip: 10.60.0.102, ports: 1, forwarding: proxy, application: http, pool: [a],
      persistence: {{kind: cookie{cookie}}}}}
"""

    silent = config.load(document("", "", "", "", "", "", ""))
    records = (INTERFACE, DEFAULTS, CHECK, SERVICE, SOURCE_IP, COOKIE_RECORD)
    interface, defaults, check, *rest = map(stated, records)
    timeouts = stated(TIMEOUTS)
    written = config.load(
        document(f", {interface}", defaults, check, *(f", {part}" for part in rest), timeouts)
    )
    assert silent.problems == written.problems == ()
    assert silent.config == written.config
    assert [len(stated(record).split(", ")) for record in records] == [1, 2, 5, 3, 1, 3]
    assert len(timeouts.split(", ")) == 3
