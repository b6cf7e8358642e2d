"""What is due when: a renewal, another try, a word on a certificate that ends. Pure.

Times are aware datetimes; ``now`` is always an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_LEFT = timedelta(days=30)
"""Before the end of a long-lived certificate it is renewed this early."""
_THIRD = 3
"""A short-lived one is renewed when this part of its life is left."""
_FIRST_RETRY = timedelta(minutes=15)
"""So never more than five failures an hour, which is what Let's Encrypt allows for one name."""
_LAST_RETRY = timedelta(hours=12)
THRESHOLDS = (30, 14, 7, 1, 0)
"""Days before the end at which a certificate is called out; 0: it has ended."""


@dataclass(frozen=True, slots=True)
class Life:
    """What matters here of a certificate in the store."""

    name: str
    not_before: datetime
    not_after: datetime
    renewed: bool = False
    """Whether it is ordered and renewed by itself."""


@dataclass(frozen=True, slots=True)
class Event:
    """A certificate that passed a threshold."""

    name: str
    threshold: int
    """One of ``THRESHOLDS``, in days."""
    sentence: str


def due(now: datetime, stored: Life) -> Event | None:
    """The tightest threshold that a certificate has passed, with what to say of it; None: none yet."""
    left = stored.not_after - now
    passed = [days for days in THRESHOLDS if left <= timedelta(days=days)]
    if not passed:
        return None
    remedy = _remedy(stored)
    if passed[-1] == 0:
        when = f"{stored.not_after:%Y-%m-%d %H:%M} UTC"
        said = f"certificate {stored.name} EXPIRED at {when}: clients refuse it"
    else:
        said = f"certificate {stored.name} expires in {_spell(left)}"
    return Event(stored.name, passed[-1], f"{said}; {remedy}")


def order_at(stored: Life, names: tuple[str, ...], domains: tuple[str, ...]) -> datetime:
    """When a certificate for ``names`` is ordered (anew): at once where ``domains`` are not all in it."""
    covered = {name.lower() for name in names}
    whole = all(domain.lower() in covered for domain in domains)
    return renewal_at(stored) if whole else stored.not_before


def renewal_at(stored: Life) -> datetime:
    """When a renewed certificate is ordered anew: a third of its life or 30 days before its end."""
    return stored.not_after - min((stored.not_after - stored.not_before) / _THIRD, _LEFT)


def retry_after(failures: int) -> timedelta:
    """How long to wait after ``failures`` (1 or more) in a row: 15 minutes, doubled up to 12 hours."""
    return min(_FIRST_RETRY * (1 << min(failures - 1, 10)), _LAST_RETRY)


def halfway(since: datetime, until: datetime) -> datetime:
    """The middle of a validity: when a stapled answer is asked for anew."""
    return since + (until - since) / 2


def _remedy(stored: Life) -> str:
    if stored.renewed:
        return f"see why in 'willis acme status', then: willis acme renew {stored.name}"
    return f"renew it: willis certificate add {stored.name} FILE"


def _spell(left: timedelta) -> str:
    """Rounded down, since a promise of a day that is not there costs a morning."""
    if left >= timedelta(days=2):
        return f"{left.days} days"
    hours = left // timedelta(hours=1)
    return f"{hours} hours" if hours >= 2 else f"{max(left // timedelta(minutes=1), 1)} minutes"
