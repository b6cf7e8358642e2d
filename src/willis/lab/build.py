"""Builds a twin and takes it down again.

A twin is there whole or not at all: what fails or is interrupted on the way up is torn down.
Taking down asks the kernel what there is, so it works on any remains, and again on none.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from willis.lab import engine, hosts, netns, places, processes
from willis.lab.blueprint import NODE
from willis.lab.errors import LabError
from willis.lab.twin import Twin, save

_LONGEST_RUN_DIR = 70
"""Bytes: unix socket paths end at 107 (unix(7)), and the engine puts several into its run directory."""


def up(twin: Twin, *, with_engine: bool = True) -> None:
    """Build the twin, start its hosts and its node, deploy the document. Raises LabError.

    ``with_engine=False`` leaves the node bare, for tests of the ground itself.
    """
    _check_room(twin)
    with _lock(twin.name), _interruptible():
        if twin.directory.exists() or netns.namespaces(twin.name):
            raise LabError(
                f"Twin {twin.name!r} is there already: use it, take it down with "
                f"'willis lab down --name {twin.name}', or give another --name."
            )
        try:
            _build(twin, with_engine=with_engine)
        except BaseException:
            with _uninterrupted():
                _tear_down(twin.name, twin.directory)
            raise


def down(name: str) -> bool:
    """Take the twin down, whatever is left of it. Whether there was anything. Raises LabError."""
    try:
        directory = places.twin_dir(name)
    except places.PlaceError as error:
        raise LabError(str(error)) from error
    if not directory.exists() and not netns.namespaces(name):
        return False
    with _lock(name), _uninterrupted():
        _tear_down(name, directory)
    return True


def _build(twin: Twin, *, with_engine: bool) -> None:
    places.make_private(twin.directory)
    save(twin)
    if not twin.light:
        netns.build(twin.name, twin.blueprint)
        netns.mount_bpf(twin.directory / NODE / "bpf")
    hosts.wait([hosts.start(twin, host, piece) for host in twin.blueprint.servers for piece in host.pieces])
    if with_engine:
        engine.start(twin)
        engine.deploy(twin)


def _tear_down(name: str, directory: Path) -> None:
    resisting = processes.end(directory, netns.inodes(name))
    netns.unmount_below(directory)
    netns.remove(name)
    shutil.rmtree(directory, ignore_errors=True)
    if resisting:
        raise LabError(
            f"These processes of twin {name!r} did not end even by SIGKILL: "
            f"{', '.join(map(str, resisting))}. They wait for the kernel; look at /proc/PID/stack."
        )


def _check_room(twin: Twin) -> None:
    run = twin.directory / NODE / "run"
    if len(os.fsencode(run)) > _LONGEST_RUN_DIR:
        raise LabError(
            f"The path {run} is longer than {_LONGEST_RUN_DIR} bytes, too long for unix sockets inside it: "
            "name a shorter directory in WILLIS_LAB_DIR."
        )


@contextmanager
def _lock(name: str) -> Iterator[None]:
    """One builder of a name at a time. The lock file goes with the twin."""
    try:
        places.make_private(places.base())
    except places.PlaceError as error:
        raise LabError(str(error)) from error
    path = places.base() / f".{name}.lock"
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(
                f"Another command is building or taking down twin {name!r} right now: wait for it."
            ) from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            places.tidy()


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM interrupts like Ctrl-C, so that nothing half built is left."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Taking down is not cut short by a second Ctrl-C."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
