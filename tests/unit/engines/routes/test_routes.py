"""Which ways back and quick routes a site asks for."""

from __future__ import annotations

from dataclasses import replace

from tests.builders import dr, seen, site, web
from willis.engines.routes.compile import Local, Marking, Quick, Rule, compile_routes, marking_script
from willis.model.service import Application, Forwarding
from willis.plan.marks import MASK, OURS, RETURNING


def test_a_plain_site_needs_nothing() -> None:
    config = site(dr(), web())
    assert compile_routes(config, seen(config)) == {}


def test_a_transparent_service_asks_for_a_way_back_of_its_family() -> None:
    config = site(replace(web(), transparent=True))
    found = compile_routes(config, seen(config))
    assert set(found) == {"rule/4", "local/4", "marking/proxy"}
    assert isinstance(found["rule/4"], Rule)
    assert isinstance(found["local/4"], Local)
    assert found["rule/4"].table == found["local/4"].table
    assert isinstance(found["marking/proxy"], Marking)


def test_servers_of_proxied_dicom_get_a_quick_route_and_others_none() -> None:
    dicom = dr(forwarding=Forwarding.PROXY, application=Application.DICOM)
    for service, many in ((dicom, len(dicom.pool)), (replace(dicom, quick_acknowledge=False), 0)):
        config = site(service, dr("Other", 140, 104), web())
        quick = [q for q in compile_routes(config, seen(config)).values() if isinstance(q, Quick)]
        assert len(quick) == many


def test_the_mark_is_no_members_and_leaves_other_bits_alone() -> None:
    assert RETURNING & MASK == RETURNING
    assert RETURNING != OURS
    assert f"meta mark & {0xFFFFFFFF & ~MASK:#010x} | {RETURNING:#x}" in marking_script()
