"""The coarse tiers on disk: minutes of the last two days, quarters of an hour of the last sixty.

A finished minute is first noted as one row with all series. An hour later it goes into chunks, one
row a series, since a graph wants one series over many steps. Whatever is cut short is done again with
the same outcome: a chunk is merged into what is there, and the noted minutes go last.
"""

from __future__ import annotations

import logging
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from willis.control.database import Database
from willis.control.frames import WIDTH, Band, Chunk, Frame, Key, fold, merge, pack, unpack

log = logging.getLogger("willis.history")

MINUTE, QUARTER = 60, 900
"""Lengths of steps, in seconds."""
KEPT_S = {MINUTE: 2 * 86_400, QUARTER: 60 * 86_400}
_SPAN_S = {MINUTE: 3_600, QUARTER: 86_400}
"""What a chunk holds."""
_STEPS = {step: span // step for step, span in _SPAN_S.items()}
_FOLDED = QUARTER // MINUTE
_MOST_BYTES = 2 << 30
"""Of the file; the oldest go first."""
_BATCH = 200
"""Series written in one transaction."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
    number INTEGER PRIMARY KEY, service TEXT NOT NULL, host TEXT NOT NULL, UNIQUE (service, host)
);
CREATE TABLE IF NOT EXISTS minute (number INTEGER PRIMARY KEY, series BLOB NOT NULL, band BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS unfinished (number INTEGER PRIMARY KEY, series BLOB NOT NULL, band BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS chunk (
    step INTEGER NOT NULL, at INTEGER NOT NULL, series INTEGER NOT NULL, band BLOB NOT NULL,
    UNIQUE (step, at, series)
);
"""

_Statement = tuple[str, tuple[object, ...]]


class HistoryStore:
    """One file. Used in one thread."""

    def __init__(self, path: Path) -> None:
        """Open or make it. Raises StoreError."""
        self._db = Database(path)
        self._db.has(_SCHEMA)
        self._numbers: dict[Key, int] = {}

    def close(self) -> None:
        self._db.close()

    def knows(self, key: Key) -> bool:
        """Whether there ever was such a series, and some of it is still kept."""
        return self._number(key) is not None

    def note(self, frame: Frame) -> None:
        """Keep a finished minute. Later ones go: the clock went back."""
        self._db.transaction(
            ("DELETE FROM minute WHERE number >= ?", (frame.number,)),
            ("INSERT INTO minute VALUES (?, ?, ?)", self._row(frame)),
        )

    def noted(self) -> list[Frame]:
        """The minutes that are in no chunk yet, oldest first."""
        return self._frames("SELECT * FROM minute ORDER BY number")

    def leave(self, frames: Iterable[Frame]) -> None:
        """Keep the finer steps of a minute that an engine ends in, for the next engine."""
        self._db.transaction(
            ("DELETE FROM unfinished", ()),
            *(("INSERT INTO unfinished VALUES (?, ?, ?)", self._row(frame)) for frame in frames),
        )

    def left(self) -> list[Frame]:
        """What the engine before left, oldest first; once, so that it never counts for a later one."""
        found = self._frames("SELECT * FROM unfinished ORDER BY number")
        self._db.execute("DELETE FROM unfinished")
        return found

    def _row(self, frame: Frame) -> tuple[object, ...]:
        numbers = self._made(list(frame.rows))
        series = array("I", [numbers[key] for key in frame.rows])
        band = frame.band.avg + frame.band.low + frame.band.high
        return frame.number, zlib.compress(series.tobytes(), 1), zlib.compress(band.tobytes(), 1)

    def _frames(self, sql: str) -> list[Frame]:
        keys = {number: (service, host) for number, service, host in self._db.execute("SELECT * FROM series")}
        found, rows = [], dict[Key, int]()
        for number, series, packed in self._db.execute(sql):
            try:
                known = [keys[each] for each in array("I", zlib.decompress(series))]
                values = array("f", zlib.decompress(packed))
            except (zlib.error, ValueError, KeyError) as error:
                log.warning("a step of the history cannot be read: %s", error)
                continue
            if known != list(rows):
                rows = {key: row for row, key in enumerate(known)}
            size = len(known) * WIDTH
            if len(values) == 3 * size:
                band = Band(values[:size], values[size : 2 * size], values[2 * size :])
                found.append(Frame(number, rows, band))
        return found

    def keep(self, frames: Sequence[Frame]) -> None:
        """Put minutes into chunks, and no longer note them."""
        for hour, together in groupby(frames, lambda frame: frame.number // _STEPS[MINUTE]):
            minutes = list(together)
            keys = list(dict.fromkeys(key for frame in minutes for key in frame.rows))
            self._made(keys)
            for first in range(0, len(keys), _BATCH):
                batch = keys[first : first + _BATCH]
                self._db.transaction(*(s for key in batch for s in self._chunks(key, hour, minutes)))
        marks = [(frame.number,) for frame in frames]
        self._db.transaction(*(("DELETE FROM minute WHERE number = ?", mark) for mark in marks))

    def _chunks(self, key: Key, hour: int, minutes: Iterable[Frame]) -> Iterator[_Statement]:
        """The hour of a series, and the day that its quarters belong to."""
        first, series = hour * _STEPS[MINUTE], self._numbers[key]
        new: Chunk = [None] * _STEPS[MINUTE]
        for frame in minutes:
            new[frame.number - first] = frame.of(key)
        known = merge(self._chunk(series, MINUTE, hour), new)
        yield self._written(series, MINUTE, hour, known)
        quarter = first // _FOLDED
        day, at = divmod(quarter, _STEPS[QUARTER])
        coarse: Chunk = [None] * _STEPS[QUARTER]
        for begin in range(0, len(known), _FOLDED):
            coarse[at + begin // _FOLDED] = folded(known[begin : begin + _FOLDED])
        yield self._written(series, QUARTER, day, merge(self._chunk(series, QUARTER, day), coarse))

    def _written(self, series: int, step: int, chunk: int, content: Chunk) -> _Statement:
        return (
            "INSERT OR REPLACE INTO chunk VALUES (?, ?, ?, ?)",
            (step, chunk * _SPAN_S[step], series, pack(content)),
        )

    def _chunk(self, series: int, step: int, chunk: int) -> Chunk:
        sql = "SELECT band FROM chunk WHERE step = ? AND at = ? AND series = ?"
        row = self._db.execute(sql, (step, chunk * _SPAN_S[step], series)).fetchone()
        try:
            return [None] * _STEPS[step] if row is None else unpack(row[0], _STEPS[step])
        except (zlib.error, ValueError) as error:
            log.warning("a chunk of the history cannot be read: %s", error)
            return [None] * _STEPS[step]

    def read(self, key: Key, step: int, begin: int, end: int) -> dict[int, Band]:
        """A series by the numbers of its steps, from ``begin`` to before ``end``. Raises StoreError."""
        series, steps = self._number(key), _STEPS[step]
        if series is None or begin >= end:
            return {}
        found = {}
        for chunk in range(begin // steps, (end - 1) // steps + 1):
            for place, band in enumerate(self._chunk(series, step, chunk)):
                if band is not None and begin <= chunk * steps + place < end:
                    found[chunk * steps + place] = band
        return found

    def prune(self, now: float) -> None:
        """Forget what is too old, or lies in a future that a wrong clock once showed. Raises StoreError."""
        for step, kept_s in KEPT_S.items():
            oldest, newest = now - kept_s - _SPAN_S[step], now + 86_400
            self._db.execute(
                "DELETE FROM chunk WHERE step = ? AND (at < ? OR at > ?)", (step, oldest, newest)
            )
        while self._used() > _MOST_BYTES and self._shorten():
            pass
        self._db.execute(
            "DELETE FROM series WHERE number NOT IN (SELECT series FROM chunk) "
            "AND NOT EXISTS (SELECT 1 FROM minute)"  # whose series are not in chunks yet
        )
        self._numbers.clear()

    def _used(self) -> int:
        pages, free, size = (
            int(self._db.execute(f"PRAGMA {what}").fetchone()[0])
            for what in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _shorten(self) -> bool:
        """Without its oldest day of quarters; the last two stay."""
        sql = "SELECT min(at), count(DISTINCT at) FROM chunk WHERE step = ?"
        oldest, days = self._db.execute(sql, (QUARTER,)).fetchone()
        if days <= 2:
            return False
        self._db.execute("DELETE FROM chunk WHERE step = ? AND at = ?", (QUARTER, oldest))
        return True

    def _number(self, key: Key) -> int | None:
        if key not in self._numbers:
            sql = "SELECT number FROM series WHERE service = ? AND host = ?"
            row = self._db.execute(sql, key).fetchone()
            if row is None:
                return None
            self._numbers[key] = int(row[0])
        return self._numbers[key]

    def _made(self, keys: Iterable[Key]) -> dict[Key, int]:
        """The numbers of series, which get one if they have none."""
        sql = "INSERT INTO series (service, host) VALUES (?, ?)"
        new = [key for key in keys if self._number(key) is None]
        self._db.transaction(*((sql, key) for key in new))
        for key in new:
            self._number(key)
        return self._numbers


def folded(bands: Iterable[Band | None]) -> Band | None:
    """One step of several; None: nothing is known of any."""
    known = [band for band in bands if band is not None]
    return fold(known) if known else None
