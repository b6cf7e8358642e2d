"""A real HAProxy under the engine: what a flip, a reload and a refusal leave standing."""

from __future__ import annotations

import http.client
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from tests.builders import dr, seen
from tests.lab.proxy import (
    PORT,
    Browser,
    Proxy,
    WebServer,
    address,
    eventually,
    local_site,
    raw,
    real,
    service,
)
from willis.engines.haproxy import runtime
from willis.engines.haproxy.compile import CONFIG
from willis.engines.haproxy.runtime import Runtime
from willis.engines.port import EngineError
from willis.model.persistence import SourcePersistence
from willis.model.service import Application, Forwarding, Scheduler, VirtualService
from willis.model.status import Admin, Place, Verdict
from willis.plan.diff import diff

pytestmark = pytest.mark.lab

Servers = dict[str, WebServer]
SITE = local_site(service(fallback=real(4)))


def bytes_service(**changes: object) -> VirtualService:
    """A service in which the proxy reads nothing."""
    plain = replace(dr(), vip=address(101), forwarding=Forwarding.PROXY, application=Application.GENERIC)
    return replace(plain, **changes)


def admin(config, state: Admin, host: str):
    return replace(seen(config), admin={Place(host): state})


def test_the_cookie_keeps_a_browser_and_new_browsers_spread(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    browser = Browser()
    assert len({browser.server() for _ in range(12)}) == 1
    assert browser.cookie.startswith("SERVERID=vna")
    assert {Browser().server() for _ in range(9)} == {"vna1", "vna2", "vna3"}


def test_a_dead_verdict_moves_the_browser_without_a_reload(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    worker = proxy.worker()
    browser = Browser()
    first = browser.server()
    assert proxy.apply(SITE, seen(SITE, **{first: Verdict.DEAD})) == 1
    moved = browser.server()
    assert moved != first
    assert {Browser().server() for _ in range(9)} == {"vna1", "vna2", "vna3"} - {first}
    proxy.apply(SITE)
    assert browser.server() == moved, "a recovered server does not pull browsers back"
    assert proxy.worker() == worker


def test_a_killed_server_is_hidden_before_the_verdict(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    browser = Browser()
    servers[browser.server()].kill()
    assert browser.server()


def test_a_drain_keeps_cookie_holders_and_takes_no_new_browser(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    browser = Browser()
    first = browser.server()
    proxy.apply(SITE, admin(SITE, Admin.DRAIN, first))
    assert browser.server() == first
    assert first not in {Browser().server() for _ in range(9)}
    proxy.apply(SITE, admin(SITE, Admin.HALT, first))
    assert browser.server() != first


def test_a_drain_overrides_source_persistence(proxy: Proxy, servers: Servers) -> None:
    config = local_site(service(persistence=SourcePersistence()))
    proxy.apply(config)
    first = Browser().server()
    assert {Browser().server() for _ in range(6)} == {first}
    proxy.apply(config, admin(config, Admin.DRAIN, first))
    assert first not in {Browser().server() for _ in range(6)}


@pytest.mark.parametrize("scheduler", Scheduler)
def test_a_weight_changes_without_a_reload(proxy: Proxy, servers: Servers, scheduler: Scheduler) -> None:
    def weighted(*weights: int):
        pool = tuple(real(n, weight=w) for n, w in enumerate(weights, 1))
        return local_site(service(scheduler=scheduler, pool=pool))

    proxy.apply(weighted(0, 0, 1))
    worker = proxy.worker()
    assert {Browser().server() for _ in range(6)} == {"vna3"}
    assert proxy.apply(weighted(256, 0, 0)) == 2
    assert {Browser().server() for _ in range(6)} == {"vna1"}
    assert proxy.worker() == worker


def test_the_fallback_serves_when_nobody_can_and_only_then(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE, seen(SITE, Verdict.DEAD))
    browser = Browser()
    assert browser.server() == "vna4"
    proxy.apply(SITE, admin(SITE, Admin.DRAIN, "vna1"))
    assert browser.server() in {"vna2", "vna3"}


def test_unknown_servers_take_nothing(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE, seen(SITE, Verdict.UNKNOWN, vna2=Verdict.UP))
    assert {Browser().server() for _ in range(6)} == {"vna2"}


def test_states_survive_a_reload_before_they_are_pushed(proxy: Proxy, servers: Servers) -> None:
    status = replace(seen(SITE, vna1=Verdict.DEAD), admin={Place("vna2"): Admin.HALT})
    proxy.apply(SITE, status)
    worker = proxy.worker()
    more = local_site(*SITE.services, service(102, "Second"))
    want = proxy.engine.compile(more, replace(status, health=seen(more, vna1=Verdict.DEAD).health))
    proxy.engine._push = lambda states: None  # type: ignore[method-assign]
    proxy.engine.apply(diff("haproxy", proxy.engine.observe(), want))
    assert proxy.worker() != worker
    assert proxy.engine.observe() == want


@pytest.mark.parametrize("reload", [False, True], ids=["at run time", "with a reload"])
def test_halting_cuts_a_connection_even_in_an_old_worker(proxy: Proxy, reload: bool) -> None:
    config = local_site(bytes_service(pool=(real(1),), persistence=None))
    with socket.create_server((str(address(1)), PORT)) as listener:
        proxy.apply(config)
        with socket.create_connection((str(address(101)), 11112), timeout=30) as client:
            client.sendall(b"x")
            server, _ = listener.accept()
            with server:
                assert server.recv(1) == b"x"
                more = replace(config, services=(*config.services, service(102)))
                proxy.apply(more)
                proxy.apply(config, admin(config, Admin.DRAIN, "vna1"))
                client.sendall(b"y")
                assert server.recv(1) == b"y", "a drain lets it finish, over reloads"
                proxy.apply(more if reload else config, admin(more, Admin.HALT, "vna1"))
                assert client.recv(1) == b""


def test_a_dead_server_lets_go_of_its_clients_and_a_hung_one_does_not(proxy: Proxy) -> None:
    config = local_site(bytes_service(pool=(real(1), real(2)), persistence=None))
    with socket.create_server((str(address(1)), PORT)) as listener:
        proxy.apply(config, seen(config, vna2=Verdict.DEAD))
        with socket.create_connection((str(address(101)), 11112), timeout=30) as client:
            client.sendall(b"x")
            server, _ = listener.accept()
            with server:
                proxy.apply(config, seen(config, vna1=Verdict.HUNG, vna2=Verdict.DEAD))
                server.sendall(b"late")
                assert client.recv(4) == b"late", "it was only busy"
                proxy.apply(config, seen(config, Verdict.DEAD))
                assert client.recv(1) == b"", "so that it tries another one at once"


@contextmanager
def load(*, keep_alive: bool) -> Iterator[list[str]]:
    """Clients that ask all the time; the list gets a line for each failure. At least one page was got."""
    failed: list[str] = []
    done = threading.Event()
    pages = [0] * 4

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection(str(address(101)), PORT, timeout=30)
        while not done.is_set():
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    failed.append(str(answer.status))
                pages[number] += 1
            except (OSError, http.client.HTTPException) as error:
                failed.append(repr(error))
                connection.close()
            if not keep_alive:
                connection.close()
            done.wait(0.01)
        connection.close()

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(pages))]
    for thread in threads:
        thread.start()
    try:
        yield failed
        seen_ = list(pages)
        eventually(lambda: all(now > before for now, before in zip(pages, seen_, strict=True)))
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "new connections"])
def test_reloads_and_flips_under_load_fail_no_request(
    proxy: Proxy, servers: Servers, keep_alive: bool
) -> None:
    proxy.apply(SITE)
    workers = {proxy.worker()}
    with load(keep_alive=keep_alive) as failed:
        for number in range(12):
            extra = service(102, f"Extra{number}")
            proxy.apply(local_site(*SITE.services, extra))
            workers.add(proxy.worker())
            proxy.apply(local_site(*SITE.services, extra), admin(SITE, Admin.DRAIN, f"vna{number % 3 + 1}"))
    assert failed == []
    assert len(workers) == 13


def test_stick_tables_survive_reloads(proxy: Proxy, servers: Servers) -> None:
    sticky = local_site(service(persistence=SourcePersistence(), scheduler=Scheduler.WRR))
    proxy.apply(sticky)
    first = Browser().server()
    for number in range(2):
        proxy.apply(local_site(*sticky.services, service(102, f"Extra{number}")))
        assert {Browser().server() for _ in range(6)} == {first}
    (tie,) = proxy.engine.clients("Web")
    assert tie.host == first
    eventually(lambda: 0 < proxy.engine.clients("Web")[0].seconds_left <= 300)
    assert proxy.engine.forget("Web", tie.network.network_address) == 1
    assert proxy.engine.clients("Web") == []


def test_a_text_that_haproxy_refuses_leaves_the_old_one(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    before, worker = proxy.engine.observe(), proxy.worker()
    broken = {**before, CONFIG: str(before[CONFIG]) + "\nbogus section\n"}
    with pytest.raises(EngineError, match="unknown keyword 'bogus'"):
        proxy.engine.check(broken)
    with pytest.raises(EngineError, match="unknown keyword 'bogus'"):
        proxy.engine.apply(diff("haproxy", before, broken))
    assert proxy.engine.observe() == before
    assert proxy.worker() == worker
    assert Browser().server()


def test_a_reload_that_fails_puts_the_last_good_text_back(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    good = (proxy.home / "haproxy-loaded.cfg").read_text()
    want = proxy.engine.compile(local_site(*SITE.services, service(102, "More")), seen(SITE))
    with socket.create_server((str(address(102)), PORT)):
        proxy.engine._prove = lambda text: None  # type: ignore[method-assign]
        with pytest.raises(EngineError, match="cannot bind socket"):
            proxy.engine.apply(diff("haproxy", proxy.engine.observe(), want))
    assert (proxy.home / "haproxy-loaded.cfg").read_text() == good
    assert Browser().server()
    proxy.engine = proxy.restarted()
    proxy.apply(local_site(*SITE.services, service(102, "More")))
    assert Browser(102).server()


def test_a_taken_address_is_refused_before_anything_stops(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    before = proxy.engine.observe()
    want = proxy.engine.compile(local_site(*SITE.services, service(102, "More")), seen(SITE))
    with socket.create_server(("", 0)), socket.create_server((str(address(102)), PORT)):
        with pytest.raises(EngineError, match=f"{address(102)}:{PORT} is taken by .*{os.getpid()}"):
            proxy.engine.check(want)
        with pytest.raises(EngineError, match="is taken by"):
            proxy.engine.apply(diff("haproxy", before, want))
    assert proxy.engine.observe() == before
    assert Browser().server()


def test_a_restarted_engine_adopts_and_changes_nothing(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE, seen(SITE, vna1=Verdict.DEAD))
    master, worker = proxy.master(), proxy.worker()
    proxy.engine.close()
    proxy.engine = proxy.restarted()
    assert proxy.apply(SITE, seen(SITE, vna1=Verdict.DEAD)) == 0
    assert (proxy.master(), proxy.worker()) == (master, worker)


def test_a_dead_haproxy_is_started_again(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    os.kill(proxy.master(), signal.SIGKILL)
    eventually(lambda: not any(proxy.process()._all()))
    assert proxy.engine.observe() == {}
    proxy.apply(SITE, admin(SITE, Admin.HALT, "vna1"))
    assert {Browser().server() for _ in range(6)} == {"vna2", "vna3"}


def test_a_strangers_pid_is_never_signalled(proxy: Proxy) -> None:
    (proxy.home / "haproxy.pid").write_text(f"{os.getpid()}\n")
    assert proxy.engine.observe() == {}
    proxy.engine.stop()


def test_a_cut_between_the_file_and_the_reload_heals(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    more = local_site(*SITE.services, service(102, "More"))
    want = proxy.engine.compile(more, seen(more))
    (proxy.home / "haproxy-loaded.cfg").write_text(str(want[CONFIG]))
    proxy.engine = proxy.restarted()
    assert CONFIG not in proxy.engine.observe() or proxy.engine.observe()[CONFIG] != want[CONFIG]
    proxy.apply(more)
    assert Browser(102).server()


def test_drift_on_the_socket_is_seen_and_healed(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    Runtime(proxy.home / "haproxy.sock").run(
        ["set server Web/vna1 state maint", "set server Web/vna2 weight 3"]
    )
    assert proxy.apply(SITE) == 2


def test_nothing_to_serve_ends_haproxy_when_its_connections_end(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    assert proxy.apply(local_site()) > 0
    assert proxy.engine.observe() == {}
    eventually(lambda: not any(proxy.process()._all()))
    assert proxy.apply(local_site()) == 0
    proxy.apply(SITE)
    assert Browser().server()


def test_several_ports_of_a_service_reach_the_same_ports_of_its_servers(proxy: Proxy) -> None:
    many = bytes_service(ports=(11112, 11113), pool=(real(1, port=None),))
    proxy.apply(local_site(many))
    for port in many.ports:
        with (
            socket.create_server((str(address(1)), port)) as listener,
            socket.create_connection((str(address(101)), port), timeout=30) as client,
        ):
            listener.settimeout(30)
            client.sendall(b"x")
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(1) == b"x"


def test_a_start_that_fails_leaves_nothing_behind(proxy: Proxy) -> None:
    proxy.engine._prove = lambda text: None  # type: ignore[method-assign]
    want = proxy.engine.compile(SITE, seen(SITE))
    with (
        socket.create_server((str(address(101)), PORT)),
        pytest.raises(EngineError, match="HAProxy does not start: .*cannot bind socket"),
    ):
        proxy.engine.apply(diff("haproxy", {}, want))
    assert proxy.engine.observe() == {}
    assert not any(proxy.process()._all())


ONE_APPLY = """
import pickle, sys
from pathlib import Path
from willis.engines.haproxy.driver import HaproxyEngine
home = Path(sys.argv[1])
changes = pickle.load(sys.stdin.buffer)
engine = HaproxyEngine(home, home)
print("ready", flush=True)
engine.apply(changes)
"""


@pytest.mark.parametrize("ms", [0, 5, 10, 20, 40, 60, 90, 130, 180])
def test_an_engine_killed_while_it_applies_harms_no_request_and_the_next_one_heals(
    proxy: Proxy, servers: Servers, ms: int
) -> None:
    # Hung, not dead: what a dead server carries is cut on purpose, and here it answers.
    proxy.apply(SITE)
    more = local_site(*SITE.services, service(102, "More"))
    want = proxy.engine.compile(more, seen(more, vna1=Verdict.HUNG))
    changes = diff("haproxy", proxy.engine.observe(), want)
    with load(keep_alive=True) as failed:
        child = subprocess.Popen(
            [sys.executable, "-c", ONE_APPLY, str(proxy.home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(pickle.dumps(changes))
            child.stdin.close()
            assert child.stdout.readline() == b"ready\n"
            time.sleep(ms / 1000)
            child.kill()
        proxy.engine = proxy.restarted()
        proxy.apply(more, seen(more, vna1=Verdict.HUNG))
    assert failed == []
    assert {Browser(102).server() for _ in range(4)} == {"vna2", "vna3"}


def test_haproxy_outlives_the_engine_that_started_it(proxy: Proxy, servers: Servers) -> None:
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            ONE_APPLY + "\nprint('done', flush=True)\nsys.stdin.buffer.read()",
            str(proxy.home),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(pickle.dumps(diff("haproxy", {}, proxy.engine.compile(SITE, seen(SITE)))))
        child.stdin.flush()
        assert child.stdout.readline() == b"ready\n"
        assert child.stdout.readline() == b"done\n"
        child.kill()
    assert Browser().server()
    assert proxy.apply(SITE) == 0


def test_counters_go_on_over_reloads(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    for _ in range(6):
        Browser().server()
    first = proxy.engine.traffic()
    assert sum(t.total for t in first.values()) == 6
    proxy.apply(local_site(*SITE.services, service(102, "More")))
    Browser().server()
    second = proxy.engine.traffic()
    assert sum(t.total for t in second.values()) == 7
    assert all((second[key].bytes_out or 0) >= (first[key].bytes_out or 0) for key in first)


def test_the_client_cannot_say_who_it_is(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Host": "evil.example",
        "X_Forwarded_For": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "X-Real-IP": "6.6.6.6",
    }
    page = Browser().get(Host="viewer.example", **lies).lower()
    assert "6.6.6.6" not in page
    assert "evil" not in page
    assert "x-forwarded-for: 127." in page
    assert "x-forwarded-proto: http" in page
    assert f"x-forwarded-port: {PORT}" in page
    assert "x-forwarded-host: viewer.example" in page
    assert "serverid" not in page, "the cookie stays with the proxy"


GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


ANSWERS = [
    (GET + b"\r\n", True),
    (b"GET / HTTP/1.0\r\nHost: a:8237\r\n\r\n", True),
    (b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", True),
    (b"GET / HTTP/1.1\r\n\r\n", False),
    (b"GET / HTTP/1.0\r\n\r\n", False),
    (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", False),
    (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", False),
    (GET + b"Host: b\r\n\r\n", False),
    (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", False),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", False),
    (GET + b"X: a\x00b\r\n\r\n", False),
    (GET + b"X: a\x7fb\r\n\r\n", False),
    (GET + b"X: a\tb\r\n\r\n", True),
    (GET + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", False),
    (GET + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", False),
    (b"GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
    (GET + b"Connection: X-Forwarded-For\r\n\r\n", True),
    (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", False),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", False),
    (b"GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", False),
    (b"GET /a%0D%0aX: HTTP/1.1\r\nHost: a\r\n\r\n", False),
    (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", False),
    (b"GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", False),
    (b"GET /a?uid=1\\2 HTTP/1.1\r\nHost: a\r\n\r\n", True),
]


def test_what_smuggles_or_confuses_is_refused(proxy: Proxy, servers: Servers) -> None:
    proxy.apply(SITE)
    found = [(request, raw(request).split(b" ", 2)[1]) for request, _ in ANSWERS]
    assert {status[:1] for _, status in found} == {b"2", b"4"}
    assert [(request, status == b"200") for request, status in found] == ANSWERS


def test_a_master_that_hears_nobody_any_more_executes_itself_anew(
    proxy: Proxy, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has ten sessions, and HAProxy 2.6 may lose them for good; here they are held."""
    monkeypatch.setattr(runtime, "_MASTER_S", 0.5)
    monkeypatch.setattr(runtime, "_STALLED_S", 0.3)
    proxy.apply(SITE)
    worker, master = proxy.worker(), proxy.master()
    with ExitStack() as held, load(keep_alive=True) as failed:
        with pytest.raises(EngineError, match="does not answer"):
            for _ in range(50):
                wire = held.enter_context(socket.socket(socket.AF_UNIX))
                wire.connect(str(proxy.home / "haproxy-master.sock"))
                assert proxy.worker() == worker
        eventually(lambda: _counted(proxy) > 0)
        assert proxy.master() == master
        assert proxy.worker() != worker
    assert failed == []


def _counted(proxy: Proxy) -> int:
    try:
        return sum(each.total for each in proxy.engine.traffic().values())
    except EngineError:
        return 0  # it executes itself just now
