"""From a document to machines, wires, addresses and listeners."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from tests.unit.lab.samples import DOCUMENT, config
from willis.lab import draw
from willis.lab.blueprint import Blueprint, BlueprintError, Detour, Kind, Listen, Machine
from willis.lab.pieces import with_orthanc
from willis.model.service import Protocol


def machine(blueprint: Blueprint, name: str) -> Machine:
    found = blueprint.machine(name)
    assert found is not None
    return found


def test_the_machines_are_two_clients_the_node_and_a_server_for_each_host() -> None:
    kinds = [(m.name, m.kind) for m in draw.full(config()).machines]
    assert kinds == [
        ("client1", Kind.CLIENT),
        ("client2", Kind.CLIENT),
        ("lb1", Kind.NODE),
        ("vna1", Kind.SERVER),
        ("vna2", Kind.SERVER),
        ("far", Kind.SERVER),
    ]


def test_the_node_has_the_interfaces_and_addresses_of_the_document() -> None:
    node = machine(draw.full(config()), "lb1")
    assert [(w.interface, w.addresses) for w in node.wires] == [("eth0", (ip_interface("10.60.0.2/24"),))]
    assert node.gateways == (ip_address("10.60.0.254"),)


def test_the_gateway_is_the_highest_address_that_nobody_has() -> None:
    taken = DOCUMENT.replace("10.60.0.107", "10.60.0.254").replace("vna2: 10.60.0.12", "vna2: 10.60.0.253")
    assert machine(draw.full(config(taken)), "vna1").gateways == (ip_address("10.60.0.252"),)


def test_each_client_has_a_network_of_its_own_with_many_addresses() -> None:
    blueprint = draw.full(config())
    one, two = machine(blueprint, "client1"), machine(blueprint, "client2")
    assert one.addresses[0] == ip_address("198.51.100.10")
    assert two.addresses[0] == ip_address("203.0.113.10")
    assert len(set(one.addresses)) == len(set(two.addresses)) == 64
    assert one.wires[0].bridge != two.wires[0].bridge


def test_client_networks_keep_out_of_the_documents_way() -> None:
    moved = DOCUMENT.replace("10.60.0.", "198.51.100.")
    blueprint = draw.full(config(moved))
    assert machine(blueprint, "client1").addresses[0] == ip_address("203.0.113.10")
    assert machine(blueprint, "client2").addresses[0] == ip_address("192.0.2.10")


def test_dr_hosts_hold_the_vips_on_loopback_and_others_do_not() -> None:
    blueprint = draw.full(config())
    assert [str(a) for a in machine(blueprint, "vna1").loopback] == [f"10.60.0.10{n}" for n in range(1, 7)]
    assert machine(blueprint, "far").loopback == ()


def test_a_fallback_server_holds_the_vip_and_listens_too() -> None:
    vna2 = machine(draw.full(config()), "vna2")
    assert ip_address("10.60.0.103") in vna2.loopback
    assert vna2.piece("mwl") is not None


def test_a_host_that_no_interface_reaches_is_behind_the_router() -> None:
    blueprint = draw.full(config())
    far = machine(blueprint, "far")
    assert far.wires[0].addresses == (ip_interface("10.77.0.5/24"),)
    assert far.gateways == (ip_address("10.77.0.254"),)
    assert far.wires[0].bridge != machine(blueprint, "vna1").wires[0].bridge


def test_a_routed_subnet_shrinks_until_it_overlaps_no_subnet_of_the_node() -> None:
    beside = DOCUMENT.replace("10.60.0.2/24", "10.60.0.2/25").replace("10.77.0.5", "10.60.0.200")
    far = machine(draw.full(config(beside)), "far")
    assert far.wires[0].addresses == (ip_interface("10.60.0.200/25"),)


def test_interface_names_stay_within_what_the_kernel_takes_whatever_hosts_are_called() -> None:
    long = DOCUMENT.replace("vna1", "a-host-with-a-really-long-name-indeed")
    blueprint = draw.full(config(long))
    names = [wire.port for m in blueprint.machines for wire in m.wires]
    assert all(len(name) <= 15 for name in names)
    assert len(set(names)) == len(names)


def test_tcp_binds_the_wildcard_and_udp_each_address() -> None:
    vna1 = machine(draw.full(config()), "vna1")
    dicom, generic = vna1.piece("dicom"), vna1.piece("generic")
    assert dicom is not None
    assert generic is not None
    assert dicom.listens == (Listen("0.0.0.0", 11112),)
    assert generic.listens[1:] == (
        Listen("10.60.0.106", 9123, Protocol.UDP),
        Listen("10.60.0.11", 9123, Protocol.UDP),
    )


def test_a_port_that_only_a_check_asks_answers_too() -> None:
    """'Connect to port' asks a UDP service by TCP; a check may also name a port of its own."""
    text = DOCUMENT.replace("    ports: 2398\n", "    ports: 2398\n    check: {port: 4711}\n")
    generic = machine(draw.full(config(text)), "vna1").piece("generic")
    assert generic is not None
    tcp = {listen.port for listen in generic.listens if listen.protocol is Protocol.TCP}
    assert tcp == {9123, 4711}


def test_a_vip_tells_its_service_and_the_rip_names_all_that_share_it() -> None:
    dicom = machine(draw.full(config()), "vna1").piece("dicom")
    assert dicom is not None
    assert {(a, p): s for a, p, s in dicom.services} == {
        ("10.60.0.101", 11112): "Routing",
        ("10.60.0.102", 11112): "Internal",
        ("10.60.0.11", 11112): "Routing+Internal",
    }


def test_a_layer_7_server_listens_on_the_port_of_its_pool_item() -> None:
    web = machine(draw.full(config()), "far").piece("http")
    assert web is not None
    assert web.listens == (Listen("0.0.0.0", 9237),)


def test_one_port_cannot_speak_two_applications() -> None:
    clash = DOCUMENT.replace("ports: 8080", "ports: 2398")
    with pytest.raises(BlueprintError, match="both hl7 and mint"):
        draw.full(config(clash))


@pytest.mark.parametrize("name", ["client1", "lb1", "net"])
def test_a_host_cannot_be_called_like_a_machine_of_the_twin(name: str) -> None:
    with pytest.raises(BlueprintError, match="rename it"):
        draw.full(config(DOCUMENT.replace("vna1", name)))


def test_two_hosts_with_one_address_are_no_two_machines() -> None:
    shared = DOCUMENT.replace("vna2: 10.60.0.12", "vna2: 10.60.0.11")
    with pytest.raises(BlueprintError, match="have one address"):
        draw.full(config(shared))


def test_native_xdp_asks_for_plain_checksums() -> None:
    assert not draw.full(config()).plain_checksums
    xdp = DOCUMENT.replace("    addresses: [10.60.0.2/24]", "    addresses: [10.60.0.2/24]\n    attach: xdp")
    assert draw.full(config(xdp)).plain_checksums


def test_an_ipv6_site_gets_ipv6_clients_gateways_and_listeners() -> None:
    text = DOCUMENT.replace("addresses: [10.60.0.2/24]", "addresses: ['2001:db8:60::2/64', 10.60.0.2/24]")
    for number in (11, 12, *range(101, 108)):
        text = text.replace(f" 10.60.0.{number}\n", f" '2001:db8:60::{number}'\n")
    blueprint = draw.full(config(text))
    vna1, client = machine(blueprint, "vna1"), machine(blueprint, "client1")
    dicom = vna1.piece("dicom")
    assert dicom is not None
    assert dicom.listens == (Listen("::", 11112),)
    assert vna1.gateways == (ip_address("2001:db8:60::ffff:ffff:ffff:ffff"),)
    assert {address.version for address in client.addresses} == {4, 6}


def with_nat(service: str, text: str = DOCUMENT) -> str:
    """The document with one of its DR services in NAT."""
    head, name, body = text.partition(f"  {service}:\n")
    return head + name + body.replace("forwarding: dr", "forwarding: nat", 1)


def test_a_nat_server_has_the_node_as_its_gateway_and_no_vip() -> None:
    only = DOCUMENT.replace("    pool: [vna1, vna2]\n", "    pool: [vna1]\n").replace(
        "    fallback: vna2\n", ""
    )
    text = with_nat("Internal", only).replace(
        "forwarding: nat\n    pool: [vna1]", "forwarding: nat\n    pool: [vna2]"
    )
    vna2 = machine(draw.full(config(text)), "vna2")
    assert vna2.gateways == (ip_address("10.60.0.2"),)
    assert (vna2.loopback, vna2.detours) == ((), ())


def test_a_server_of_dr_and_nat_answers_from_its_own_address_through_the_node() -> None:
    blueprint = draw.full(config(with_nat("Internal")))
    vna1 = machine(blueprint, "vna1")
    assert vna1.gateways == (ip_address("10.60.0.254"),)
    detour = Detour(ip_address("10.60.0.11"), ip_address("10.60.0.2"), ip_network("10.60.0.0/24"), "eth0")
    assert vna1.detours == (detour,)
    assert ip_address("10.60.0.102") not in vna1.loopback
    assert ip_address("10.60.0.101") in vna1.loopback
    assert blueprint.detours == ()


def test_a_fallback_server_of_nat_answers_through_the_node_too() -> None:
    vna2 = machine(draw.full(config(with_nat("Worklist"))), "vna2")
    assert [detour.gateway for detour in vna2.detours] == [ip_address("10.60.0.2")]


def test_the_router_brings_the_answers_of_a_routed_nat_server_to_the_node() -> None:
    text = with_nat("Live").replace(
        "forwarding: nat\n    pool: [vna1, vna2]", "forwarding: nat\n    pool: [far]"
    )
    blueprint = draw.full(config(text))
    far = machine(blueprint, "far")
    gateway, subnet = ip_address("10.60.0.2"), ip_network("10.77.0.0/24")
    assert blueprint.detours == (Detour(ip_address("10.77.0.5"), gateway, subnet, far.wires[0].bridge),)
    assert (far.gateways, far.detours) == ((ip_address("10.77.0.254"),), ())


def test_snat_and_proxy_ask_nothing_of_a_host() -> None:
    snat = with_nat("Internal").replace("forwarding: nat", "forwarding: snat")
    assert machine(draw.full(config(snat)), "vna1").detours == ()


def test_a_translated_port_is_listened_on_and_known_by_its_service() -> None:
    text = with_nat("Internal").replace("nat\n    pool: [vna1", "nat\n    pool: [{host: vna1, port: 104}")
    dicom = machine(draw.full(config(text)), "vna1").piece("dicom")
    assert dicom is not None
    assert {listen.port for listen in dicom.listens} == {104, 11112}
    assert ("10.60.0.11", 104, "Internal") in dicom.services


def test_with_two_arms_the_nodes_way_to_the_clients_begins_where_the_vips_are() -> None:
    text = DOCUMENT.replace(
        "    addresses: [10.60.0.2/24]\n",
        "    addresses: [10.60.0.2/24]\n  eth1:\n    addresses: [10.61.0.2/24]\n",
    )
    for number in range(101, 108):
        text = text.replace(f"vip: 10.60.0.{number}", f"vip: 10.61.0.{number}")
    blueprint = draw.full(config(text))
    assert machine(blueprint, "lb1").gateways == (ip_address("10.61.0.254"),)
    assert machine(blueprint, "vna1").gateways == (ip_address("10.60.0.254"),)


def test_orthanc_takes_the_dicom_port_of_the_last_host() -> None:
    near = DOCUMENT.replace("  far: 10.77.0.5\n", "").replace(", {host: far, port: 9237}", "")
    last = machine(with_orthanc(draw.full(config(near))), "vna2")
    orthanc = last.piece("orthanc")
    assert orthanc is not None
    assert orthanc.listens == (Listen("0.0.0.0", 11112),)
    assert last.piece("dicom") is None
    assert last.piece("hl7") is not None


def test_orthanc_needs_a_dicom_service_on_the_last_host() -> None:
    with pytest.raises(BlueprintError, match="Orthanc needs a DICOM service"):
        with_orthanc(draw.full(config()))
