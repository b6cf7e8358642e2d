"""The REST contract of the doctor, and what it is told of the engine's own knowledge."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import dr, site
from willis.api.app import build
from willis.certificates.store import CertificateStore
from willis.config import write
from willis.control import doctor
from willis.control.changes import Wish
from willis.control.controller import Controller
from willis.control.store import Store
from willis.doctor.finding import Finding, Fix, Report, Severity
from willis.doctor.seen import Learnt
from willis.engines.ebpf.compile import compile_l4
from willis.engines.memory import MemoryEngine
from willis.engines.port import Client


class Tying(MemoryEngine):
    def clients(self, service: str) -> list[Client]:
        return [Client(ip_network("198.51.100.7"), "vna1", 12.0)] if service == "DicomRouting" else []

    def forget(self, service: str, client: object = None) -> int:
        return 0


def test_findings_come_with_their_fixes_by_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Learnt] = []

    def examine(config: object, status: object, learnt: Learnt) -> Report:
        told.append(learnt)
        fix = Fix(("sysctl -w a=1",), ("netsh b",))
        finding = Finding(Severity.ERROR, "vna2 answers", "vna2", "02:00", fix)
        return Report((finding,), ("the wire",), ("the rest",), 3.2)

    monkeypatch.setattr(doctor, "examine", examine)
    answer = asyncio.run(_ask(tmp_path))
    assert answer == {
        "findings": [
            {
                "severity": "error",
                "what": "vna2 answers",
                "where": "vna2",
                "evidence": "02:00",
                "fix": {"linux": ["sysctl -w a=1"], "windows": ["netsh b"], "willis": []},
            }
        ],
        "looked_at": ["the wire"],
        "passed_over": ["the rest"],
        "took_ms": 3.2,
    }
    assert told[0].ties == {"DicomRouting": ["vna1"]}


async def _ask(path: Path) -> Any:
    certificates = CertificateStore(path)
    controller = Controller("lb1", Store(path / "willis.db"), [Tying("ebpf", compile_l4)], certificates)
    controller.start()
    try:
        await controller.apply(write(site(dr())), Wish("test", "", force=True))
        transport = httpx.ASGITransport(build(controller, path))
        async with httpx.AsyncClient(transport=transport, base_url="http://engine") as http:
            answer = await http.get("/api/v1/doctor")
            assert answer.status_code == 200, answer.text
            return answer.json()
    finally:
        await controller.close()
