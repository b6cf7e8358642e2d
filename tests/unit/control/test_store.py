"""What survives a restart."""

from __future__ import annotations

import sqlite3
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from willis.control.database import StoreError
from willis.control.store import Standing, Store
from willis.model.check import CheckKind, Deep, Dicom, DicomAsk, HalfOpen, Ping, Target
from willis.model.status import Admin, Health, Place, Verdict


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "willis.db"


def test_a_candidate_runs_only_after_it_was_promoted(path: Path) -> None:
    store = Store(path)
    first = store.propose("one", 1.0, "ann", "start")
    assert store.running() is None
    store.promote(first.number)
    second = store.propose("two", 2.0, "ann", "")
    assert store.running() == store.revision(first.number)
    store.promote(second.number)
    assert [(r.document, r.state) for r in store.history()] == [
        ("two", Standing.RUNNING),
        ("one", Standing.FORMER),
    ]


def test_a_candidate_that_a_crash_left_behind_is_not_in_force(path: Path) -> None:
    store = Store(path)
    store.promote(store.propose("one", 1.0, "ann", "").number)
    store.propose("two", 2.0, "ann", "")
    reopened = Store(path)
    reopened.settle(0.0)
    running = reopened.running()
    assert running is not None
    assert running.document == "one"
    assert reopened.history()[0].state is Standing.REFUSED


def test_administrative_states_and_verdicts_come_back(path: Path) -> None:
    store = Store(path)
    states = {Place("vna1"): Admin.DRAIN, Place("vna2", "MWL"): Admin.HALT}
    target = Target(IPv4Address("10.60.0.11"), 104)
    health = Health(Verdict.DEAD, "refused", 7.0)
    store.keep_admin({Place("vna3"): Admin.HALT}, {})
    store.keep_admin(states, {})
    store.keep_health({target: health})
    store.close()
    assert Store(path).admin() == states
    assert Store(path).health([target]) == {target: health}


def test_verdicts_are_kept_by_question(path: Path) -> None:
    place = IPv4Address("10.60.0.11"), 104
    questions = (HalfOpen(), Dicom(), Dicom(ask=DicomAsk("PACS1")), Dicom(CheckKind.DICOM_FIND))
    targets = [Target(*place, question) for question in questions]
    targets.append(Target(*place, HalfOpen(), Deep(Dicom())))
    store = Store(path)
    store.keep_health({t: Health(Verdict.UP, "answers", float(n)) for n, t in enumerate(targets)})
    store.close()
    known = Store(path).health([*targets, Target(*place, Ping())])
    assert [known[target].since for target in targets] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(known) == len(targets)


def test_faults_of_paths_come_back_and_those_that_ended_do_not(path: Path) -> None:
    first, second = (
        {Place(host, "Archive"): Health(Verdict.MISCONFIGURED, f"VIP is missing on {host}", 7.0)}
        for host in ("vna1", "vna2")
    )
    store = Store(path)
    store.keep_paths(first)
    assert Store(path).paths() == first
    store.keep_paths(second)
    assert Store(path).paths() == second


def test_a_failed_transaction_changes_nothing(path: Path) -> None:
    store = Store(path)
    store.keep_admin({Place("vna1"): Admin.DRAIN}, {})
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    other.execute("DROP TABLE admin")
    other.execute("CREATE TABLE admin (host TEXT)")
    other.execute("INSERT INTO admin VALUES ('kept')")
    with pytest.raises(StoreError, match="willis.db"):
        store.keep_admin({Place("vna2"): Admin.HALT}, {})
    assert other.execute("SELECT host FROM admin").fetchall() == [("kept",)]


def test_the_file_is_for_its_owner_only_and_a_bad_one_is_named(path: Path) -> None:
    Store(path)
    assert path.stat().st_mode & 0o777 == 0o600
    broken = path.with_name("broken.db")
    broken.write_bytes(b"this is not a database, but long enough to be taken for one" * 20)
    with pytest.raises(StoreError, match=r"broken\.db"):
        Store(broken)
