"""The audit trail: whole, or it says where not."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis.control.audit import Audit
from willis.control.store import Store
from willis.model.audit import Act, Entry
from willis.plan.chain import BEGINNING, broken, link

ACTS = st.builds(Act, *(st.floats(0, 2e9), *[st.text(max_size=20)] * 10))


def chained(acts: list[Act]) -> list[Entry]:
    entries, before = [], BEGINNING
    for number, act in enumerate(acts, 1):
        before = link(before, number, act)
        entries.append(Entry(number, act, before))
    return entries


@given(st.lists(ACTS, max_size=8))
def test_a_chain_that_nobody_touched_is_whole(acts: list[Act]) -> None:
    assert broken(chained(acts)) is None


@given(st.lists(ACTS, min_size=1, max_size=8), st.data())
def test_whatever_is_changed_removed_or_put_in_is_found(acts: list[Act], data: st.DataObject) -> None:
    entries = chained(acts)
    at = data.draw(st.integers(0, len(entries) - 1))
    entry = entries[at]
    changed = replace(entry, act=replace(entry.act, who=entry.act.who + "x"))
    assert broken([*entries[:at], changed, *entries[at + 1 :]]) == at + 1
    if at < len(entries) - 1:
        assert broken([*entries[:at], *entries[at + 1 :]]) == at + 1
    assert broken([*entries[:at], entry, *entries[at:]]) == at + 2


def test_it_goes_on_after_a_restart_and_nobody_can_edit_it(tmp_path: Path) -> None:
    path = tmp_path / "willis.db"
    store = Store(path)
    Audit(store).note("root", "POST /drain", "where vna1", source="socket")
    store.close()
    store = Store(path)
    audit = Audit(store)
    audit.itself("online", "vna1", "its time is over")
    assert [(r["number"], r["who"]) for r in audit.rows(10)] == [(1, "root"), (2, "willis")]
    assert audit.verify()["ok"]
    other = sqlite3.connect(path, isolation_level=None)
    for sql in ("UPDATE audit SET act = '{}'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            other.execute(sql)
    other.execute("DROP TRIGGER audit_is_not_changed")
    other.execute("UPDATE audit SET act = replace(act, 'root', 'nobody') WHERE number = 1")
    found = audit.verify()
    assert (found["ok"], found["broken_at"], found["entries"]) == (False, 1, 2)


def test_entries_from_before_requests_had_names_still_hold(tmp_path: Path) -> None:
    """As an earlier version wrote them."""
    names = ("at", "who", "author", "source", "action", "about", "reason", "before", "after", "result")
    told = (1.5, "root", "", "socket", "POST /drain", "where vna1", "", "", "", "done")
    old = dict(zip(names, told, strict=True))
    path = tmp_path / "willis.db"
    store = Store(path)
    chain = "0b6ad2d1a4f657a23c9e821b8febebb0dcf3112e39e147c3c0706785ec6caa21"
    store.database.execute("INSERT INTO audit VALUES (1, ?, ?)", (json.dumps(old), chain))
    audit = Audit(store)
    audit.note("root", "POST /online", "where vna1", request_id="ris-2026.0042")
    assert [r["request_id"] for r in audit.rows(10)] == ["", "ris-2026.0042"]
    assert audit.verify()["ok"]
    store.database.execute("DROP TRIGGER audit_is_not_changed")
    store.database.execute("UPDATE audit SET act = replace(act, '0042', '0043')")
    assert audit.verify()["broken_at"] == 2


def test_what_is_said_is_cut_and_never_refused(tmp_path: Path) -> None:
    audit = Audit(Store(tmp_path / "willis.db"))
    odd = "\0\n$(reboot){{7*7}}\u202e" * 10_000
    audit.note("root", "POST /drain", odd, author=odd, reason=odd, result=odd)
    (row,) = audit.rows(1)
    assert len(str(row["reason"])) == 500
    assert audit.verify()["ok"]
