"""The script that HAProxy runs for DICOM. Its name holds its digest, so a new one is a new configuration."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

TEXT = files(__package__).joinpath("lua", "dicom.lua").read_text(encoding="utf-8")
NAME = f"dicom-{sha256(TEXT.encode()).hexdigest()[:12]}.lua"
