"""The scripts that HAProxy runs. A name holds its script's digest, so a new one is a new configuration."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    text: str


def _script(name: str) -> Script:
    text = files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return Script(f"{name}-{sha256(text.encode()).hexdigest()[:12]}.lua", text)


DICOM = _script("dicom")
HL7 = _script("hl7")
