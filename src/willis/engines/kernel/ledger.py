"""Remembers what the settings were before Willis changed them, so that it can put them back.

One small file in the state directory, replaced whole. It is about one network namespace
since one boot: after a reboot the kernel begins with the administrator's own values,
and what was remembered counts for nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from willis.engines.port import EngineError


@dataclass(frozen=True, slots=True)
class Former:
    """A setting's value before the first change, and the settings that the kernel changes with it."""

    value: str
    others: dict[str, str]


class Ledger:
    """The file; used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Former]:
        """What is remembered, by name. Raises EngineError for a damaged file."""
        try:
            content = json.loads(self._path.read_text())
            if content["where"] != _where():
                return {}
            return {name: Former(entry[0], entry[1]) for name, entry in content["former"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise EngineError(
                f"{self._path} cannot be read: {error.strerror}; no setting was changed"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise EngineError(
                f"{self._path} is damaged, so the former kernel settings are not known; "
                f"look at them by hand ('sysctl net.ipv4.ip_forward') and remove the file"
            ) from error

    def write(self, former: dict[str, Former]) -> None:
        """Keep it over a power cut. Raises EngineError."""
        entries = {name: [entry.value, entry.others] for name, entry in former.items()}
        new = self._path.with_name(f".{self._path.name}.new")
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump({"where": _where(), "former": entries}, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise EngineError(
                f"{self._path} cannot be written: {error.strerror}; no kernel setting was changed"
            ) from error


def _where() -> str:
    """This boot and the calling thread's network namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/thread-self/ns/net').stat().st_ino}"
