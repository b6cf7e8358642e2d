"""Ends connections over the master's socket, in old workers too: at once, or between two HL7 messages."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

from willis.engines.haproxy import hl7, maps
from willis.engines.haproxy.runtime import Master, Runtime, sessions


def cut(master: Master, halted: AbstractSet[tuple[str, str]]) -> None:
    """End every connection to these (service, server) now. Raises EngineError."""
    if not halted:
        return
    for worker in master.workers().all:
        for session, service, server in sessions(master.ask(worker, "show sess")):
            if (service, server) in halted:
                master.ask(worker, f"shutdown session {session}")


def between_messages(runtime: Runtime, master: Master, file: Path) -> None:
    """End the HL7 connections that may end now. ``file``: the map of servers to leave. Raises EngineError.

    Old workers are told first whom to leave: after a reload their connections go on, and
    nobody else changes their maps.
    """
    lines = maps.parse(runtime.ask(f"show map {file}"))
    workers = master.workers()
    for worker in workers.old:
        have = maps.parse(master.ask(worker, f"show map {file}"))
        for command in hl7.corrections(str(file), have, lines):
            master.ask(worker, command)
    for worker in workers.all:
        states = master.ask(worker, "show hl7")
        for session in hl7.to_end(states, master.ask(worker, "show sess"), hl7.left(lines)):
            master.ask(worker, f"shutdown session {session}")
