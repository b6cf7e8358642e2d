"""DICOM piece: Verification and Storage SCP that keeps no image, only what proves its arrival.

The digest is the SHA-256 of the pixel data, so that byte-identical arrival can be shown.
Any AE title is welcome, and as many associations as a test needs.
"""

from __future__ import annotations

import hashlib

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from willis.lab.servers.brief import read_own
from willis.lab.servers.ledger import Ledger
from willis.lab.servers.scp import local_of, peer_of, serve


def main() -> None:
    """Serve until killed."""
    brief = read_own()
    ledger = Ledger(brief)

    def stored(event: evt.Event) -> int:
        dataset = event.dataset
        pixels = dataset.get("PixelData", b"")
        ledger.note(
            peer_of(event),
            local_of(event),
            "C-STORE",
            digest=hashlib.sha256(pixels).hexdigest(),
            uid=str(dataset.SOPInstanceUID),
        )
        return 0x0000

    ae = AE(ae_title="WILLISLAB")
    ae.add_supported_context(Verification, ALL_TRANSFER_SYNTAXES)
    for context in AllStoragePresentationContexts:
        if context.abstract_syntax is not None:
            ae.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
    serve(ae, brief, ledger, [(evt.EVT_C_STORE, stored)])


if __name__ == "__main__":
    main()
