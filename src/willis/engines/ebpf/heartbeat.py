"""The daemon's last sign of life, in a pinned map: the next one can tell for how long nobody was there.

While nobody is there traffic goes on, but no verdict changes: a server that died
meanwhile was still given connections.
"""

from __future__ import annotations

import logging
import time

from willis.engines.ebpf import layout
from willis.engines.ebpf.bpf import Map
from willis.engines.ebpf.layout import INDEX

log = logging.getLogger("willis.engines.ebpf")

_KEY = INDEX.pack(0)
_ABSENCE_S = 10
"""A restart takes less, and the loop's slowest round too."""
_SHOWN_S = 60


class Heartbeat:
    """Reads the last beat when it is made, and beats."""

    def __init__(self, beats: Map) -> None:
        self._beats = beats
        self._born = time.monotonic()
        (last,) = layout.HEARTBEAT.unpack(beats.lookup(_KEY) or bytes(layout.HEARTBEAT.size))
        absent = (time.monotonic_ns() - last) // layout.SECOND_NS if last else 0
        self._alarm = ""
        if absent >= _ABSENCE_S:
            self._alarm = (
                f"The engine was gone for {absent} s: traffic went on, but by the verdicts of before. "
                f"Find out what stopped it: journalctl -u willis"
            )
            log.warning(self._alarm)
        self.beat()

    def beat(self) -> None:
        """Called by every refresh."""
        self._beats.update(_KEY, layout.HEARTBEAT.pack(time.monotonic_ns()))

    def alarms(self) -> tuple[str, ...]:
        """For a minute what was found at the start."""
        shown = self._alarm and time.monotonic() < self._born + _SHOWN_S
        return (self._alarm,) if shown else ()
