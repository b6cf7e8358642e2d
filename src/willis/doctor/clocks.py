"""Reads hosts' clocks where they tell them: in the Date of an answer by HTTP (RFC 9110, 6.6.1).

Only who is checked by HTTP anyway is asked, once more and with the same request.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC
from email.utils import parsedate_to_datetime

from willis.model.check import CheckKind, Http, Target
from willis.model.service import Address

_WAIT_S = 0.7
_AT_ONCE = 16
_MOST = 64
"""Hosts that are asked."""


def skews(targets: Iterable[Target]) -> dict[Address, float]:
    """By how many seconds each host's clock is ahead of ours; who does not tell is not there."""
    asked: dict[Address, tuple[Target, Http]] = {}
    for target in (each for whole in targets for each in (whole, whole.deeper())):
        question = target.question
        if isinstance(question, Http) and question.kind is CheckKind.HTTP and question.tls is None:
            asked.setdefault(target.address, (target, question))
    chosen = list(asked.values())[:_MOST]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda each: _skew(*each), chosen)
        return {
            target.address: ahead
            for (target, _), ahead in zip(chosen, found, strict=True)
            if ahead is not None
        }


def _skew(target: Target, question: Http) -> float | None:
    ask = question.ask
    headers = {field.name: field.value for field in ask.headers} | ({"Host": ask.host} if ask.host else {})
    connection = http.client.HTTPConnection(str(target.address), target.port, timeout=_WAIT_S)
    try:
        with closing(connection):
            connection.request(str(ask.method), ask.path, headers=headers)
            told = connection.getresponse().getheader("Date")
            now = time.time()
    except (OSError, http.client.HTTPException):
        return None
    return None if told is None else _ahead(told, now)


def _ahead(date: str, now: float) -> float | None:
    """Dates are cut to whole seconds, so half of one is added."""
    try:
        return parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp() + 0.5 - now
    except ValueError:
        return None
