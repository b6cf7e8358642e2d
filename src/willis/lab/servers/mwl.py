"""MWL piece: Modality Worklist and Verification SCP that answers each query with two synthetic items."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    Verification,
)

from willis.lab.servers.brief import read_own
from willis.lab.servers.ledger import Ledger
from willis.lab.servers.scp import local_of, peer_of, serve

_PENDING = 0xFF00
_PATIENTS = (("LAB^ONE", "LAB0001", "CT"), ("LAB^TWO", "LAB0002", "MR"))


def main() -> None:
    """Serve until killed."""
    brief = read_own()
    ledger = Ledger(brief)

    def found(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        ledger.note(peer_of(event), local_of(event), "C-FIND")
        for number, (name, identity, modality) in enumerate(_PATIENTS, 1):
            yield _PENDING, _item(number, name, identity, modality, brief.host)

    ae = AE(ae_title="WILLISLAB")
    ae.add_supported_context(Verification)
    ae.add_supported_context(ModalityWorklistInformationFind)
    serve(ae, brief, ledger, [(evt.EVT_C_FIND, found)])


def _item(number: int, name: str, identity: str, modality: str, station: str) -> Dataset:
    """A worklist item (PS3.4 Annex K.6), the station being the host that answers."""
    step = Dataset()
    step.Modality = modality
    step.ScheduledStationAETitle = "WILLISLAB"
    step.ScheduledStationName = station
    step.ScheduledProcedureStepStartDate = "20260101"
    step.ScheduledProcedureStepStartTime = "080000"
    step.ScheduledProcedureStepID = f"STEP{number}"
    item = Dataset()
    item.PatientName = name
    item.PatientID = identity
    item.AccessionNumber = f"ACC{number:04}"
    item.RequestedProcedureID = f"PROC{number}"
    item.ScheduledProcedureStepSequence = [step]
    return item


if __name__ == "__main__":
    main()
