"""Rules about DICOM: one change to a sound document, exactly one problem."""

from __future__ import annotations

import pytest

from tests.unit.config.test_rules import problems

SOUND = """\
version: 1
site: rules
interfaces:
  eth0:
    addresses: [10.60.0.2/24]
hosts:
  a: 10.60.0.11
services:
  Pacs:
    vip: 10.60.0.101
    ports: 2762
    application: dicom
    forwarding: proxy
    tls: {certificates: pacs, clients: {authority: modalities}}
    persistence: {kind: ae-title}
    dicom:
      routes:
        - {called: [RIS, MWL], service: Worklist}
        - {called: VNA, service: Worklist}
      certificates:
        - {calling: CT1, name: ct1.example}
        - {calling: MR1, name: mr1.example}
    pool: [{host: a, port: 104}]
  Worklist:
    vip: 10.60.0.101
    application: mwl
    forwarding: proxy
    pool: [{host: a, port: 105}]
"""
D = "services.Pacs.dicom"

CASES = {
    "a title twice": (
        ("called: VNA", "called: MWL"),
        f"error {D}.routes[1].called: MWL already leads to Worklist",
    ),
    "bound twice": (
        ("calling: MR1", "calling: CT1"),
        f"error {D}.certificates[1].calling: CT1 is already bound",
    ),
    "no such pool": (
        ("{called: VNA, service: Worklist}", "{called: VNA, service: Nowhere}"),
        f"error {D}.routes[1].service: There is no service 'Nowhere'",
    ),
    "no client certificates": (
        (", clients: {authority: modalities}", ""),
        f"error {D}.certificates: AE titles are bound to certificates",
    ),
}


def test_the_sound_document_has_no_problem() -> None:
    assert problems(text=SOUND) == []


@pytest.mark.parametrize("case", CASES)
def test_rule(case: str) -> None:
    change, expected = CASES[case]
    (found,) = problems(change, text=SOUND)
    assert found.startswith(expected)


def test_dicom_keys_are_for_dicom() -> None:
    found = problems(("application: dicom", "application: hl7"), text=SOUND)
    assert any(f.startswith(f"error {D}: These keys are for DICOM") for f in found)
