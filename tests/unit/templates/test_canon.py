"""The Canon template: the vendor's table row by row, and every way to answer its questions."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from willis import config, templates
from willis.model.check import Check
from willis.model.config import Config
from willis.model.persistence import CookiePersistence, SourcePersistence
from willis.model.service import Application, Forwarding, Scheduler

# Ref., VIP name, mode, port: the table of the vendor's page.
TABLE = """\
1 DicomRouting dr 11112 dicom
2 DicomInternal dr 11112 dicom
3 HL7Live dr 2398 hl7
4 HL7Migrate dr 2988 hl7
5 MWL dr 4106 mwl
6 VPWorklistHL7Live dr 19001 hl7
7 VPWorklistHL7Migrate dr 19002 hl7
8 MINT dr 8080 mint
9 WorklistHL7Draft dr 19011 hl7
10 WorklistHL7Prelim dr 19012 hl7
11 WorklistHL7Signed dr 19013 hl7
12 VC_AdminTools proxy 8238 http
13 AuthM proxy 8236 http
14 VitreaRead proxy 8237 http
15 Worklist proxy 8089 http
16 VPSmartReporting proxy 8994 http"""
ROWS = [line.split() for line in TABLE.splitlines()]


def rendered(**answers: str) -> Config:
    loaded = config.load(templates.render("canon", answers))
    assert loaded.config is not None and loaded.problems == ()
    return loaded.config


def refused(**answers: str) -> str:
    with pytest.raises(templates.TemplateError) as error:
        templates.render("canon", answers)
    assert all(problem.what and problem.remedy for problem in error.value.problems)
    return str(error.value)


def test_the_examples_make_the_vendors_table() -> None:
    site = rendered()
    assert [host.name for host in site.hosts] == ["vna1", "vna2", "vna3"]
    for (number, name, mode, port, application), service in zip(ROWS, site.services, strict=True):
        assert service.name == name
        assert str(service.vip) == f"10.60.0.{100 + int(number)}"
        assert service.ports == (int(port),)
        assert service.forwarding is Forwarding(mode)
        assert service.application is Application(application)
        assert service.scheduler is Scheduler.WLC
        assert service.check == Check(interval_s=1, timeout_s=1, rise=2, fall=2)
        assert [server.host for server in service.pool] == ["vna1", "vna2", "vna3"]
        expected = SourcePersistence(300, 32) if mode == "dr" else CookiePersistence("SERVERID", 1800, 43200)
        assert service.persistence == expected


def test_the_text_names_every_vip_and_what_is_an_example() -> None:
    text = templates.render("canon", {"hosts": "a=10.60.0.11"})
    assert all(f"  # VIP {number}: " in text for number, *_ in ROWS)
    assert "# Example answers stand for: interface, address, vips." in text


def test_answers_are_used() -> None:
    site = rendered(
        interface="ens192",
        address="192.0.2.5/26",
        hosts="north=192.0.2.10, south=192.0.2.11",
        vips="192.0.2.20",
    )
    assert site.interfaces[0].name == "ens192"
    assert str(site.interfaces[0].addresses[0]) == "192.0.2.5/26"
    assert {host.name: str(host.address) for host in site.hosts} == {
        "north": "192.0.2.10",
        "south": "192.0.2.11",
    }
    assert str(site.services[15].vip) == "192.0.2.35"


def test_hosts_without_names_are_numbered() -> None:
    assert [host.name for host in rendered(hosts="10.60.0.20,10.60.0.21").hosts] == ["vna1", "vna2"]


@pytest.mark.parametrize("count", [1, 64])
def test_any_number_of_hosts(count: int) -> None:
    hosts = ",".join(f"10.60.0.{10 + i}" for i in range(count))
    assert all(len(service.pool) == count for service in rendered(hosts=hosts).services)


def test_ipv6() -> None:
    site = rendered(address="2001:db8::2/64", hosts="a=2001:db8::11", vips="2001:db8::100")
    assert site.services[0].persistence == SourcePersistence(300, 128)
    assert site.services[15].vip == ip_address("2001:db8::10f")


def test_one_address_for_all_but_dicom_internal() -> None:
    vips = [str(s.vip) for s in rendered(vips="others=10.60.0.101,DicomInternal=10.60.0.102").services]
    assert vips == ["10.60.0.101", "10.60.0.102"] + ["10.60.0.101"] * 14


def test_a_list_in_the_order_of_the_table() -> None:
    vips = [f"10.60.0.{200 - i}" for i in range(16)]
    assert [str(service.vip) for service in rendered(vips=",".join(vips)).services] == vips


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"host": "10.60.0.11"}, "Did you mean 'hosts'?"),
        ({"interface": "eth0; reboot"}, "no valid interface name"),
        ({"interface": "no"}, "a boolean"),
        ({"address": "10.60.0.2"}, "prefix length"),
        ({"hosts": ""}, "not an IP address"),
        ({"hosts": "a=10.60.0.11,a=10.60.0.12"}, "a is given twice"),
        ({"hosts": "a b=10.60.0.11"}, "no valid host name"),
        ({"hosts": "a=10.60.0.11\nsite: x"}, "not an IP address"),
        ({"hosts": "10.60.0.11:104"}, "it has a port"),
        ({"hosts": ",".join(f"10.60.0.{i}" for i in range(10, 75))}, "at most 64"),
        ({"hosts": "10.61.0.11"}, "DR needs an interface"),
        ({"vips": "10.60.0.101,10.60.0.102"}, "do not tell which service"),
        ({"vips": "255.255.255.250"}, "reserved"),
        ({"vips": "ffff::"}, "multicast"),
        ({"vips": "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, "lies in no subnet"),
        ({"vips": "MWL=10.60.0.101"}, "No VIP is given for DicomRouting"),
        ({"vips": "others=10.60.0.101,10.60.0.102"}, "has no service"),
        ({"vips": "others=10.60.0.101,MLW=10.60.0.102"}, "Did you mean 'MWL'?"),
        ({"vips": "others=10.60.0.101,MWL=10.60.0.102,MWL=10.60.0.103"}, "MWL is given twice"),
        ({"vips": "others=10.60.0.101"}, "Port 11112/tcp of 10.60.0.101 already belongs to DicomRouting"),
        ({"vips": "10.60.0.250"}, "is the first or last of its subnet"),
        ({"vips": "10.60.0.1"}, "is the node's own address"),
    ],
)
def test_answers_that_do_not_fit(answers: dict[str, str], says: str) -> None:
    assert says in refused(**answers)


def test_all_faults_at_once() -> None:
    told = refused(interface="-", address="x", hosts="1", vips="y,z", colour="red")
    assert len(told.splitlines()) == 7


def test_an_unknown_template() -> None:
    with pytest.raises(templates.TemplateError, match="Did you mean 'canon'"):
        templates.show("cannon")


def test_every_question_is_in_words() -> None:
    template = templates.show("canon")
    assert templates.names() == ("canon",)
    assert [question.name for question in template.questions] == ["interface", "address", "hosts", "vips"]
    assert all(q.text.endswith("?") and q.type and q.example for q in template.questions)
