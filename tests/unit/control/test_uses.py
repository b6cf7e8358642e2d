"""Who uses what of the certificate store."""

from __future__ import annotations

from dataclasses import replace

from tests.builders import dr, site, web
from willis.control.uses import authority_users, certificate_users
from willis.model.alerts import Alerts, Webhook
from willis.model.check import Check, Http
from willis.model.config import Acme, AcmeCertificate
from willis.model.proxy import ClientCertificates, ServerTls, Tls

CONFIG = replace(
    site(
        web("Served", 110, tls=Tls(("pacs", "viewer"), clients=ClientCertificates("modalities"))),
        web("Shown", 111, server_tls=ServerTls("hospital", certificate="node")),
        dr("Checked", check=Check(Http(tls=ServerTls("vendor", certificate="node")))),
    ),
    acme=Acme(
        "https://ca.example/", authority="ca", certificates=(AcmeCertificate("viewer", ("v.example",)),)
    ),
    alerts=Alerts(webhooks=(Webhook("https://chat.example/", authority="hospital"),)),
)


def test_certificates() -> None:
    assert certificate_users(CONFIG, "pacs") == ["Served"]
    assert certificate_users(CONFIG, "viewer") == ["Served", "acme"]
    assert certificate_users(CONFIG, "node") == ["Shown", "Checked"]
    assert certificate_users(CONFIG, "modalities") == []


def test_authorities() -> None:
    assert authority_users(CONFIG, "modalities") == ["Served"]
    assert authority_users(CONFIG, "hospital") == ["Shown", "alerts"]
    assert authority_users(CONFIG, "vendor") == ["Checked"]
    assert authority_users(CONFIG, "ca") == ["acme"]
    assert authority_users(CONFIG, "pacs") == []
