"""Taking over from another layout: connections, clients and servers survive an upgrade.

A map that is the same in both layouts stays the same map, pinned in the new place too, and
is not even copied while traffic changes it. A map whose value has grown is copied, and
what is new in it is nought, which means "as before". So layouts may only ever grow: new
maps, and new fields at the end of a value. Connections that begin between the copy and
the new program's first packet are copied after it.

Until its links are moved the old program carries on, and cut anywhere this begins again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from willis.engines.ebpf import bpf, layout
from willis.engines.ebpf.bpf import Map, MapInfo
from willis.engines.port import EngineError
from willis.model.node import Attach

_LAYOUT_NAME = re.compile(r"v[0-9]+\Z")
_HOOKS = "hooks"
_FLOWS = "flows"


def find(pin_dir: Path) -> Path | None:
    """The directory of another layout that something is pinned in; the latest, if there are several."""
    others = [each for each in pin_dir.iterdir() if _LAYOUT_NAME.match(each.name)]
    others = [each for each in others if each.name != layout.LAYOUT]
    return max(others, key=lambda each: int(each.name[1:]), default=None)


def sharing(older: Path, directory: Path) -> Callable[[Mapping[str, MapInfo]], None]:
    """What is to be done before the object is loaded: pin the maps that stay the same where it will look.

    Raises EngineError if the other layout is no forerunner of this one.
    """

    def share(wanted: Mapping[str, MapInfo]) -> None:
        for name, info in wanted.items():
            with _opened(older / name) as former:
                if former is None:
                    continue
                held = bpf.map_info(former)
                if not held.grows_into(info):
                    raise EngineError(
                        f"Layer 4 cannot take over from another version, because its map {name} differs in "
                        f"more than additions. Start that version again, or restart the node, which ends "
                        f"its connections."
                    )
                if held == info and not (directory / name).exists():
                    bpf.pin(former, directory / name)

    return share


def take_over(older: Path, directory: Path, maps: Mapping[str, Map]) -> None:
    """What is to be done after: copy the maps that have grown, and move the links to where they are found."""
    for name, each in maps.items():
        with _opened(older / name) as former:
            if former is not None:
                held = bpf.map_info(former)
                if held != bpf.map_info(each.fd):
                    _copy(Map(former, held.key, held.value), each)
    for hook in Attach:
        for path in _entries(older / _HOOKS / hook):
            path.rename(directory / _HOOKS / hook / path.name)


def catch_up(older: Path, maps: Mapping[str, Map]) -> None:
    """Once no packet meets the old program any more: copy the flows that began after they were copied."""
    with _opened(older / _FLOWS) as former:
        if former is None:
            return
        held, flows = bpf.map_info(former), maps[_FLOWS]
        if held == bpf.map_info(flows.fd):
            return
        known = {key for key, _ in flows.items()}
        _fill(flows, [each for each in Map(former, held.key, held.value).items() if each[0] not in known])


def remove(older: Path) -> None:
    """Ends the other layout, once the new program is in its place."""
    for hook in Attach:
        if (older / _HOOKS / hook).exists():
            (older / _HOOKS / hook).rmdir()
    if (older / _HOOKS).exists():
        (older / _HOOKS).rmdir()
    for path in _entries(older):
        path.unlink()
    older.rmdir()


def _copy(former: Map, latter: Map) -> None:
    _fill(latter, [(key, value) for key, value in former.items() if any(value)])


def _fill(latter: Map, elements: list[tuple[bytes, bytes]]) -> None:
    latter.update_batch([(key, value.ljust(latter.value_bytes, b"\0")) for key, value in elements])


def _entries(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.exists() else []


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    if not path.exists():
        yield None
        return
    descriptor = bpf.open_pin(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
