"""Rules about TLS."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import web
from willis.config.rules_tls import TLS_RULES
from willis.model.persistence import SourcePersistence, TlsSessionPersistence
from willis.model.proxy import ClientCertificates, Dicom, ServerTls, TitleCertificate, Tls

BOUND = Dicom(certificates=(TitleCertificate("CT1", "ct1.example"),))
CASES = {
    "no name": ({"server_tls": ServerTls("a")}, ["server-tls"]),
    "a name": ({"server_tls": ServerTls("a", name="vna.example")}, []),
    "not verified": ({"server_tls": ServerTls(verify=False)}, ["server-tls.verify"]),
    "titles without clients": ({"dicom": BOUND, "tls": Tls(("a",))}, ["dicom.certificates"]),
    "titles with optional clients": (
        {"dicom": BOUND, "tls": Tls(("a",), clients=ClientCertificates("a", required=False))},
        ["dicom.certificates"],
    ),
    "titles with clients": ({"dicom": BOUND, "tls": Tls(("a",), clients=ClientCertificates("a"))}, []),
    "tls sessions alone": ({"persistence": TlsSessionPersistence()}, ["persistence.otherwise"]),
    "tls sessions and addresses": (
        {"persistence": TlsSessionPersistence(otherwise=SourcePersistence())},
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rules(case: str) -> None:
    changes, told = CASES[case]
    service = replace(web(), **changes)
    found = [fault for rule in TLS_RULES for fault in rule(service)]
    assert [".".join(map(str, fault.path[2:])) for fault in found] == told
