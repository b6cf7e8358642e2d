"""Persistence, headers and rules."""

from __future__ import annotations

from ipaddress import ip_network

from tests.builders import dr, site, web
from willis.model.config import Config
from willis.model.persistence import (
    ApplicationCookiePersistence,
    CookieMode,
    CookiePersistence,
    HeaderPersistence,
    SameSite,
    SourcePersistence,
    Title,
    TitlePersistence,
    TlsSessionPersistence,
)
from willis.model.proxy import (
    AddHeader,
    DeleteHeader,
    Deny,
    Field,
    Forwarded,
    Http,
    Redirect,
    ReplaceHeader,
    RewritePath,
    SetHeader,
    Side,
    UsePool,
    When,
)
from willis.model.service import Application, Forwarding

_SOURCE = SourcePersistence(600, mask=24)

EVERY_RULE = (
    RewritePath("^/wado/(.*)", r"/dicom-web/\1", When(path_begins=("/wado/",))),
    UsePool("Archive", When(hosts=("archive.example", "*.archive.example"), methods=("GET", "HEAD"))),
    SetHeader("X-Department", "radiology; floor=2"),
    AddHeader("Via", "1.1 willis", Side.RESPONSE),
    ReplaceHeader("Location", "^http:(.*)", r"https:\1", Side.RESPONSE, When(paths=("/login",))),
    DeleteHeader("Server", Side.RESPONSE),
    Redirect("https://pacs.example", keep_path=True, status=301, when=When(hosts=("old.example",))),
    Redirect("/start", when=When(paths=("/",))),
    Deny(404, When(path_ends=(".php",), sources=(ip_network("192.0.2.0/24"),))),
    Deny(403, When(path_matches=("^/admin(/|$)",), queries=(Field("debug", "1"),))),
    UsePool("Archive", When(headers=(Field("sender-transfer-id", "7"),))),
)

CASES: dict[str, tuple[Config, dict[str, bool]]] = {
    "http-persistence": (
        site(
            web("Insert", 110, persistence=CookiePersistence("SID", 60, 3600, same_site=SameSite.LAX)),
            web("Rewrite", 111, persistence=CookiePersistence("APP", mode=CookieMode.REWRITE)),
            web(
                "Prefix", 112, persistence=CookiePersistence("APP", mode=CookieMode.PREFIX, otherwise=_SOURCE)
            ),
            web(
                "Application", 113, persistence=ApplicationCookiePersistence("JSESSIONID", otherwise=_SOURCE)
            ),
            web("Header", 114, persistence=HeaderPersistence("sender-transfer-id", 60)),
        ),
        {},
    ),
    "tcp-persistence": (
        site(
            dr("Titles", 110, forwarding=Forwarding.PROXY, persistence=TitlePersistence(otherwise=_SOURCE)),
            dr("Called", 111, forwarding=Forwarding.PROXY, persistence=TitlePersistence(Title.CALLED)),
            dr(
                "Passing",
                112,
                443,
                forwarding=Forwarding.PROXY,
                application=Application.GENERIC,
                persistence=TlsSessionPersistence(),
            ),
        ),
        {},
    ),
    "http-rules": (site(web(http=Http(rules=EVERY_RULE)), web("Archive", 115)), {}),
    "http-headers": (
        site(
            web("Both", 110, http=Http(forwarded=Forwarded.BOTH, prefix="/viewer/")),
            web("Silent", 111, http=Http(forwarded=Forwarded.NONE)),
            web(
                "Behind", 112, http=Http(trust=(ip_network("10.60.0.0/24"),), sorry="https://status.example/")
            ),
        ),
        {},
    ),
}
