"""Layer 7, HTTP: persistence, headers, rules and switching, as clients and servers see them."""

from __future__ import annotations

import http.client
from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.builders import seen
from tests.lab.proxy import PORT, Proxy, WebServer, address, eventually, local_site, real, service
from willis.model.config import Config
from willis.model.persistence import (
    ApplicationCookiePersistence,
    CookieMode,
    CookiePersistence,
    HeaderPersistence,
    Persistence,
    SameSite,
    SourcePersistence,
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
    Rule,
    SetHeader,
    Side,
    UsePool,
    When,
)
from willis.model.status import Verdict

pytestmark = pytest.mark.lab

Servers = dict[str, WebServer]
HOST = {"Host": "pacs.example"}


class Answer:
    """What a client got."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.text = answer.read().decode()

    @property
    def server(self) -> str:
        return self.text.partition("\n")[0]

    @property
    def path(self) -> str:
        """As the server saw it."""
        return self.text.splitlines()[1].split()[1]

    def seen(self, header: str) -> list[str]:
        """The values of a header as the server saw it."""
        lines = (line.partition(": ") for line in self.text.splitlines()[2:])
        return [value for name, _, value in lines if name.lower() == header.lower()]


def ask(path: str = "/", vip: int = 101, method: str = "GET", source: int = 1, **headers: str) -> Answer:
    """One request on a connection of its own; underscores in names of headers stand for hyphens."""
    wire = http.client.HTTPConnection(
        str(address(vip)), PORT, timeout=30, source_address=(f"127.77.0.{source}", 0)
    )
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        wire.request(method, path, headers=HOST | named)
        return Answer(wire.getresponse())
    finally:
        wire.close()


def kept(persistence: Persistence | None) -> Config:
    return local_site(service(persistence=persistence))


def ruled(*rules: Rule, **more: object) -> Config:
    """Web with these rules over vna1 and vna2, and Archive on vna3."""
    web = service(persistence=None, http=Http(rules=rules, **more), pool=(real(1), real(2)))
    return local_site(web, service(102, "Archive", persistence=None, pool=(real(3),)))


def cookie_of(answer: Answer) -> str:
    return answer.headers["Set-Cookie"].partition(";")[0]


@pytest.mark.parametrize("site", ["Lax", "Strict", "None"])
def test_an_inserted_cookie_says_what_was_asked_for(proxy: Proxy, servers: Servers, site: str) -> None:
    wanted = CookiePersistence("SID", 60, 3600, secure=True, same_site=SameSite(site.lower()))
    proxy.apply(kept(wanted))
    said = ask().headers["Set-Cookie"]
    assert said.startswith("SID=vna")
    assert {"HttpOnly", "Secure", f"SameSite={site}"} <= set(said.split("; ")[1:])


def test_a_cookie_may_be_open_to_scripts(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(kept(CookiePersistence(http_only=False, secure=False)))
    said = ask().headers["Set-Cookie"]
    assert "HttpOnly" not in said
    assert "Secure" not in said


@pytest.mark.parametrize("mode", [CookieMode.REWRITE, CookieMode.PREFIX])
def test_the_applications_cookie_carries_the_server(proxy: Proxy, servers: Servers, mode: CookieMode) -> None:
    for server in servers.values():
        server.cookie = "APP=secret; Path=/"
    proxy.apply(kept(CookiePersistence("APP", mode=mode)))
    first = ask()
    cookie = cookie_of(first)
    assert cookie == {"rewrite": f"APP={first.server}", "prefix": f"APP={first.server}~secret"}[mode]
    again = [ask(Cookie=cookie) for _ in range(9)]
    assert {answer.server for answer in again} == {first.server}
    if mode is CookieMode.PREFIX:
        assert again[0].seen("Cookie") == ["APP=secret"], "the server finds its own value"


def test_the_applications_own_cookie_is_learnt(proxy: Proxy, servers: Servers) -> None:
    for number, server in enumerate(servers.values()):
        server.cookie = f"JSESSIONID=abc{number}; Path=/"
    proxy.apply(kept(ApplicationCookiePersistence("JSESSIONID")))
    first = ask()
    assert {ask(Cookie=cookie_of(first)).server for _ in range(9)} == {first.server}
    assert len({ask().server for _ in range(9)}) == 3


def test_a_header_keeps_a_transfer_on_its_server(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(kept(HeaderPersistence("sender-transfer-id")))
    for transfer in "abc":
        assert len({ask(sender_transfer_id=transfer).server for _ in range(6)}) == 1
    assert len({ask().server for _ in range(9)}) == 3


@pytest.mark.parametrize(
    "first", [CookiePersistence(), HeaderPersistence("X-Study"), ApplicationCookiePersistence("JSESSIONID")]
)
def test_otherwise_the_source_keeps_a_client(
    proxy: Proxy,
    servers: Servers,
    first: CookiePersistence | HeaderPersistence | ApplicationCookiePersistence,
) -> None:
    proxy.apply(kept(replace(first, otherwise=SourcePersistence(300))))
    by_source = {n: {ask(source=n).server for _ in range(4)} for n in range(1, 10)}
    assert all(len(servers) == 1 for servers in by_source.values())
    assert len(set.union(*by_source.values())) > 1


def test_the_header_wins_over_the_source(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(kept(HeaderPersistence("X-Study", otherwise=SourcePersistence(300))))
    owners = {study: ask(source=n, X_Study=study).server for n, study in enumerate("abcdef", 1)}
    assert len(set(owners.values())) > 1
    for study, server in owners.items():
        assert {ask(source=40 + n, X_Study=study).server for n in range(3)} == {server}


def test_a_learnt_server_that_dies_is_left_and_a_reload_forgets_nothing(
    proxy: Proxy, servers: Servers
) -> None:
    config = kept(HeaderPersistence("X-Study"))
    proxy.apply(config)
    first = ask(X_Study="a").server
    more = replace(config, services=(*config.services, service(103, "More")))
    proxy.apply(more)
    assert {ask(X_Study="a").server for _ in range(6)} == {first}
    proxy.apply(more, seen(more, **{first: Verdict.DEAD}))
    moved = ask(X_Study="a").server
    assert moved != first
    assert {ask(X_Study="a").server for _ in range(6)} == {moved}


SPOOFED = {
    "X_Forwarded_For": "192.0.2.66",
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Host": "evil.example",
    "X_Forwarded_Prefix": "/evil",
    "Forwarded": "for=192.0.2.66",
    "X_Real_IP": "192.0.2.66",
}


def test_servers_learn_of_the_client_and_not_from_the_client(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(ruled())
    got = ask(**SPOOFED)
    assert got.seen("X-Forwarded-For") == ["127.77.0.1"]
    assert got.seen("X-Forwarded-Proto") == ["http"]
    assert got.seen("X-Forwarded-Port") == [str(PORT)]
    assert got.seen("X-Forwarded-Host") == ["pacs.example"]
    assert got.seen("X-Forwarded-Prefix") + got.seen("Forwarded") + got.seen("X-Real-IP") == []


def test_a_trusted_proxys_word_is_continued(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(ruled(trust=(ip_network("127.77.0.0/24"),)))
    got = ask(**SPOOFED)
    assert got.seen("X-Forwarded-For") == ["192.0.2.66", "127.77.0.1"]
    assert got.seen("X-Forwarded-Proto") == ["https"]
    assert got.seen("X-Forwarded-Host") == ["evil.example"]


def test_rfc_7239_and_a_prefix(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(ruled(forwarded=Forwarded.RFC7239, prefix="/viewer"))
    got = ask(**SPOOFED)
    assert got.seen("Forwarded") == ['for=127.77.0.1;proto=http;host="pacs.example"']
    assert got.seen("X-Forwarded-For") == []
    assert got.seen("X-Forwarded-Prefix") == ["/viewer"]


def test_nothing_is_said_where_nothing_is_asked_for(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(ruled(forwarded=Forwarded.NONE))
    got = ask(**SPOOFED)
    assert [got.seen(name.replace("_", "-")) for name in SPOOFED] == [[]] * len(SPOOFED)


CONDITIONS: dict[str, tuple[When, dict[str, object], dict[str, object]]] = {
    "host": (When(hosts=("a.example",)), {"Host": "A.example:8237"}, {}),
    "hosts below": (When(hosts=("*.b.example",)), {"Host": "x.b.example"}, {"Host": "b.example"}),
    "one of two hosts": (When(hosts=("a.example", "*.b.example")), {"Host": "a.example"}, {}),
    "path": (When(paths=("/x", "/y")), {"path": "/y?q=1"}, {"path": "/y/"}),
    "beginning": (When(path_begins=("/dicom-web/",)), {"path": "/dicom-web/studies"}, {"path": "/x"}),
    "beginning, encoded": (When(path_begins=("/admin",)), {"path": "/%61dmin"}, {"path": "/x"}),
    "a pattern like a flag": (When(paths=("-i", "/y")), {"path": "/y"}, {"path": "/Y"}),
    "many paths": (When(paths=tuple(f"/p{n}" for n in range(64))), {"path": "/p63"}, {"path": "/p64"}),
    "end": (When(path_ends=(".jpg",)), {"path": "/a.jpg"}, {"path": "/a.jpg/"}),
    "expression": (When(path_matches=("^/s/[0-9]+$",)), {"path": "/s/12"}, {"path": "/s/a"}),
    "expression, any case": (When(path_matches=("(?i)^/admin",)), {"path": "//ADMIN"}, {"path": "/a"}),
    "query": (When(queries=(Field("v", "1"), Field("v", "2"))), {"path": "/?v=2"}, {"path": "/?v=3"}),
    "header": (When(headers=(Field("X-Kind", "ct"),)), {"X_Kind": "ct"}, {"X_Kind": "mr"}),
    "method": (When(methods=("DELETE",)), {"method": "DELETE"}, {"method": "GET"}),
    "source": (When(sources=(ip_network("127.77.0.8/30"),)), {"source": 9}, {"source": 20}),
    "all must hold": (
        When(paths=("/x",), methods=("GET",)),
        {"path": "/x"},
        {"path": "/x", "method": "DELETE"},
    ),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_a_condition_holds_or_not(proxy: Proxy, servers: Servers, case: str) -> None:
    when, fits, misses = CONDITIONS[case]
    proxy.apply(ruled(UsePool("Archive", when)))
    assert ask(**fits).server == "vna3"
    assert ask(**misses).server != "vna3"


SPELLINGS = (
    "/admin/x",
    "/%61dmin/x",
    "//admin/x",
    "///admin//x",
    "/%2fadmin/x",
    "/%5cadmin%5cx",
    "/;a=1/admin/x",
    "/admin;a=1/x",
    "/admin;a=1;b/;/x",
    "http://pacs.example//admin/x",
)
"""One path to servers that join slashes (nginx), drop parameters (Tomcat) or know backslashes (IIS)."""
UPWARDS = ("/a/../admin/x", "/a%2f..%2fadmin/x", "/a/..;b/admin/x", "/a/.%2e;b/admin/x", "/a%5c..%5cadmin/x")


def test_no_spelling_of_a_path_slips_by_a_rule(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(ruled(Deny(403, When(path_begins=("/admin/x",))), Deny(404, When(paths=("/one/y",)))))
    assert {path: ask(path).status for path in SPELLINGS} == dict.fromkeys(SPELLINGS, 403)
    assert {path: ask(path).status for path in UPWARDS} == dict.fromkeys(UPWARDS, 400)
    assert ask("//one;a/y?q=//").status == 404
    others = ("/", "//viewer//a;b=1/c%2fd%5ce", "/x/admin/x", "/one/y/z", "/a..b;../x?../admin/x")
    assert {path: ask(path).path for path in others} == {path: path for path in others}, "left as they are"


def test_headers_both_ways(proxy: Proxy, servers: Servers) -> None:
    meant = When(paths=("/meant",))
    proxy.apply(
        ruled(
            SetHeader("X-Set", "a; b=1"),
            AddHeader("X-Add", "ours"),
            ReplaceHeader("X-Replace", "^(.)old", r"\1new"),
            DeleteHeader("X-Delete"),
            SetHeader("X-Powered-By", "Willis", Side.RESPONSE),
            DeleteHeader("X-Name", Side.RESPONSE, meant),
            ReplaceHeader("X-Name", "^vna(.)", r"server \1", Side.RESPONSE),
        )
    )
    got = ask(X_Set="theirs", X_Add="theirs", X_Replace="-old", X_Delete="x")
    assert got.seen("X-Set") == ["a; b=1"]
    assert sorted(got.seen("X-Add")) == ["ours", "theirs"]
    assert got.seen("X-Replace") == ["-new"]
    assert got.seen("X-Delete") == []
    assert got.headers["X-Powered-By"] == "Willis"
    assert got.headers["X-Name"] in {"server 1", "server 2"}
    assert ask("/meant").headers["X-Name"] is None


def test_paths_are_rewritten_and_queries_stay(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(ruled(RewritePath("^/wado/(.*)", r"/dicom-web/\1")))
    assert ask("/wado/studies?limit=1").path == "/dicom-web/studies?limit=1"
    assert ask("/other?x=/wado/").path == "/other?x=/wado/"


def test_what_stands_after_a_rewriting_sees_the_new_path(proxy: Proxy, servers: Servers) -> None:
    old, new = When(path_begins=("/old/",)), When(path_begins=("/new/",))
    proxy.apply(ruled(Deny(403, new), RewritePath("^/old/(.*)", r"/new/\1"), Deny(404, new), Deny(410, old)))
    assert [ask(path).status for path in ("/new/a", "/old/a", "/a")] == [403, 404, 200]


def test_browsers_are_sent_elsewhere_or_away(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(
        ruled(
            Redirect("https://new.example", keep_path=True, status=308, when=When(hosts=("old.example",))),
            Redirect("/start", when=When(paths=("/",))),
            Deny(404, When(path_ends=(".php",))),
        )
    )
    moved, start = ask("/a?b=1", Host="old.example"), ask("/")
    assert (moved.status, moved.headers["Location"]) == (308, "https://new.example/a?b=1")
    assert (start.status, start.headers["Location"]) == (302, "/start")
    assert ask("/x.php").status == 404
    assert ask("/x").status == 200


def test_the_first_rule_that_chooses_ends_the_list(proxy: Proxy, servers: Servers) -> None:
    archive = UsePool("Archive", When(path_begins=("/archive",)))
    proxy.apply(ruled(archive, Deny(403, When(methods=("GET",)))))
    assert ask("/archive/1").server == "vna3"
    assert ask("/x").status == 403
    proxy.apply(ruled(Deny(403, When(methods=("GET",))), archive))
    assert ask("/archive/1").status == 403


def test_a_pool_without_a_port_serves_only_through_rules(proxy: Proxy, servers: Servers) -> None:
    config = ruled(UsePool("Archive", When(paths=("/archive",))))
    inner = replace(config.services[1], ports=(), pool=(replace(real(3), port=PORT),))
    proxy.apply(replace(config, services=(config.services[0], inner)))
    assert ask("/archive").server == "vna3"
    with pytest.raises(ConnectionRefusedError):
        ask(vip=102)


def test_nobody_left_is_said_in_words(proxy: Proxy, servers: Servers) -> None:
    config = local_site(service(), service(102, "Elsewhere", http=Http(sorry="https://status.example/")))
    proxy.apply(config, seen(config, Verdict.DEAD))
    page = ask()
    assert (page.status, page.headers["Retry-After"]) == (503, "30")
    assert "not available at the moment" in page.text
    away = ask(vip=102)
    assert (away.status, away.headers["Retry-After"]) == (503, "30"), "no program may take it for a success"
    assert 'content="0;url=https://status.example/"' in away.text
    proxy.apply(config)
    eventually(lambda: ask().status == ask(vip=102).status == 200)


def test_ties_by_the_source_that_stands_in_are_listed_and_freed(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(kept(HeaderPersistence("X-Study", otherwise=SourcePersistence(300))))
    server = ask(source=7).server
    (tie,) = proxy.engine.clients("Web")
    assert (str(tie.network), tie.host) == ("127.77.0.7/32", server)
    assert proxy.engine.forget("Web") == 1
    assert proxy.engine.clients("Web") == []
