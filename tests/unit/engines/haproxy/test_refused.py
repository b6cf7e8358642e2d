"""What HAProxy's workers say of refusals, read."""

from __future__ import annotations

from willis.engines.haproxy.dicom import refused
from willis.model.refusal import ASSOCIATION, Refusal

OLD = "Dicom vna1 8001 A700 2 40\nDicom fallback:vna4 8001 A700 9 1\n"
NEW = "Dicom vna1 8001 A700 1 7\nDicom vna1 8020 A701 4 3\nDicom vna2 0000 0302 5 0\nMwl vna1 8020 A700 1 9\n"


def test_workers_are_added_up_and_fallback_servers_left_out() -> None:
    assert refused([OLD, NEW]) == {
        ("Dicom", "vna1"): (
            Refusal("C-FIND", "A701 (out of resources)", 4, 3.0),
            Refusal("C-STORE", "A700 (out of resources)", 3, 7.0),
        ),
        ("Dicom", "vna2"): (Refusal(ASSOCIATION, "local limit exceeded", 5, 0.0),),
        ("Mwl", "vna1"): (Refusal("C-FIND", "A700 (out of resources)", 1, 9.0),),
    }


def test_a_worker_without_the_script_or_without_refusals_adds_nothing() -> None:
    assert refused(["Unknown command, but maybe one of the following ones is a better match:\n", "\n"]) == {}
