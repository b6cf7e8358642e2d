"""OCSP staples over the runtime socket, so that a fresh one needs no reload.

``set ssl ocsp-response`` takes a staple only for a certificate that was loaded with one.
A transaction on the certificate's ``.ocsp`` file takes the first one too (2.6 to 3.0).
"""

from __future__ import annotations

import base64
from pathlib import Path

from willis.engines.haproxy import write
from willis.engines.haproxy.runtime import Runtime
from willis.engines.port import EngineError

_DONE = "Success!"


def staple(runtime: Runtime, certificate: Path, der: bytes) -> None:
    """Serve ``der`` with ``certificate``, if HAProxy has it loaded. Raises EngineError."""
    name = write.path(str(certificate)).text
    if name not in runtime.ask("show ssl cert").splitlines():
        return
    said = runtime.ask(f"set ssl cert {name}.ocsp <<\n{base64.b64encode(der).decode()}\n")
    said += runtime.ask(f"commit ssl cert {name}")
    if _DONE not in said:
        runtime.ask(f"abort ssl cert {name}")
        raise EngineError(f"HAProxy did not take the OCSP staple of {name}: {' '.join(said.split())[:200]}")
