"""DICOM in proxy mode."""

from __future__ import annotations

from tests.builders import dr, site
from willis.model.config import Config
from willis.model.proxy import Dicom, Limits, TitleRoute
from willis.model.service import Forwarding

_EVERYTHING = Dicom(
    called=("PACS1", "PACS2", "RIS"),
    calling=("CT1", "MR1"),
    routes=(TitleRoute(("PACS2", "RIS"), "Archive"),),
    rename="PACS",
    per_calling=2,
)

CASES: dict[str, tuple[Config, dict[str, bool]]] = {
    "dicom": (
        site(
            dr("Dicom", 110, forwarding=Forwarding.PROXY, dicom=_EVERYTHING, limits=Limits(per_server=8)),
            dr("Archive", 111, 104, forwarding=Forwarding.PROXY, dicom=Dicom(validate=False)),
        ),
        {},
    ),
}
