"""The writer, the states, the reports and the counters: the pure parts of the HAProxy engine."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import dr, seen, server, site, web
from willis.engines.haproxy import traffic, write
from willis.engines.haproxy.binds import Bind, binds
from willis.engines.haproxy.compile import CONFIG, HaproxyFiles, compile_l7, left_out
from willis.engines.haproxy.driver import HaproxyEngine
from willis.engines.haproxy.idioms import Idiom
from willis.engines.haproxy.process import alerts
from willis.engines.haproxy.runtime import Workers, sessions
from willis.engines.haproxy.state import Mode, ServerState, StateError, commands, parse, state_file
from willis.engines.haproxy.write import TokenError, Writer, stamp_of, stamped
from willis.engines.port import Traffic
from willis.model.service import Forwarding, Protocol
from willis.model.status import Admin, Place, Status, Verdict

FILES = HaproxyFiles.under(Path("/run/willis"), Path("/var/lib/willis"))
TEXT_TOKENS = [
    write.keywords,
    write.name,
    write.server_name,
    write.cookie_name,
    write.path,
    write.user_name,
]


@pytest.mark.parametrize("token", TEXT_TOKENS, ids=lambda t: t.__name__)
@given(
    text=st.text() | st.sampled_from(["ok\n", "a b\n", "a;b", "a\x00", "", "a'b", 'a"b', "a\\b", "a#b", "é"])
)
def test_no_text_leaves_its_token(token, text: str) -> None:
    try:
        found = token(text).text
    except TokenError as refusal:
        assert repr(text) in str(refusal)
        return
    assert found == text
    assert not set(text) & set("\n\r\t\x00\"'\\#;$%{}")
    assert " " not in text or token is write.keywords


@pytest.mark.parametrize(
    "text", ["vna1\n", "vna1 backup", "-vna1", "fallback:", "fallback:a:b", "v" * 64, "vnä"]
)
def test_a_server_is_named_by_the_glossary_or_not_at_all(text: str) -> None:
    with pytest.raises(TokenError):
        write.server_name(text)


def test_numbers_and_addresses_stay_in_their_ranges() -> None:
    assert write.endpoint(IPv4Address("10.0.0.1"), 80).text == "10.0.0.1:80"
    assert write.endpoint(IPv6Address("2001:db8::1"), None).text == "[2001:db8::1]"
    assert write.mask(IPv6Address("::1"), 64).text == "src,ipmask(32,64)"
    for refused in (
        lambda: write.endpoint(IPv4Address("10.0.0.1"), 65_536),
        lambda: write.endpoint(IPv6Address("fe80::1%eth0"), 80),
        lambda: write.mask(IPv4Address("10.0.0.1"), 33),
        lambda: write.seconds(0),
        lambda: write.number(-1, 0, 5),
    ):
        with pytest.raises(TokenError):
            refused()


def test_idioms_are_whole_lines() -> None:
    for idiom in Idiom:
        assert all(line == "" or line[0] in "# " for line in idiom.value.splitlines())
        assert "\t" not in idiom.value


def test_a_stamp_proves_the_text() -> None:
    writer = Writer()
    writer.section("global")
    writer.line("maxconn", write.number(10, 1, 20))
    text = stamped(writer.text())
    stamp = stamp_of(text)
    assert stamp is not None
    assert stamp in text
    assert stamp_of(text.replace("maxconn 10", "maxconn 11")) is None
    assert stamp_of(writer.text()) is None


def artefacts(service, status: Status | None = None, **options: bool):
    config = site(service)
    return compile_l7(config, status or seen(config), files=FILES, **options)


def modes(service, status: Status) -> list[tuple[str, bool]]:
    found = artefacts(service, status)
    return [(found[f"server/{service.name}/vna{n}"].mode.value, found[f"server/{service.name}/vna{n}"].up)
            for n in (1, 2, 3)]  # fmt: skip


def test_the_text_never_depends_on_the_status_or_a_weight() -> None:
    config = site(web())
    heavy = site(web(pool=(server(1, weight=7), server(2, weight=0), server(3))))
    drained = replace(seen(config, Verdict.DEAD), admin={Place("vna1"): Admin.HALT})
    texts = {
        compile_l7(one, status, files=FILES)[CONFIG]
        for one in (config, heavy)
        for status in (Status(), seen(config), drained)
    }
    assert len(texts) == 1


def test_each_standing_has_its_own_state() -> None:
    config = site(web())
    status = replace(
        seen(config, vna1=Verdict.DEAD), admin={Place("vna2"): Admin.DRAIN, Place("vna3"): Admin.HALT}
    )
    assert modes(web(), status) == [("ready", False), ("drain", True), ("maint", False)]
    sticky = web(persistence=None)
    assert modes(sticky, status) == [("ready", False), ("drain", False), ("maint", False)]
    assert modes(web(), seen(config, Verdict.HUNG)) == [("drain", False)] * 3
    assert modes(web(), Status()) == [("drain", True)] * 3
    assert modes(web(), seen(config, Verdict.BUSY)) == [("ready", True)] * 3


def test_a_weight_of_zero_takes_nothing_new() -> None:
    idle = web(pool=(server(1, weight=0), server(2), server(3)))
    assert modes(idle, seen(site(idle)))[0] == ("drain", True)


def test_only_proxied_services_are_carried_unless_it_is_the_light_twin() -> None:
    for forwarding in (Forwarding.DR, Forwarding.NAT, Forwarding.SNAT):
        service = dr(forwarding=forwarding)
        assert artefacts(service) == {}
        assert artefacts(service, layer4=True).keys() == {
            CONFIG,
            *(f"server/DicomRouting/vna{n}" for n in (1, 2, 3)),
        }
    udp = dr(protocol=Protocol.UDP)
    assert artefacts(udp, layer4=True) == {}
    assert left_out(site(dr("Other"), udp)) == ("DicomRouting",)


def test_connections_fit_into_the_descriptors() -> None:
    few = replace(FILES, open_files=1_024)
    assert "maxconn 361\n" in str(compile_l7(site(web()), Status(), files=few)[CONFIG])


def test_binds_are_read_back_from_the_text() -> None:
    text = artefacts(replace(web(), vip=IPv6Address("2001:db8::1")))[CONFIG]
    assert binds(str(text)) == {Bind("2001:db8::1", 8237, transparent=True)}
    text = artefacts(web(), transparent=False)[CONFIG]
    assert binds(str(text)) == {Bind("10.60.0.114", 8237, transparent=False)}


REPORT = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n"
    "2 Web 1 vna1 127.8.9.1 0 8 50 1 1 1 0 0 0 0 0 0 - 8237 - 0 0 - - 0\n"
    "2 Web 2 vna2 127.8.9.2 2 1 77 1 1 1 0 0 0 0 0 0 - 8237 - 0 0 - - 0\n"
    "2 Web 3 fallback:vna3 127.8.9.3 2 0 1 1 1 1 0 2 0 0 0 0 - 0 - 0 0 - - 0\n\n"
)


def test_states_are_read_from_the_workers_report() -> None:
    assert parse(REPORT) == {
        "server/Web/vna1": ServerState(50, Mode.DRAIN, False, 8237),
        "server/Web/vna2": ServerState(77, Mode.MAINT, False, 8237),
        "server/Web/fallback:vna3": ServerState(1, Mode.READY, True, 0),
    }


@pytest.mark.parametrize("report", ["", "2\n", "Unknown command", "1\n2 Web 1 vna1\n", "1\n" + "x " * 25])
def test_a_report_that_makes_no_sense_is_refused(report: str) -> None:
    with pytest.raises(StateError, match="show servers state"):
        parse(report)


STATES = st.builds(
    ServerState,
    st.integers(0, 256),
    st.sampled_from([Mode.READY, Mode.DRAIN]),
    st.booleans(),
    st.integers(0, 65_535),
) | st.builds(ServerState, st.integers(0, 256), st.just(Mode.MAINT), st.just(False), st.integers(0, 65_535))


@given(
    st.dictionaries(st.sampled_from(["server/Web/vna1", "server/Web/fallback:vna1", "server/A/b"]), STATES)
)
def test_the_state_file_reads_back_as_it_was_written(states: dict[str, ServerState]) -> None:
    assert parse(state_file(states)) == states


def test_runtime_commands_hold_no_strange_server() -> None:
    state = ServerState(1, Mode.READY, True, 80)
    with pytest.raises(TokenError):
        list(commands("server/Web/vna1;shutdown frontend Web", state))


def test_counters_are_read_from_the_columns_that_bear_their_names() -> None:
    report = (
        "# pxname,svname,qcur,scur,smax,stot,bin,bout,\n"
        "Web,vna1,0,2,9,7,100,200,\nWeb,vna2,0,0,0,0,0,0,\nWeb,fallback:vna1,0,1,1,1,10,20,\n\n"
    )
    assert traffic.parse(report) == {
        ("Web", "vna1"): Traffic(3, 8, 110, 220),
        ("Web", "vna2"): Traffic(bytes_out=0),
    }


@pytest.mark.parametrize("report", ["", "Can't find the target CLI!\n"])
def test_a_worker_that_is_gone_counts_nothing(report: str) -> None:
    assert traffic.parse(report) == {}


def test_sessions_are_found_in_the_report() -> None:
    report = (
        "0x55d0: proto=tcpv4 src=127.0.0.1:50 fe=Dicom be=Dicom srv=vna1 ts=00 epoch=0 age=1s\n"
        "0x55d1: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0\n"
    )
    assert list(sessions(report)) == [("0x55d0", "Dicom", "vna1"), ("0x55d1", "<NONE>", "<none>")]


def test_alerts_are_haproxys_words_without_its_summaries() -> None:
    log = (
        "[NOTICE]   (9) : haproxy version is 2.6.12\n"
        "[ALERT]    (9) : config : parsing [c.cfg:41] : unknown keyword 'bogus' in 'listen' section\n"
        "[ALERT]    (9) : config : Error(s) found in configuration file : c.cfg\n"
        "[ALERT]    (9) : config : Fatal errors found in configuration.\n"
    )
    assert alerts(log) == "parsing [c.cfg:41] : unknown keyword 'bogus' in 'listen' section"
    assert alerts("") == "it gave no reason"


def reading(total: int, active: int = 0) -> traffic.Counters:
    return {("Web", "vna1"): Traffic(active, total, total * 10, total * 100)}


def test_counters_never_fall_when_workers_come_and_go() -> None:
    ledger = traffic.Ledger()
    assert ledger.add({1: reading(5, active=2)}) == reading(5, active=2)
    assert ledger.add({1: reading(6, active=1), 2: reading(1, active=1)}) == reading(7, active=2)
    assert ledger.add({2: reading(2)}) == reading(8)
    assert ledger.add({}) == reading(8)
    assert ledger.add({3: reading(1)}) == reading(9)


def test_a_worker_that_says_nothing_once_is_not_counted_twice(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = "# pxname,svname,scur,stot,bin,bout\nWeb,vna1,1,{},50,500\n\n"
    answers = iter([report.format(5), "", report.format(6), "Can't find the target PID"])
    home = tmp_path_factory.mktemp("h")  # short: unix sockets lie below it
    engine = HaproxyEngine(home, home)
    monkeypatch.setattr(engine._process, "pid", lambda: 1)
    monkeypatch.setattr(engine._master, "workers", lambda: Workers(0, 0, 2, ()))
    monkeypatch.setattr(engine._master, "ask", lambda *_: next(answers))
    found = [engine.traffic()["Web", "vna1"].total for _ in range(4)]
    assert found == [5, 5, 6, 6]


def test_a_fallback_counts_for_its_host() -> None:
    report = (
        "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout\n"
        "Web,vna1,0,0,1,1,,4,40,400\nWeb,fallback:vna1,0,0,1,1,,2,20,200\n\n"
    )
    assert traffic.parse(report) == {("Web", "vna1"): Traffic(2, 6, 60, 600)}
