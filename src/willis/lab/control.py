"""Breaks a running twin and mends it: kill, freeze, unplug, plug, restore; and tells how it is."""

from __future__ import annotations

import signal
import time
from typing import Any

from willis.lab import engine, evidence, hosts, netns
from willis.lab.blueprint import Kind, Machine
from willis.lab.errors import LabError
from willis.lab.processes import Process, tell
from willis.lab.twin import Twin
from willis.model.service import Forwarding

_STRIKE_S = 10.0
_PROXY_S = 30.0


def kill(twin: Twin, machine: str, piece: str | None) -> list[str]:
    """End a piece, or all of a machine, by SIGKILL. The pieces that it hit. Raises LabError."""
    return _strike(twin, _running(twin, machine, piece), signal.SIGKILL, "end")


def freeze(twin: Twin, machine: str, piece: str | None) -> list[str]:
    """Stop a piece, or all of a machine, by SIGSTOP: its port stays open and nothing answers."""
    return _strike(twin, _running(twin, machine, piece), signal.SIGSTOP, "stop")


def restore(twin: Twin, name: str, piece: str | None) -> list[str]:
    """Thaw what is frozen, start what is missing and put the plug in. What was done. Raises LabError."""
    machine = _machine(twin, name)
    done = []
    if piece is None and _is_unplugged(twin, machine):
        netns.set_links(twin.name, machine, "up")
        done.append("plugged in")
    here = [p for p in twin.processes() if p.machine == name and piece in (None, p.piece)]
    frozen = [p for p in here if p.frozen]
    tell(frozen, signal.SIGCONT)
    done += [f"{each} goes on" for each in _names(frozen)]
    running = {p.piece for p in here}
    if machine.kind is Kind.NODE:
        if piece != "haproxy" and "engine" not in running:
            engine.start(twin)
            done.append("engine started")
        return done + _await_proxy(twin, machine)
    missing = [p for p in machine.pieces if p.name not in running and piece in (None, p.name)]
    hosts.wait([hosts.start(twin, machine, each) for each in missing])
    return done + [f"{each.name} started" for each in missing]


def _await_proxy(twin: Twin, node: Machine) -> list[str]:
    """The engine starts HAProxy where it is missing; wait until it has."""
    if "haproxy" not in _expected(twin, node):
        return []
    since = time.monotonic()
    waited = False
    while not any(p.piece == "haproxy" for p in twin.processes()):
        if time.monotonic() - since > _PROXY_S:
            raise LabError(f"The engine did not start HAProxy within {_PROXY_S:.0f} s; see its log.")
        waited = True
        time.sleep(0.1)
    return ["haproxy started by the engine"] if waited else []


def unplug(twin: Twin, name: str) -> None:
    """Pull the machine's network plugs. Raises LabError."""
    netns.set_links(twin.name, _wired(twin, name), "down")


def plug(twin: Twin, name: str) -> None:
    """Put the machine's network plugs in. Raises LabError."""
    netns.set_links(twin.name, _wired(twin, name), "up")


def status(twin: Twin) -> dict[str, Any]:
    """``lab status --json``."""
    processes = twin.processes()
    unplugged = frozenset() if twin.light else netns.unplugged(twin.name)
    return {
        "name": twin.name,
        "light": twin.light,
        "socket": str(twin.socket),
        "machines": [_row(twin, machine, processes, unplugged) for machine in twin.blueprint.machines],
    }


def _strike(twin: Twin, found: list[Process], number: signal.Signals, verb: str) -> list[str]:
    """Send a signal and wait until it has worked: a script may rely on it at once."""
    pids = {process.pid for process in found}
    tell(found, number)
    deadline = time.monotonic() + _STRIKE_S
    while any(p.pid in pids and not (p.frozen and number is signal.SIGSTOP) for p in twin.processes()):
        if time.monotonic() > deadline:
            raise LabError(f"{', '.join(_names(found))} did not {verb}: a process waits for the kernel.")
        time.sleep(0.02)
    return _names(found)


def check_machine(twin: Twin, name: str) -> None:
    """Raises LabError, with the names that there are, for a machine that is not."""
    _machine(twin, name)


def _row(twin: Twin, machine: Machine, processes: list[Process], unplugged: frozenset[str]) -> dict[str, Any]:
    here = [p for p in processes if p.machine == machine.name]
    pieces = [{"name": name, "state": _piece_state(name, here)} for name in _expected(twin, machine)]
    states = {str(piece["state"]) for piece in pieces}
    if any(wire.port in unplugged for wire in machine.wires):
        state = "unplugged"
    elif len(states) == 1:
        state = states.pop()
    else:
        state = "running"
    return {
        "name": machine.name,
        "kind": machine.kind.value,
        "addresses": [str(address) for address in machine.addresses],
        "state": state,
        "pieces": pieces,
        "ledger": evidence.summary(twin, machine.name) if machine.kind is Kind.SERVER else {},
    }


def _piece_state(name: str, here: list[Process]) -> str:
    mine = [p for p in here if p.piece == name]
    if not mine:
        return "killed"
    return "frozen" if all(p.frozen for p in mine) else "running"


def _expected(twin: Twin, machine: Machine) -> tuple[str, ...]:
    """The names of the pieces that should run on a machine."""
    if machine.kind is not Kind.NODE:
        return tuple(piece.name for piece in machine.pieces)
    proxied = twin.light or any(s.forwarding is Forwarding.PROXY for s in twin.config.services)
    return ("engine", "haproxy") if proxied else ("engine",)


def _running(twin: Twin, name: str, piece: str | None) -> list[Process]:
    """The processes of a piece, or of all pieces of a machine; at least one."""
    machine = _machine(twin, name)
    pieces = _expected(twin, machine)
    if not pieces:
        raise LabError(f"{name} runs no pieces of its own: unplug it instead.")
    if piece is not None and piece not in pieces:
        raise LabError(f"{name} has no piece {piece!r}; it has: {', '.join(pieces)}.")
    wanted = pieces if piece is None else (piece,)
    found = [p for p in twin.processes() if p.machine == name and p.piece in wanted]
    if not found:
        what = piece or "any of its pieces"
        raise LabError(f"{name} does not run {what} now: start it with 'willis lab restore {name}'.")
    return found


def _machine(twin: Twin, name: str) -> Machine:
    machine = twin.blueprint.machine(name)
    if machine is None:
        known = ", ".join(m.name for m in twin.blueprint.machines)
        raise LabError(f"Twin {twin.name!r} has no machine {name!r}; it has: {known}.")
    return machine


def _wired(twin: Twin, name: str) -> Machine:
    if twin.light:
        raise LabError(
            "A light twin has no wires to pull: its machines are addresses on loopback. "
            f"Use 'willis lab freeze {name}' or 'kill', or build a full twin as root."
        )
    return _machine(twin, name)


def _is_unplugged(twin: Twin, machine: Machine) -> bool:
    if twin.light:
        return False
    down = netns.unplugged(twin.name)
    return any(wire.port in down for wire in machine.wires)


def _names(processes: list[Process]) -> list[str]:
    return list(dict.fromkeys(process.piece for process in processes))
