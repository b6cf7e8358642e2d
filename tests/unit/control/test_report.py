"""Rows of the status, kept and made anew: nobody can tell which."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import dr, seen, server, site, web
from willis.control.report import Row, Rows
from willis.engines.port import Traffic
from willis.model.config import Config
from willis.model.status import Admin, Place, Status, Verdict
from willis.plan.terms import Term

CONFIGS = (site(dr(), web()), site(dr(fallback=server(5)), web()), site(dr(pool=(server(2), server(1)))))
STATUSES = (
    seen(CONFIGS[0]),
    seen(CONFIGS[0], vna1=Verdict.DEAD),
    replace(seen(CONFIGS[0]), admin={Place("vna2"): Admin.DRAIN}),
)
PLACES = [(s.name, f"vna{n}") for s in CONFIGS[0].services for n in (1, 2, 5)]
TRAFFIC = st.dictionaries(st.sampled_from(PLACES), st.builds(Traffic, *[st.integers(0, 2)] * 4), max_size=3)
TERMS = st.dictionaries(
    st.sampled_from([Place("vna1"), Place("vna2", "VitreaRead")]), st.builds(Term, st.just(5.0)), max_size=1
)
LONGEST = st.dictionaries(st.sampled_from(PLACES), st.just(1.5), max_size=1)
LOOKS = st.tuples(st.sampled_from(CONFIGS), st.sampled_from(STATUSES), TRAFFIC, TERMS, LONGEST)
Look = tuple[
    Config,
    Status,
    dict[tuple[str, str], Traffic],
    dict[Place, Term],
    dict[tuple[str, str], float],
]


@given(st.lists(LOOKS, min_size=2, max_size=6))
def test_kept_rows_say_what_new_ones_would(looks: list[Look]) -> None:
    rows = Rows()
    for look in looks:
        assert _told(rows, look) == _told(Rows(), look)


def test_a_row_that_nothing_changed_is_the_same() -> None:
    rows, look = Rows(), (CONFIGS[0], STATUSES[0], {PLACES[0]: Traffic(1)}, {}, {})
    first, again = _told(rows, look), _told(rows, look)
    assert all(one is other for one, other in zip(first, again, strict=True))


def _told(rows: Rows, look: Look) -> list[Row]:
    config, status, traffic, terms, longest = look
    return [rows.of(service, status, traffic, terms, longest) for service in config.services]
