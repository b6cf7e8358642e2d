"""TLS towards clients and towards real servers."""

from __future__ import annotations

from tests.builders import dr, site, web
from willis.certificates.store import Holdings
from willis.model.config import Config
from willis.model.persistence import CookiePersistence
from willis.model.proxy import (
    ClientCertificates,
    Dicom,
    Http,
    ServerTls,
    TitleCertificate,
    Tls,
    TlsPolicy,
)
from willis.model.service import Forwarding

HOLDINGS = Holdings(
    certificates=frozenset({("pacs", "a1" * 20), ("viewer", "b2" * 20), ("node", "c3" * 20)}),
    authorities=frozenset({("hospital", "d4" * 32), ("modalities", "e5" * 32)}),
)

_BOUND = (TitleCertificate("CT1", "ct1.example"), TitleCertificate("MR1", "mr1.example"))
_NAMED = ClientCertificates("modalities", names=("ct1.example", "MR 2"))

CASES: dict[str, tuple[Config, dict[str, bool]]] = {
    "tls": (
        site(
            web(
                "Viewer",
                110,
                tls=Tls(("viewer", "pacs")),
                http=Http(https_from=(8080,), hsts_s=86_400),
                persistence=CookiePersistence(),
            ),
            web("Modern", 111, tls=Tls(("pacs",), TlsPolicy.MODERN, _NAMED), http=Http(http2=False)),
            dr(
                "Dicom",
                112,
                forwarding=Forwarding.PROXY,
                tls=Tls(("pacs",), TlsPolicy.BCP195, ClientCertificates("modalities")),
                dicom=Dicom(certificates=_BOUND),
            ),
            dr(
                "Optional",
                113,
                forwarding=Forwarding.PROXY,
                tls=Tls(
                    ("pacs",), TlsPolicy.MODIFIED_BCP195, ClientCertificates("modalities", False, ("ct1",))
                ),
            ),
        ),
        {},
    ),
    "tls-to-servers": (
        site(
            web("Verified", 110, server_tls=ServerTls("hospital", name="vna.example", certificate="node")),
            web("System", 111, server_tls=ServerTls(None, name="vna.example"), tls=Tls(("pacs",))),
            web("Anybody", 112, server_tls=ServerTls(verify=False), http=Http(http2_to_servers=True)),
            dr(
                "Dicom",
                113,
                forwarding=Forwarding.PROXY,
                server_tls=ServerTls("hospital", name="pacs.example"),
            ),
        ),
        {},
    ),
}
