"""Rules about limits and time-outs: what needs HTTP, and what lets anybody in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from willis.config.places import at
from willis.config.problem import Fault, Severity
from willis.model.proxy import ProxyTimeouts
from willis.model.service import Forwarding, VirtualService


def limits_fit_the_protocol(service: VirtualService) -> Iterator[Fault]:
    """The limits `request-rate` and `body`, and the time-outs `response` and `keep-alive`, need HTTP."""
    if service.forwarding is not Forwarding.PROXY or service.application.is_http:
        return
    usual, waits, limits = ProxyTimeouts(), service.waits, service.limits
    given = (
        ("limits", "request-rate", limits.request_rate is not None),
        ("limits", "body", limits.body is not None),
        ("proxy-timeouts", "response", waits.response_s != usual.response_s),
        ("proxy-timeouts", "keep-alive", waits.keep_alive_s != usual.keep_alive_s),
    )
    for section, key, is_given in given:
        if is_given:
            what = f"'{key}' is for HTTP, and the application of this service is {service.application}."
            needs = (at(service, "application"),)
            yield Fault(
                at(service, section, key), what, "Remove it, or set application: http.", rests_on=needs
            )


def one_client_is_less_than_all(service: VirtualService) -> Iterator[Fault]:
    """Warning: one address may open as many connections as all together."""
    limits = service.limits
    if limits.connections is not None and (limits.per_client or 0) > limits.connections:
        what = "One address may have more connections than all of them together, so its limit never counts."
        path = at(service, "limits", "per-client")
        yield Fault(path, what, "Lower it below 'connections'.", Severity.WARNING)


def proxies_are_known(service: VirtualService) -> Iterator[Fault]:
    """Warning: `behind-proxies` lets whoever can connect say who he is."""
    if service.behind_proxies:
        what = "Whoever can reach this VIP may write any address into the PROXY protocol's header."
        remedy = "Let nobody but the proxies reach it, by a firewall in front."
        yield Fault(at(service, "behind-proxies"), what, remedy, Severity.WARNING)


LIMITS_RULES: tuple[Callable[[VirtualService], Iterator[Fault]], ...] = (
    limits_fit_the_protocol,
    one_client_is_less_than_all,
    proxies_are_known,
)
