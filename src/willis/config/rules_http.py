"""Rules about HTTP: what only HTTP can carry, and where its rules lead."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator

from willis.config.places import at
from willis.config.problem import Fault, Path, Severity
from willis.model.config import Config
from willis.model.persistence import CookieMode, CookiePersistence
from willis.model.proxy import (
    AddHeader,
    DeleteHeader,
    Http,
    Redirect,
    ReplaceHeader,
    RewritePath,
    Rule,
    SetHeader,
    UsePool,
)
from willis.model.service import Forwarding, VirtualService

_FRAMING = ("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
_REDIRECTS = (301, 302, 303, 307, 308)


def http_keys_need_http(service: VirtualService) -> Iterator[Fault]:
    """The key `http` needs application `http` or `mint`."""
    if service.forwarding is Forwarding.PROXY and service.http != Http() and not service.application.is_http:
        what = f"These keys are for HTTP, and the application of this service is {service.application}."
        needs = (at(service, "application"),)
        yield Fault(
            at(service, "http"), what, "Set application: http (or mint), or remove them.", rests_on=needs
        )


def https_needs_tls(service: VirtualService) -> Iterator[Fault]:
    """The keys `https-from` and `hsts` need `tls`; the ports of `https-from` are not the service's own."""
    http = service.http
    for key, given in (("https-from", http.https_from), ("hsts", http.hsts_s)):
        if given and service.tls is None:
            what = "Browsers would be sent to HTTPS, which this service does not speak."
            needs = (at(service, "tls"),)
            yield Fault(at(service, "http", key), what, "Add tls: {certificates: ...}.", rests_on=needs)
    for i, port in enumerate(http.https_from):
        if port in service.ports:
            what = f"Port {port} is also one of the service's own ports."
            path = at(service, "http", "https-from", i)
            yield Fault(path, what, "Name another port, usually 80.", rests_on=(at(service, "ports"),))


def cookies_fit(service: VirtualService) -> Iterator[Fault]:
    """A cookie with `secure` needs `tls`; `idle` and `life` are for mode `insert`."""
    kept = service.persistence
    if not isinstance(kept, CookiePersistence):
        return
    if kept.secure and service.tls is None:
        what = "Browsers send this cookie over TLS only, and this service has none."
        path = at(service, "persistence", "secure")
        yield Fault(path, what, "Add tls, or remove 'secure'.", rests_on=(at(service, "tls"),))
    usual = CookiePersistence()
    if kept.mode is not CookieMode.INSERT:
        for key, own, default in (("idle", kept.idle_s, usual.idle_s), ("life", kept.life_s, usual.life_s)):
            if own != default:
                what = (
                    f"'{key}' is for a cookie of the proxy's own; the application decides how long its lives."
                )
                yield Fault(at(service, "persistence", key), what, "Remove it, or use mode: insert.")


def redirects_are_redirects(service: VirtualService) -> Iterator[Fault]:
    """A redirect's status is 301, 302, 303, 307 or 308."""
    for path, rule in _rules(service):
        if isinstance(rule, Redirect) and rule.status not in _REDIRECTS:
            what = f"{rule.status} sends no browser elsewhere."
            yield Fault((*path, "status"), what, "Use 301 or 308 for ever, 302, 303 or 307 for now.")


def framing_is_left_alone(service: VirtualService) -> Iterator[Fault]:
    """No rule touches the headers that say where a message ends or how a connection is used."""
    for path, rule in _rules(service):
        if (
            isinstance(rule, SetHeader | AddHeader | ReplaceHeader | DeleteHeader)
            and rule.name.lower() in _FRAMING
        ):
            what = f"{rule.name} belongs to the connection, and a wrong one lets requests be smuggled."
            yield Fault((*path, "name"), what, "Remove the rule.")


def expressions_are_sound(service: VirtualService) -> Iterator[Fault]:
    """Regular expressions can be read."""
    for path, rule in _rules(service):
        given = [((*path, "when", "path-matches", i), e) for i, e in enumerate(rule.when.path_matches)]
        if isinstance(rule, ReplaceHeader | RewritePath):
            given.append(((*path, "matches"), rule.matches))
        for where, expression in given:
            error = _unreadable(expression)
            if error is not None:
                yield Fault(where, f"The expression cannot be read: {error}.", "Correct it.")


def _unreadable(expression: str) -> str | None:
    """Why. HAProxy's PCRE2 will read it: what Python warns of, such as ``[[:digit:]]``, is sound there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            re.compile(expression)
        except (re.error, OverflowError) as error:
            return str(error)
    return None


def paths_can_match(service: VirtualService) -> Iterator[Fault]:
    """Paths to compare with have neither `//` nor `;`: those are folded before (see the guide on HTTP)."""
    for path, rule in _rules(service):
        when = rule.when
        given = (("paths", when.paths), ("path-begins", when.path_begins), ("path-ends", when.path_ends))
        for key, i, pattern in ((key, i, each) for key, patterns in given for i, each in enumerate(patterns)):
            if "//" in pattern or ";" in pattern:
                what = f"No path is like {pattern}: // counts as /, and what follows a ; does not count."
                yield Fault((*path, "when", key, i), what, "Write it with single slashes, and without a ;.")


def pools_of_others_exist(config: Config) -> Iterator[Fault]:
    """A rule or route leads to another `proxy` service with the same application."""
    for service in config.services:
        for path, name in _leads(service):
            other = config.service(name)
            if other is None:
                what = f"There is no service {name!r} in this document."
                yield Fault((*path, "service"), what, "Name one that stands under 'services'.")
            elif other is service:
                what = "The service's own pool serves anyway."
                yield Fault((*path, "service"), what, "Name another service, or remove this.")
            elif other.forwarding is not Forwarding.PROXY or not _same_kind(service, other):
                what = f"{name} is no proxy service for {service.application}, so it cannot take over here."
                needs = (at(other, "forwarding"), at(other, "application"), at(service, "application"))
                remedy = f"Set forwarding: proxy and application: {service.application} there."
                yield Fault((*path, "service"), what, remedy, rests_on=needs)


def a_service_without_ports_is_used(config: Config) -> Iterator[Fault]:
    """Warning: a service without ports that no rule and no route leads to."""
    used = {name for service in config.services for _, name in _leads(service)}
    for service in config.services:
        if service.forwarding is Forwarding.PROXY and not service.ports and service.name not in used:
            what = "It has no ports, and no rule or route of another service leads to it."
            yield Fault(
                at(service), what, "Name its ports, or lead to it.", Severity.WARNING, (("services",),)
            )


def https_from_is_free(config: Config) -> Iterator[Fault]:
    """A port of `https-from` belongs to no other service of the VIP."""
    owners = {(s.vip, port): s for s in config.services for port in s.ports}
    for service in config.services:
        for i, port in enumerate(service.http.https_from):
            owner = owners.setdefault((service.vip, port), service)
            if owner is not service:
                what = f"Port {port} of {service.vip} already belongs to {owner.name}."
                path = at(service, "http", "https-from", i)
                yield Fault(
                    path, what, "Use another port or VIP, or remove it.", rests_on=(at(owner, "ports"),)
                )


def _rules(service: VirtualService) -> Iterator[tuple[Path, Rule]]:
    for i, rule in enumerate(service.http.rules):
        yield at(service, "http", "rules", i), rule


def _leads(service: VirtualService) -> Iterator[tuple[Path, str]]:
    """Where rules and routes lead, with their paths."""
    for path, rule in _rules(service):
        if isinstance(rule, UsePool):
            yield path, rule.service
    for i, route in enumerate(service.dicom.routes):
        yield at(service, "dicom", "routes", i), route.service


def _same_kind(one: VirtualService, other: VirtualService) -> bool:
    return (
        one.application.is_http == other.application.is_http
        and one.application.is_dicom == other.application.is_dicom
    )


HTTP_RULES: tuple[Callable[[VirtualService], Iterator[Fault]], ...] = (
    http_keys_need_http,
    https_needs_tls,
    cookies_fit,
    redirects_are_redirects,
    framing_is_left_alone,
    expressions_are_sound,
    paths_can_match,
)
HTTP_SITE_RULES: tuple[Callable[[Config], Iterator[Fault]], ...] = (
    pools_of_others_exist,
    a_service_without_ports_is_used,
    https_from_is_free,
)
