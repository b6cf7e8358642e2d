"""The Orthanc behind the web pieces of its host: the few questions that they ask its REST."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

_PATIENCE_S = 30.0
_PREAMBLE = 128
_MAGIC = b"DICM"
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""httpx reads all of the system's authorities for each client that is given none."""


class Archive:
    """Orthanc's REST at ``base``, such as ``http://127.0.0.1:8042``."""

    def __init__(self, base: str) -> None:
        self._base = base

    async def studies(self, uid: str | None) -> list[str]:
        """The UIDs of the studies: of the one with this UID if it is there, or of all."""
        keys = {} if uid is None else {"StudyInstanceUID": uid}
        query = {"Level": "Study", "Query": keys, "Expand": True}
        found = await self._ask("POST", "/tools/find", json=query)
        return [study["MainDicomTags"]["StudyInstanceUID"] for study in found]

    async def store(self, body: bytes) -> bool:
        """Keep a DICOM file (PS3.10); False if the body is none."""
        if body[_PREAMBLE : _PREAMBLE + len(_MAGIC)] != _MAGIC:
            return False
        await self._ask("POST", "/instances", content=body)
        return True

    async def sentence(self) -> str:
        """What stands behind the web page."""
        system = await self._ask("GET", "/system")
        counts = await self._ask("GET", "/statistics")
        return f"Orthanc {system['Version']} with {counts['CountStudies']} studies"

    async def _ask(self, method: str, path: str, **more: Any) -> Any:  # noqa: ANN401 - JSON
        async with httpx.AsyncClient(base_url=self._base, verify=_NO_TLS, timeout=_PATIENCE_S) as client:
            answer = await client.request(method, path, **more)
            return answer.raise_for_status().json()
