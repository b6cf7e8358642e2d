"""Rules about checks: a question must fit its kind, its second question and what the service speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from willis.config.places import at
from willis.config.problem import Fault, Severity
from willis.model.check import (
    CheckKind,
    Dicom,
    Fixed,
    Hl7,
    Http,
    HttpAsk,
    HttpMethod,
    Ping,
    Question,
)
from willis.model.service import Application, Protocol, VirtualService

_QUERY = "QBP^Q22"
"""The message whose segments need not be written."""

_SPOKEN: dict[Application, tuple[CheckKind, ...]] = {
    Application.DICOM: (CheckKind.DICOM_ECHO, CheckKind.DICOM_FIND, CheckKind.DICOM_STORE),
    Application.MWL: (CheckKind.DICOM_ECHO, CheckKind.DICOM_FIND),
    Application.HL7: (CheckKind.HL7,),
    Application.MINT: (CheckKind.MINT, CheckKind.HTTP, CheckKind.HTTPS, CheckKind.DICOMWEB),
    Application.HTTP: (
        CheckKind.HTTP,
        CheckKind.HTTPS,
        CheckKind.DICOMWEB,
        CheckKind.FHIR,
        CheckKind.MINT,
    ),
}
"""What an application answers, beside what asks nothing of it."""
_NEUTRAL = (CheckKind.TCP, CheckKind.PING, CheckKind.COMMAND, CheckKind.DNS, CheckKind.ON, CheckKind.OFF)
_NO_TCP = (CheckKind.PING, CheckKind.COMMAND, CheckKind.DNS, CheckKind.ON, CheckKind.OFF)


def _questions(service: VirtualService) -> tuple[Question, ...]:
    check = service.check
    return (check.question,) if check.deep is None else (check.question, check.deep.question)


def a_deep_check_asks_something_else(service: VirtualService) -> Iterator[Fault]:
    """A check and its `deep` check are of two kinds, neither of them `on` or `off`."""
    deep = service.check.deep
    if deep is None:
        return
    path = at(service, "check", "deep", "kind")
    needs = (at(service, "check", "kind"), ("defaults", "check"))
    if deep.question.kind is service.check.kind:
        what = f"The deep look asks the same as the light one: {deep.question.kind}."
        yield Fault(path, what, "Name another kind, such as dicom-find, or remove 'deep'.", rests_on=needs)
    elif isinstance(deep.question, Fixed) or isinstance(service.check.question, Fixed):
        what = "A check of kind on or off asks nobody, so it goes with no second kind."
        yield Fault(path, what, "Remove 'deep', or name kinds that ask.", rests_on=needs)


def some_checks_have_no_port(service: VirtualService) -> Iterator[Fault]:
    """The key `port` is not for checks of kind `ping`, `on` and `off`."""
    check = service.check
    needs = (at(service, "check", "kind"), ("defaults", "check"))
    if check.port is not None and isinstance(check.question, Ping | Fixed) and check.deep is None:
        what = f"A check of kind {check.kind} looks at no port."
        yield Fault(at(service, "check", "port"), what, "Remove 'port', or use kind: tcp.", rests_on=needs)
    if check.deep is not None and check.deep.port is not None and isinstance(check.deep.question, Ping):
        what = "A ping looks at no port."
        yield Fault(at(service, "check", "deep", "port"), what, "Remove 'port'.", rests_on=needs)


def messages_have_segments(service: VirtualService) -> Iterator[Fault]:
    """An HL7 message other than `QBP^Q22` names its `segments`; segments need a `message`."""
    for question in _questions(service):
        if not isinstance(question, Hl7):
            continue
        ask = question.ask
        if not ask.segments and not (ask.message or "").startswith(_QUERY):
            what = f"Nothing is known of what follows MSH in {ask.message}."
            remedy = "Write its 'segments', or use message: QBP^Q22^QBP_Q21."
            yield Fault(at(service, "check", "hl7"), what, remedy, rests_on=(("defaults", "check"),))


def requests_fit_their_kind(service: VirtualService) -> Iterator[Fault]:
    """Keys `method` and `path` are for `http` and `https`, `root` is for the others; HEAD has no body."""
    usual = HttpAsk()
    needs = (at(service, "check", "kind"), at(service, "check", "deep"), ("defaults", "check"))
    kinds = {q.kind for q in _questions(service) if isinstance(q, Http)}
    plain = bool(kinds & {CheckKind.HTTP, CheckKind.HTTPS})
    preset = bool(kinds - {CheckKind.HTTP, CheckKind.HTTPS})
    for question in _questions(service):
        if not isinstance(question, Http):
            continue
        ask, path = question.ask, at(service, "check", "http")
        if not plain and (ask.method is not usual.method or ask.path != usual.path):
            what = f"A check of kind {question.kind} knows what to ask for; only 'root' may differ."
            yield Fault(path, what, "Remove 'method' and 'path', or use kind: http.", rests_on=needs)
        if not preset and ask.root is not None:
            what = f"A check of kind {question.kind} asks for 'path' and has no 'root'."
            yield Fault(path, what, "Use 'path' instead of 'root'.", rests_on=needs)
        if plain and ask.method is HttpMethod.HEAD and ask.body is not None:
            what = "The answer to HEAD has no body."
            yield Fault(path, what, "Use method: GET, or remove 'body'.", rests_on=needs)
        return


def a_stored_object_stays(service: VirtualService) -> Iterator[Fault]:
    """Warning: a check of kind `dicom-store` leaves an object on the server."""
    for question in _questions(service):
        if question.kind is CheckKind.DICOM_STORE:
            what = "Each look stores one small object, always the same, in a study of the check's own."
            remedy = "Let the archive delete patient WILLIS-CHECK, or use kind: dicom-find."
            yield Fault(
                at(service, "check"), what, remedy, Severity.WARNING, rests_on=(("defaults", "check"),)
            )


def checks_speak_what_the_service_speaks(service: VirtualService) -> Iterator[Fault]:
    """Warning: a check that speaks to a service's own port what the service does not."""
    known = _SPOKEN.get(service.application)
    check = service.check
    asked = [(check.question, check.port)]
    if check.deep is not None:
        asked.append((check.deep.question, check.deep.port or check.port))
    for question, port in asked:
        if known is None or port is not None or question.kind in (*known, *_NEUTRAL):
            continue
        what = f"The check speaks {question.kind} to a port where {service.application} is spoken."
        remedy = f"Name the port that answers it, or use kind: {known[0]}."
        needs = (at(service, "application"), ("defaults", "check"))
        yield Fault(at(service, "check"), what, remedy, Severity.WARNING, rests_on=needs)


def checks_speak_tls_where_the_proxy_does(service: VirtualService) -> Iterator[Fault]:
    """Warning: `server-tls` with a check that asks the same port in the clear."""
    if service.server_tls is None or service.check.port is not None:
        return
    for question in _questions(service):
        clear = isinstance(question, Dicom | Hl7) and question.tls is None
        if clear or (isinstance(question, Http) and question.tls is None):
            what = f"The proxy speaks TLS to the real servers, and the check speaks {question.kind} without."
            remedy = "Use kind: https." if question.kind is CheckKind.HTTP else "Add 'tls' to the check."
            needs = (at(service, "server-tls"), ("defaults", "check"))
            yield Fault(at(service, "check"), what, remedy, Severity.WARNING, rests_on=needs)


def udp_is_checked_by_tcp(service: VirtualService) -> Iterator[Fault]:
    """Warning: a UDP service whose check connects to the same port by TCP."""
    check = service.check
    if service.protocol is Protocol.UDP and check.kind not in _NO_TCP and check.port is None:
        what = "The check connects by TCP to the port that serves UDP, where most servers do not answer."
        remedy = "Name a TCP port of the host: check: {port: ...}; or use kind: ping."
        yield Fault(at(service, "check"), what, remedy, Severity.WARNING, rests_on=(at(service, "protocol"),))


CHECK_RULES: tuple[Callable[[VirtualService], Iterator[Fault]], ...] = (
    a_deep_check_asks_something_else,
    some_checks_have_no_port,
    messages_have_segments,
    requests_fit_their_kind,
    a_stored_object_stays,
    checks_speak_what_the_service_speaks,
    checks_speak_tls_where_the_proxy_does,
    udp_is_checked_by_tcp,
)
