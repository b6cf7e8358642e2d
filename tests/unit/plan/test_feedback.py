"""What servers say of themselves, and how far they are believed."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import dr, seen, site
from willis.model.status import Place
from willis.plan.feedback import Opinion, Said, Unreadable, heard, missed, read_json, read_line, share
from willis.plan.members import Standing, members


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("75%", Said(75, None)),
        ("75% up ready\n", Said(75, False)),
        ("up,ready,50%", Said(50, False)),
        ("drain", Said(None, True)),
        ("100% maint # somebody patches", Said(100, True)),
        ("250%", Said(100, None)),
        ("maxconn:30 80%", Said(80, None)),
    ],
)
def test_lines_of_agents(line: str, said: Said) -> None:
    assert read_line(line) == said


@pytest.mark.parametrize("line", ["", "hello", "-5%", "7", "75 %", "NaN%", "0x10%"])
def test_anything_else_is_no_feedback(line: str) -> None:
    with pytest.raises(Unreadable):
        read_line(line)


def test_objects_of_http_servers() -> None:
    assert read_json('{"percent": 40, "state": "up"}') == Said(40, False)
    assert read_json('{"state": "drain"}') == Said(None, True)
    for bad in (
        "[]",
        "{}",
        '{"percent": 101}',
        '{"percent": true}',
        '{"percent": NaN}',
        '{"state": "hm"}',
        "x",
    ):
        with pytest.raises(Unreadable):
            read_json(bad)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text() | _VALUES.map(json.dumps))
def test_nothing_else_is_raised(text: str) -> None:
    for read in (read_line, read_json):
        with suppress(Unreadable):
            read(text)


def test_one_answer_moves_little_and_many_move_all() -> None:
    opinion = heard(Opinion(), Said(0))
    assert opinion.percent == 60
    for _ in range(30):
        opinion = heard(opinion, Said(0))
    assert share(opinion, 10) == 0.1


def test_a_silent_agent_is_forgotten() -> None:
    opinion = Opinion(20, True)
    assert missed(missed(opinion)).away
    assert missed(missed(missed(opinion))) == Opinion(missed=3)


@given(st.lists(st.integers(0, 100), max_size=50), st.integers(1, 100))
def test_nobody_gets_less_than_the_least(percents: list[int], least: int) -> None:
    opinion = Opinion()
    for each in percents:
        opinion = heard(opinion, Said(each))
    assert least / 100 - 0.03 <= share(opinion, least) <= 1


def test_mad_agents_do_not_empty_a_pool() -> None:
    config = site(dr())
    service = config.services[0]
    hosts = [server.host for server in service.pool]
    one = replace(seen(config), away=frozenset({Place(hosts[0], service.name)}))
    assert [m.standing for m in members(service, one)] == [Standing.DRAIN, Standing.OPEN, Standing.OPEN]
    everybody = replace(seen(config), away=frozenset(Place(host, service.name) for host in hosts))
    assert all(m.takes_new for m in members(service, everybody))
