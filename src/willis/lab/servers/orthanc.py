"""Orthanc piece: a real Orthanc behind the DICOM port, and a ledger made of what it says of itself.

Associations, echoes and queries come from its log; each stored instance from its list of
changes, with the sender's address that Orthanc kept and the digest of the pixel data that it
gives back. Orthanc does not tell which of the host's addresses was called, so services on one
port are named together.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import httpx

from willis.lab.servers.brief import Brief, read_own
from willis.lab.servers.ledger import Ledger

_POLL_S = 0.2
_START_S = 30.0
_PIXEL_DATA = "7fe0-0010/0"
_LINE = re.compile(
    r"(Association Received|Incoming (?:Echo|Find|Move|Get) request) from AET .{0,16} on IP ([^\s,]+)"
)
_WHAT = {"Association": "connect", "Echo": "C-ECHO", "Find": "C-FIND", "Move": "C-MOVE", "Get": "C-GET"}


def main() -> None:
    """Run Orthanc and write its ledger until killed. Ends if Orthanc ends."""
    brief = read_own()
    ledger, local = Ledger(brief), ("", brief.listens[0].port)
    storage = Path(brief.home) / "storage"
    storage.mkdir(mode=0o700, exist_ok=True)
    settings = Path(brief.home) / "orthanc.json"
    settings.write_text(json.dumps(_settings(brief, storage), indent=1))
    with subprocess.Popen(
        ["Orthanc", "--verbose", str(settings)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        if process.stdout is not None:
            threading.Thread(target=_follow, args=(process.stdout, ledger, local), daemon=True).start()
        with httpx.Client(base_url=str(brief.archive)) as rest:
            _await(rest, process)
            brief.ready_file.touch()
            last = _last(rest)
            while process.poll() is None:
                last = _stored(rest, last, ledger, local)
                time.sleep(_POLL_S)
        raise SystemExit(f"Orthanc ended with code {process.returncode}")


def _settings(brief: Brief, storage: Path) -> dict[str, object]:
    """Open to the twin's network for DICOM, to its own host alone for REST."""
    return {
        "Name": brief.host,
        "StorageDirectory": str(storage),
        "IndexDirectory": str(storage),
        "DicomPort": brief.listens[0].port,
        "HttpPort": httpx.URL(str(brief.archive)).port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "UnknownSopClassAccepted": True,
        # A study that is sent again must show again in the list of changes.
        "OverwriteInstances": True,
    }


def _follow(lines: IO[str], ledger: Ledger, local: tuple[str, int]) -> None:
    """Note what the log tells, and pass the log on but for our own polling."""
    for line in lines:
        if "(http) GET" not in line:
            sys.stdout.write(line)
            sys.stdout.flush()
        if "main.cpp" not in line and "Association Received" not in line:
            continue
        found = _LINE.search(line)
        if found:
            words = found[1].split()
            ledger.note((found[2],), local, _WHAT.get(words[1], _WHAT["Association"]))


def _await(rest: httpx.Client, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            rest.get("/system").raise_for_status()
        except httpx.HTTPError:
            time.sleep(_POLL_S)
        else:
            return
    raise SystemExit(f"Orthanc did not start (code {process.poll()}); see above")


def _last(rest: httpx.Client) -> int:
    last: int = rest.get("/changes", params={"last": ""}).raise_for_status().json()["Last"]
    return last


def _stored(rest: httpx.Client, since: int, ledger: Ledger, local: tuple[str, int]) -> int:
    """Note the instances stored since the change ``since``; the number of the last change seen."""
    try:
        page = rest.get("/changes", params={"since": since, "limit": 100}).raise_for_status().json()
    except httpx.HTTPError:
        return since
    for change in page["Changes"]:
        if change["ChangeType"] == "NewInstance":
            _note_instance(rest, change["Path"], ledger, local)
    last: int = page["Last"]
    return last


def _note_instance(rest: httpx.Client, path: str, ledger: Ledger, local: tuple[str, int]) -> None:
    told = rest.get(f"{path}/metadata", params={"expand": ""})
    tags = rest.get(f"{path}/simplified-tags")
    pixels = rest.get(f"{path}/content/{_PIXEL_DATA}")
    if not (told.is_success and tags.is_success):
        return
    ledger.note(
        (told.json().get("RemoteIP", ""),),
        local,
        "C-STORE",
        digest=hashlib.sha256(pixels.content if pixels.is_success else b"").hexdigest(),
        uid=tags.json()["SOPInstanceUID"],
    )


if __name__ == "__main__":
    main()
