"""Rules about DICOM in proxy mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from willis.config.places import at
from willis.config.problem import Fault
from willis.model.proxy import Dicom
from willis.model.service import Forwarding, VirtualService


def dicom_keys_need_dicom(service: VirtualService) -> Iterator[Fault]:
    """The key `dicom` needs application `dicom` or `mwl`."""
    proxied = service.forwarding is Forwarding.PROXY
    if proxied and service.dicom != Dicom() and not service.application.is_dicom:
        what = f"These keys are for DICOM, and the application of this service is {service.application}."
        needs = (at(service, "application"),)
        yield Fault(
            at(service, "dicom"), what, "Set application: dicom (or mwl), or remove them.", rests_on=needs
        )


def a_title_leads_one_way(service: VirtualService) -> Iterator[Fault]:
    """A called AE title stands in one route."""
    first: dict[str, int] = {}
    for i, route in enumerate(service.dicom.routes):
        for title in route.called:
            if first.setdefault(title, i) != i:
                what = f"{title} already leads to {service.dicom.routes[first[title]].service}."
                yield Fault(
                    at(service, "dicom", "routes", i, "called"), what, "Name each AE title in one route."
                )


def a_title_has_one_certificate(service: VirtualService) -> Iterator[Fault]:
    """A calling AE title is bound to one certificate."""
    first: dict[str, int] = {}
    for i, bound in enumerate(service.dicom.certificates):
        if first.setdefault(bound.calling, i) != i:
            what = f"{bound.calling} is already bound to another certificate."
            path = at(service, "dicom", "certificates", i, "calling")
            yield Fault(path, what, "Bind each AE title once.")


DICOM_RULES: tuple[Callable[[VirtualService], Iterator[Fault]], ...] = (
    dicom_keys_need_dicom,
    a_title_leads_one_way,
    a_title_has_one_certificate,
)
