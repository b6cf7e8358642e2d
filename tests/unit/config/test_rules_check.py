"""Checks in the document: keys become questions, and what contradicts itself is told."""

from __future__ import annotations

import pytest

from willis import config
from willis.model.check import (
    Check,
    CheckKind,
    Command,
    CommandAsk,
    Deep,
    Dicom,
    DicomAsk,
    Fixed,
    HalfOpen,
    Hl7,
    Hl7Ask,
    Hl7Connect,
    Http,
    HttpAsk,
    Query,
    Question,
    Talk,
    TcpTalk,
)
from willis.model.proxy import ServerTls
from willis.plan.members import target


def document(check: str, *, defaults: str = "", application: str = "generic", more: str = "") -> str:
    return f"""\
version: 1
site: s
interfaces: {{eth0: {{addresses: [10.60.0.2/24]}}}}
hosts: {{a: 10.60.0.11}}
defaults: {{check: {{interval: 5s{defaults}}}}}
services:
  A: {{vip: 10.60.0.101, ports: 104, forwarding: proxy, application: {application}, pool: [a],
      check: {check}{more}}}
"""


def check_of(text: str, **options: str) -> Check:
    loaded = config.load(document(text, **options))
    assert loaded.config is not None, loaded.problems
    return loaded.config.services[0].check


def told(text: str, **options: str) -> list[str]:
    problems = config.load(document(text, **options)).problems
    return [f"{p.severity} {p.path.removeprefix('services.A.')}: {p.what}" for p in problems]


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("{rise: 2}", HalfOpen()),
        ("{kind: tcp, tcp: {send: 'PING', expect: 'PONG'}}", TcpTalk(Talk("PING", "PONG"))),
        ("{kind: tcp, tcp: {}, tls: {verify: false}}", TcpTalk(tls=ServerTls(verify=False))),
        ("{kind: https}", Http(CheckKind.HTTPS, tls=ServerTls())),
        ("{kind: http, http: {path: /x, status: 204}}", Http(ask=HttpAsk(path="/x", status=(204,)))),
        ("{kind: dicom-echo, dicom: {called: PACS1}}", Dicom(ask=DicomAsk("PACS1"))),
        (
            "{kind: dicom-find, dicom: {query: study}}",
            Dicom(CheckKind.DICOM_FIND, DicomAsk(query=Query.STUDY)),
        ),
        ("{kind: hl7}", Hl7Connect()),
        ("{kind: hl7, hl7: {sending-application: LB}}", Hl7Connect()),
        ("{kind: hl7, hl7: {message: QBP^Q22^QBP_Q21}}", Hl7(Hl7Ask("QBP^Q22^QBP_Q21"))),
        ("{kind: command, command: {program: /opt/x}}", Command(CommandAsk("/opt/x"))),
        ("{kind: 'on'}", Fixed(CheckKind.ON)),
    ],
)
def test_keys_become_a_question(text: str, question: Question) -> None:
    check = check_of(text)
    assert check == Check(question, interval_s=check.interval_s)
    assert not told(text)


def test_defaults_stand_in_key_by_key_and_only_for_their_kinds() -> None:
    usual = ", dicom: {calling: LB, called: ALL}, http: {path: /up}"
    assert check_of("{kind: dicom-echo, dicom: {called: P}}", defaults=usual).question == Dicom(
        ask=DicomAsk("P", "LB")
    )
    assert check_of("{rise: 3}", defaults=usual).question == HalfOpen()
    assert check_of("{kind: tcp}", defaults=usual + ", kind: dicom-echo").question == HalfOpen()
    assert check_of("{rise: 3}", defaults=usual + ", kind: dicom-echo").question == Dicom(
        ask=DicomAsk("ALL", "LB")
    )


def test_a_deep_check_shares_the_records_and_targets_tell_questions_apart() -> None:
    check = check_of("{kind: tcp, dicom: {called: P}, tls: {}, deep: {kind: dicom-echo, every: 3}}")
    assert check.question == HalfOpen()
    assert check.deep == Deep(Dicom(ask=DicomAsk("P"), tls=ServerTls()), every=3)
    loaded = config.load(document("{kind: command, command: {program: /opt/x}}")).config
    assert loaded is not None
    service = loaded.services[0]
    found = target(service, service.pool[0])
    assert found.question == Command(CommandAsk("/opt/x"), service.vip, 104)
    assert found.asked.startswith("command#")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{kind: tcp, dicom: {called: P}}", "error check.dicom: A check of kind tcp has no use for 'dicom'."),
        ("{kind: tcp, tls: {}}", "error check.tls: A check of kind tcp has no use for 'tls' unless it says"),
        ("{kind: http, tls: {}}", "error check.tls: A check of kind http has no use for 'tls'"),
        ("{kind: dns}", "error check.dns: A check of kind dns needs 'dns'."),
        ("{kind: command}", "error check.command: A check of kind command needs 'command'."),
        ("{kind: command, command: {program: sh}}", "error check.command.program: 'sh' is no valid program."),
        ("{kind: ping, port: 80}", "error check.port: A check of kind ping looks at no port."),
        ("{kind: tcp, deep: {kind: ping, port: 5}}", "error check.deep.port: A ping looks at no port."),
        ("{deep: {kind: tcp}}", "error check.deep.kind: The deep look asks the same as the light one: tcp."),
        ("{deep: {kind: 'off'}}", "error check.deep.kind: A check of kind on or off asks nobody"),
        ("{kind: hl7, hl7: {message: ADT^A08}}", "error check.hl7: Nothing is known of what follows MSH"),
        ("{kind: fhir, http: {path: /x}}", "error check.http: A check of kind fhir knows what to ask for"),
        ("{kind: http, http: {root: /x}}", "error check.http: A check of kind http asks for 'path'"),
        ("{kind: http, http: {method: HEAD, body: x}}", "error check.http: The answer to HEAD has no body."),
        ("{kind: dicom-store}", "warning check: Each look stores one small object"),
        (
            "{kind: dicom-echo, dicom: {called: 'A B'}}",
            "error check.dicom.called: 'A B' is no valid AE title",
        ),
        ("{kind: hl7, hl7: {segments: ['MSH|^~']}}", ""),
    ],
)
def test_contradictions_are_told(text: str, expected: str) -> None:
    found = told(text)
    assert len(found) == (1 if expected else 0)
    assert not expected or found[0].startswith(expected)


def test_a_check_in_another_tongue_is_warned_of() -> None:
    assert told("{kind: http}", application="dicom") == [
        "warning check: The check speaks http to a port where dicom is spoken."
    ]
    assert told("{kind: http, port: 8042}", application="dicom") == []
    clear = told("{kind: dicom-echo}", application="dicom", more=", server-tls: {name: pacs.example.org}")
    assert clear == [
        "warning check: The proxy speaks TLS to the real servers, and the check speaks dicom-echo without."
    ]
    assert (
        told(
            "{kind: dicom-echo, tls: {}}", application="dicom", more=", server-tls: {name: pacs.example.org}"
        )
        == []
    )
