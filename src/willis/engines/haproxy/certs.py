"""A renewed certificate reaches the running worker over the runtime socket, without a reload."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from willis.engines.haproxy import write
from willis.engines.haproxy.runtime import Runtime
from willis.engines.port import EngineError

PREFIX = "certificate/"
"""Begins the artefact's key; its value is the SHA-1 of the leaf, which ``show ssl cert`` tells."""

_LARGEST = 15_000
"""Bytes; a payload above HAProxy's buffer of 16 KiB is dropped without a word."""
_FINGERPRINT = re.compile(r"^SHA1 FingerPrint: ([0-9A-F]{40})$", re.MULTILINE)


def named(text: str, directory: str) -> Iterator[str]:
    """The certificates that a configuration loads from the store."""
    found = re.findall(rf" crt {re.escape(directory)}/([A-Za-z0-9._-]+)\.pem(?= |$)", text, re.MULTILINE)
    yield from dict.fromkeys(found)


def held(runtime: Runtime, file: Path) -> str | None:
    """The fingerprint of what the worker serves from ``file``; None if it knows no such file."""
    found = _FINGERPRINT.search(runtime.ask(f"show ssl cert {write.path(str(file)).text}"))
    return found[1].lower() if found else None


def renew(runtime: Runtime, file: Path) -> bool:
    """Serve the file's content from now on. False: HAProxy must read it anew by a reload."""
    name = write.path(str(file)).text
    try:
        pem = file.read_text("ascii").strip()
    except OSError as error:
        raise EngineError(f"{file} cannot be read: {error.strerror}; what is served stays") from error
    if len(pem) > _LARGEST:
        return False
    said = runtime.ask(f"set ssl cert {name} <<\n{pem}\n")
    if "Transaction" in said and "Success!" in runtime.ask(f"commit ssl cert {name}"):
        return True
    runtime.ask(f"abort ssl cert {name}")
    return False
