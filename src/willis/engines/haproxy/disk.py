"""Files of HAProxy's: read, replaced whole, and the directory that its workers are locked into."""

from __future__ import annotations

import os
from pathlib import Path

from willis.engines.port import EngineError


def read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def write(path: Path, text: str) -> None:
    """Replace a file whole or not at all, and keep it over a power cut. Raises EngineError."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise EngineError(f"{path} cannot be written: {error.strerror}; what runs stays as it is") from error


def jail(directory: Path) -> Path:
    """A directory that workers may pass through and not read. Raises EngineError."""
    try:
        directory.mkdir(mode=0o711, exist_ok=True)
        directory.chmod(0o711)
    except OSError as error:
        raise EngineError(f"{directory} cannot be made: {error.strerror}; HAProxy was not started") from error
    return directory
