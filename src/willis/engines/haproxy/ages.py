"""How long the connections open now have lasted, by what ``show sess`` says of each. Pure.

HAProxy counts from when it accepted the connection and writes the two largest units ("3h05m"), so
an age of hours is exact to a minute. Of HTTP a request counts: connections that wait for
one belong to no server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from willis.engines.haproxy.state import FALLBACK

_SESSION = re.compile(r"^0x[0-9a-f]+: .* be=(\S+) srv=(\S+) .*?\bage=(\S+)", re.MULTILINE)
_PART = re.compile(r"(\d+)([dhms])")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_NONE = "<none>"


def longest(reports: Iterable[str]) -> dict[tuple[str, str], float]:
    """Seconds by (service, host), from each worker's answer; a fallback server counts for its host."""
    found: dict[tuple[str, str], float] = {}
    for report in reports:
        for service, server, age in _SESSION.findall(report):
            if server != _NONE:
                place = (service, server.removeprefix(FALLBACK))
                found[place] = max(found.get(place, 0.0), _seconds(age))
    return found


def _seconds(age: str) -> float:
    return float(sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(age)))
