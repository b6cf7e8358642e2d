"""The web process as clients meet it: real TLS, real engine, bytes on the wire."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port
from tests.web.node import PASSWORD, WILLIS, Node, wait_until

pytestmark = pytest.mark.lab

ME = "/api/v1/me"


def test_a_session_is_a_cookie_and_nothing_else(node: Node) -> None:
    with node.browser() as client:
        assert client.get(ME).status_code == 401
        answer = client.post("/api/v1/login", json={"name": "ann", "password": PASSWORD})
        assert answer.status_code == 200
        assert "session" not in answer.json()
        assert "HttpOnly" in answer.headers["set-cookie"]
        key = client.cookies["__Host-willis"]
        assert client.get(ME).json()["name"] == "ann"
        gone = client.post("/api/v1/logout")
        assert gone.is_success
        assert "Max-Age=0" in gone.headers["set-cookie"]
        replayed = client.get(ME, headers={"Cookie": f"__Host-willis={key}"})
        assert replayed.status_code == 401


def test_what_a_foreign_page_makes_a_browser_send_changes_nothing(ann: httpx.Client) -> None:
    foreign = (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": ""},
    )
    for headers in foreign:
        answer = ann.post("/api/v1/logout", headers=headers)
        assert answer.status_code == 403, headers
        assert answer.headers["content-type"] == "application/problem+json"
    assert ann.get(ME).status_code == 200
    del ann.headers["Origin"]
    assert ann.post("/api/v1/logout").status_code == 403
    assert ann.post("/api/v1/logout", headers={"Sec-Fetch-Site": "same-origin"}).is_success


def test_a_token_needs_no_origin_and_wins_over_the_cookie(ann: httpx.Client) -> None:
    del ann.headers["Origin"]
    answer = ann.post("/api/v1/logout", headers={"Authorization": "Bearer willis_unknown"})
    assert answer.status_code == 401
    assert ann.get(ME).status_code == 200


TRICKS = (
    b"/api/v1/..;/status",
    b"/api/v1//status",
    b"//api/v1/status",
    b"/api/v1/./status",
    b"/api/v1/../v1/status",
    b"/api/v1/%2e%2e/v1/status",
    b"/api/v1/a%2fb",
    b"/api/v1/a%252fb",
    b"/api/v1/a%5cb",
    b"/api/v1/a%00",
    b"/api/v1/a;b",
    b"/api/v1/status#x",
    b"/api/v1/a%c0%afb",
    b"https://127.0.0.1/api/v1/status",
    b"/api/v1/" + b"a" * 5000,
)


@pytest.mark.parametrize("target", TRICKS, ids=lambda target: target[:30].decode())
def test_paths_with_a_second_meaning_are_refused_before_the_engine(node: Node, target: bytes) -> None:
    answer = node.raw(b"GET " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400"), answer[:100]
    assert b"x-request-id" not in answer.lower()
    assert b"content-security-policy" in answer.lower()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n", 421),
        (b"GET / HTTP/1.0\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 70_000 + b"\r\nConnection: close\r\n\r\n", 4),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\0b\r\n\r\n", 400),
        (b"\x16\x03\x01 nonsense\r\n\r\n", 400),
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
    ],
)
def test_odd_requests_get_honest_answers(node: Node, request_: bytes, status: int) -> None:
    answer = node.raw(request_)
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer[:100]
    assert b"strict-transport-security" in answer.lower()


def test_nobody_speaks_for_another_address(node: Node) -> None:
    with node.browser("127.0.0.77") as client:
        lies = {"Willis-Client": "8.8.8.8", "X-Forwarded-For": "8.8.8.8", "Forwarded": "for=8.8.8.8"}
        client.post("/api/v1/login", json={"name": "ann", "password": "wrong"}, headers=lies)
    entries = str(node.console("audit", "list"))
    assert "127.0.0.77" in entries
    assert "8.8.8.8" not in entries


def test_a_method_override_and_a_rewritten_path_are_not_seen(ann: httpx.Client) -> None:
    lies = {
        "X-HTTP-Method-Override": "DELETE",
        "X-Original-URL": "/api/v1/status",
        "X-Rewrite-URL": "/api/v1/x",
    }
    assert ann.get(ME, headers=lies).json()["name"] == "ann"


def test_too_large_bodies_are_refused(node: Node, ann: httpx.Client) -> None:
    with node.browser("127.0.0.78") as stranger:
        assert stranger.post("/api/v1/login", content=b"x" * 20_000).status_code == 413
    assert ann.post("/api/v1/plan", content=iter([b"x" * 1_000_000] * 17)).status_code == 413


def test_strangers_are_slowed_and_nobody_else_is(node: Node, ann: httpx.Client) -> None:
    with node.browser("127.0.0.79") as stranger:
        assert stranger.get("/api/v1/setup").status_code == 200
        answer = _until_slowed(lambda: stranger.get("/api/v1/setup"))
        assert int(answer.headers["retry-after"]) >= 1
    assert ann.get(ME).status_code == 200
    assert node.console("status")


def test_who_has_proved_who_they_are_is_not_slowed_by_others_at_their_address(node: Node) -> None:
    with node.browser("127.0.0.84") as known, node.browser("127.0.0.84") as guessing:
        known.post("/api/v1/login", json={"name": "ann", "password": PASSWORD}).raise_for_status()
        assert known.get(ME).status_code == 200
        guess = {"Authorization": "Bearer willis_guess"}
        _until_slowed(lambda: guessing.get(ME, headers=guess))
        assert known.get(ME).status_code == 200
        lying = {"Authorization": "Bearer willis_other"}
        assert guessing.get("/api/v1/setup", headers=lying).status_code == 429


def test_only_networks_that_may_ask_are_served_and_names_that_were_given_answered_to(node: Node) -> None:
    node.end(node.web)
    node.start_web("--allow=127.0.0.2/32", "--host=lb1.hospital.example")
    try:
        with node.browser("127.0.0.3") as refused, node.browser("127.0.0.2") as client:
            assert refused.get("/").status_code == 403
            assert client.get("/", headers={"Host": "lb1.hospital.example"}).status_code == 200
            assert client.get("/", headers={"Host": "lb2.hospital.example"}).status_code == 421
    finally:
        node.end(node.web)
        node.start_web()


def test_the_process_has_no_rights_and_cannot_get_any(node: Node) -> None:
    status = Path(f"/proc/{node.web.pid}/status").read_text()
    fields = {key: value.split() for key, _, value in (line.partition(":") for line in status.splitlines())}
    assert "0" not in fields["Uid"] or os.geteuid() != 0
    assert fields["NoNewPrivs"] == ["1"]
    for each in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(fields[each][0], 16) == 0
    files = [node.web_state / "key.pem", node.web_state / "certificate.pem"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be refused")
@pytest.mark.parametrize("user", ["root", "no-such-user"])
def test_root_does_not_serve_the_network(tmp_path: Path, user: str) -> None:
    command = [*WILLIS, "web", "--listen=127.0.0.1:0", f"--state-dir={tmp_path / 'web'}", f"--user={user}"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 1
    assert "--user" in found.stderr


def test_old_tls_and_weak_ciphers_are_refused(node: Node) -> None:
    for change in ("version", "cipher"):
        context = node.trust()
        if change == "version":  # Python warns of the version that is to be refused
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
        else:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"https://127.0.0.1:{node.port}/", verify=context, timeout=60)


def test_curl_with_the_certificate_as_its_authority(node: Node) -> None:
    url = f"https://127.0.0.1:{node.port}/api/v1/setup"
    command = ["curl", "-sS", "--cacert", str(node.web_state / "certificate.pem"), url]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout == '{"needed":false}'


def test_the_page_says_what_answers_here_and_keeps_to_its_policy(node: Node) -> None:
    with node.browser("127.0.0.81") as client:
        found = client.get("/")
        assert "Willis" in found.text
        assert "<script" not in found.text
        assert "style=" not in found.text
        assert client.get("/style.css").headers["content-type"].startswith("text/css")


def test_without_an_engine_it_says_so_and_recovers_by_itself(node: Node) -> None:
    with node.browser("127.0.0.82") as client:
        node.end(node.engine, signal.SIGKILL)
        try:
            answer = client.get("/api/v1/setup")
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert "retry-after" in answer.headers
        finally:
            before = node.log("engine").count("is ready")
            node.start_engine()
            wait_until(lambda: node.log("engine").count("is ready") > before)
        wait_until(lambda: client.get("/api/v1/setup").status_code == 200)


def test_sigterm_ends_open_streams_in_order(node: Node, ann: httpx.Client) -> None:
    with ann.stream("GET", "/api/v1/events/follow", timeout=60) as stream:
        assert stream.status_code == 200
        node.web.send_signal(signal.SIGTERM)
        list(stream.iter_lines())  # raises unless the answer ends as HTTP says
    node.web.wait(60)
    assert "timeout graceful shutdown exceeded" not in node.log("web")
    node.start_web()


def test_an_engine_that_stops_waits_for_nobody_who_follows(
    node: Node, ann: httpx.Client, application: str
) -> None:
    routes = ("events/follow", "logs/app/follow", "stream")
    try:
        with ExitStack() as open_ones:
            streams = [
                open_ones.enter_context(ann.stream("GET", f"/api/v1/{route}", timeout=20)) for route in routes
            ]
            assert [stream.status_code for stream in streams] == [200] * 3
            node.engine.send_signal(signal.SIGTERM)
            for stream in streams:
                list(stream.iter_lines())  # raises unless the answer ends as HTTP says
        node.engine.wait(20)
        assert "timeout graceful shutdown exceeded" not in node.log("engine")
    finally:
        before = node.log("engine").count("is ready")
        node.start_engine()
        wait_until(lambda: node.log("engine").count("is ready") > before)


def test_a_client_that_goes_away_leaves_no_stream_behind(node: Node, ann: httpx.Client) -> None:
    def connections() -> int:
        return sum(1 for link in Path(f"/proc/{node.engine.pid}/fd").iterdir() if _is_socket(link))

    with ann.stream("GET", "/api/v1/events/follow", timeout=60):
        during = connections()
    wait_until(lambda: connections() < during)


def test_a_killed_web_process_takes_nothing_with_it(node: Node, application: str) -> None:
    engine = node.engine.pid
    with httpx.Client(base_url=application, timeout=60) as client:
        wait_until(lambda: client.get("/").is_success)
        node.end(node.web, signal.SIGKILL)
        try:
            assert client.get("/").is_success
            assert node.console("status")
            assert node.engine.poll() is None
            assert node.engine.pid == engine
        finally:
            node.start_web()
    with node.browser("127.0.0.83") as browser:
        assert browser.get("/api/v1/setup").status_code == 200


SERVICE = """
version: 1
site: web
interfaces: {{lo: {{addresses: [127.0.0.1/8]}}}}
hosts: {{s1: 127.0.9.1}}
services:
  app:
    vip: 127.0.9.9
    ports: {port}
    application: http
    forwarding: proxy
    check: {{kind: tcp, interval: 1s}}
    pool: [{{host: s1, port: {server}}}]
"""


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # noqa: N802 - its name in the library
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def application(node: Node, tmp_path: Path) -> Iterator[str]:
    """An HTTP application behind the node; its URL."""
    if shutil.which("haproxy", path="/usr/sbin:" + os.environ["PATH"]) is None:
        pytest.skip("haproxy is not installed")
    port = free_port("127.0.9.9")
    with ThreadingHTTPServer(("127.0.9.1", 0), _Answering) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        document = tmp_path / "site.yaml"
        document.write_text(SERVICE.format(port=port, server=server.server_port))
        try:
            node.console("apply", str(document))
            yield f"http://127.0.9.9:{port}"
        finally:
            document.write_text(
                SERVICE.partition("services:")[0].replace("{{", "{").replace("}}", "}") + "services: {}"
            )
            node.console("apply", str(document), "--force")
            server.shutdown()
            thread.join()


def _until_slowed(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Much faster than tokens come back."""
    found = (ask() for _ in range(500))
    return next(answer for answer in found if answer.status_code == 429)


def _is_socket(link: Path) -> bool:
    try:
        return str(link.readlink()).startswith("socket:")
    except OSError:
        return False
