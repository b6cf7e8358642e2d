"""Measured values over time: frames of one step each, folded into coarser ones, and packed series.

A frame holds the values of all series in one step. Coarser tiers keep the mean, the least and the
greatest of what was folded into them. What was not measured is NaN or has no frame, and never a zero.
All of it is pure. Steps are numbered from the epoch: a number times the step's length is its beginning.
"""

from __future__ import annotations

import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import nan
from typing import NamedTuple

METRICS = (
    "connections",
    "active",
    "bytes_in",
    "bytes_out",
    "requests",
    "errors",
    "check_ms",
    "servers_open",
)
"""What is known of a series, in the order of its columns. Stored: new ones go to the end."""
WIDTH = len(METRICS)

_ITEM = array("f").itemsize

Key = tuple[str, str]
"""A service and a host in it; the host is empty for the service as a whole."""


class Band(NamedTuple):
    """Mean, least and greatest of the same columns; of what was measured once all three are the same."""

    avg: array[float]
    low: array[float]
    high: array[float]

    @classmethod
    def measured(cls, values: Iterable[float]) -> Band:
        """Of values that nothing was folded into."""
        kept = array("f", values)
        return cls(kept, kept, kept)

    def part(self, begin: int, end: int) -> Band:
        """Some of the columns."""
        return Band(self.avg[begin:end], self.low[begin:end], self.high[begin:end])

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.avg) * _ITEM * (1 if self.avg is self.low else 3)


def fold(bands: Sequence[Band]) -> Band:
    """One band of several steps, at least one: the mean of the known means, the least, the greatest."""
    return Band(
        _folded([band.avg for band in bands], lambda known: sum(known) / len(known)),
        _folded([band.low for band in bands], min),
        _folded([band.high for band in bands], max),
    )


def _folded(steps: Sequence[array[float]], choose: Callable[[Sequence[float]], float]) -> array[float]:
    return array("f", (_of_known(column, choose) for column in zip(*steps, strict=True)))


def _of_known(column: Sequence[float], choose: Callable[[Sequence[float]], float]) -> float:
    total = sum(column)
    if total == total:  # NaN alone differs from itself
        return choose(column)
    known = [each for each in column if each == each]
    return choose(known) if known else nan


@dataclass(frozen=True, slots=True)
class Frame:
    """All series in one step."""

    number: int
    rows: Mapping[Key, int]
    """Where each series stands. Frames of the same document share it."""
    band: Band
    """May be shorter than ``rows``: the last series were not measured."""

    def of(self, key: Key) -> Band | None:
        """One series; None: it was not measured."""
        row = self.rows.get(key)
        if row is None or (row + 1) * WIDTH > len(self.band.avg):
            return None
        return self.band.part(row * WIDTH, (row + 1) * WIDTH)


def fold_frames(number: int, frames: Sequence[Frame]) -> Frame:
    """One frame of several, at least one, whose series need not be the same."""
    rows = frames[-1].rows
    if any(frame.rows is not rows for frame in frames):
        every = dict.fromkeys(chain.from_iterable(frame.rows for frame in frames))
        rows = {key: row for row, key in enumerate(every)}
    return Frame(number, rows, fold([_aligned(frame, rows) for frame in frames]))


def _aligned(frame: Frame, rows: Mapping[Key, int]) -> Band:
    if frame.rows is rows:
        return frame.band
    unknown = Band.measured([nan] * WIDTH)
    found = [frame.of(key) or unknown for key in rows]
    return Band(*(array("f", chain.from_iterable(band[part] for band in found)) for part in range(3)))


class Frames:
    """The newest frames of a tier, bounded in steps and in bytes."""

    def __init__(self, step_s: int, most: int, most_bytes: int) -> None:
        self.step_s = step_s
        self._most = most
        self._most_bytes = most_bytes
        self._kept: deque[Frame] = deque()
        self.size = 0
        """Bytes."""

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._kept)

    def add(self, frame: Frame) -> None:
        """Keep one more. Frames that are not older go: the clock went back, and its time is written anew."""
        while self._kept and self._kept[-1].number >= frame.number:
            self.size -= self._kept.pop().band.size
        self._kept.append(frame)
        self.size += frame.band.size
        while self._kept[0].number <= frame.number - self._most or self.size > self._most_bytes:
            self._drop()

    def drop(self, frames: Iterable[Frame]) -> None:
        """Forget these, which are the oldest."""
        for frame in frames:
            if self._kept and self._kept[0] is frame:
                self._drop()

    def _drop(self) -> None:
        self.size -= self._kept.popleft().band.size

    def within(self, begin: int, end: int) -> list[Frame]:
        """Those of the numbers from ``begin`` to before ``end``."""
        return [frame for frame in self._kept if begin <= frame.number < end]

    @property
    def since(self) -> int | None:
        """Seconds since the epoch at which the oldest begins."""
        return self._kept[0].number * self.step_s if self._kept else None


Chunk = list[Band | None]
"""One series over the steps of a chunk."""


def pack(chunk: Chunk) -> bytes:
    """Compressed, column by column, since neighbours in time resemble each other."""
    unknown = array("f", [nan]) * (3 * WIDTH)
    rows = [unknown if band is None else band.avg + band.low + band.high for band in chunk]
    return zlib.compress(array("f", chain.from_iterable(zip(*rows, strict=True))).tobytes())


def unpack(packed: bytes, steps: int) -> Chunk:
    """What was packed. Raises ValueError, zlib.error for anything else."""
    columns = array("f", zlib.decompress(packed))
    if len(columns) != 3 * WIDTH * steps:
        raise ValueError("a chunk of another length")
    starts = range(0, len(columns), steps)
    rows = zip(*(columns[at : at + steps] for at in starts), strict=True)
    return [_unpacked(row) for row in rows]


def _unpacked(row: Sequence[float]) -> Band | None:
    if all(value != value for value in row):
        return None
    return Band(*(array("f", row[at : at + WIDTH]) for at in (0, WIDTH, 2 * WIDTH)))


def merge(old: Chunk, new: Chunk) -> Chunk:
    """The old one with all that the new one knows written over it."""
    return [before if after is None else after for before, after in zip(old, new, strict=True)]
