"""The verdict on traffic: what the ledgers must show, and each way in which they may fail to."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.lab.samples import config
from willis.lab.evidence import Entry
from willis.lab.judge import Expected, Parties, fault
from willis.lab.traffic import probed
from willis.model.service import Forwarding, VirtualService

OWN = Parties(client=frozenset({"198.51.100.10"}), node=frozenset({"10.60.0.2", "10.61.0.2"}))
ECHO = Entry("vna1", "dicom", 1.0, ("Routing",), "198.51.100.10", "C-ECHO", True)
STORE = replace(ECHO, what="C-STORE", more={"digest": "d1"})
EXPECTED = Expected("C-ECHO, C-STORE", ("C-ECHO", "C-STORE"), frozenset({"d1"}))


def service(name: str) -> VirtualService:
    found = config().service(name)
    assert found is not None
    return found


def test_all_of_it_on_one_server_from_the_client_itself_passes() -> None:
    assert fault(service("Routing"), EXPECTED, [ECHO, STORE], OWN) == ""


def test_what_is_in_no_ledger_fails() -> None:
    assert fault(service("Routing"), EXPECTED, [ECHO], OWN) == "not in any ledger: C-STORE x1"


def test_changed_pixels_fail() -> None:
    changed = replace(STORE, more={"digest": "d2"})
    assert "1 of 1 arrived changed" in fault(service("Routing"), EXPECTED, [ECHO, changed], OWN)


def test_a_failure_that_the_server_noted_fails() -> None:
    assert "vna1 noted a failure" in fault(
        service("Routing"), EXPECTED, [ECHO, replace(STORE, ok=False)], OWN
    )


def test_persistence_forbids_a_split_and_a_service_without_it_may() -> None:
    split = [ECHO, replace(STORE, host="vna2")]
    assert "split over vna1, vna2" in fault(service("Routing"), EXPECTED, split, OWN)
    assert fault(service("Internal"), EXPECTED, split, OWN) == ""


def test_in_dr_the_server_must_see_the_client() -> None:
    masked = [replace(entry, client="10.60.0.2") for entry in (ECHO, STORE)]
    assert "saw 10.60.0.2 instead" in fault(service("Routing"), EXPECTED, masked, OWN)
    assert fault(service("Routing"), EXPECTED, masked, None) == ""


def test_in_nat_the_server_must_see_the_client() -> None:
    nat = replace(service("Routing"), forwarding=Forwarding.NAT)
    assert fault(nat, EXPECTED, [ECHO, STORE], OWN) == ""
    masked = [replace(entry, client="10.60.0.2") for entry in (ECHO, STORE)]
    assert "saw 10.60.0.2 instead of the client" in fault(nat, EXPECTED, masked, OWN)


def test_in_snat_the_server_must_see_the_node_or_the_source_that_was_asked_for() -> None:
    snat = replace(service("Routing"), forwarding=Forwarding.SNAT)
    seen = [replace(entry, client="10.61.0.2") for entry in (ECHO, STORE)]
    assert fault(snat, EXPECTED, seen, OWN) == ""
    assert "saw 198.51.100.10 instead of the node" in fault(snat, EXPECTED, [ECHO, STORE], OWN)
    chosen = replace(snat, source=snat.vip)
    assert "saw 10.61.0.2 instead of 10.60.0.101" in fault(chosen, EXPECTED, seen, OWN)
    right = [replace(entry, client="10.60.0.101") for entry in seen]
    assert fault(chosen, EXPECTED, right, OWN) == ""


def test_of_a_range_of_ports_both_ends_are_tried() -> None:
    ranged = replace(service("Routing"), ports=(21, *range(8000, 8011), 9000, 9001))
    assert probed(ranged) == [21, 8000, 8010, 9000, 9001]
    assert probed(service("Routing")) == [11112]


def test_behind_the_web_proxy_the_forwarded_address_counts() -> None:
    visit = Entry("vna1", "http", 1.0, ("Web",), "10.60.0.2", "GET /", True, {"forwarded": "198.51.100.10"})
    expected = Expected("a visit", ("GET /",))
    assert fault(service("Web"), expected, [visit], OWN) == ""
    assert "saw 10.60.0.2" in fault(service("Web"), expected, [replace(visit, more={})], OWN)
