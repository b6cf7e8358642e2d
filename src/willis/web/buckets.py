"""How often an address may ask before it has proved who it is: token buckets. Pure.

The memory is bounded: strangers with many addresses push out one another, nobody else.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv6Address, ip_network

from willis.web.hosts import plain_address


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Buckets:
    """One bucket an address; of IPv6 one a /64, since a single machine has all of that."""

    def __init__(self, burst: int, per_second: float, most: int = 10_000) -> None:
        self._burst = burst
        self._per_second = per_second
        self._most = most
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Seconds until ``client`` may ask again; 0: now. ``now`` in seconds of a steady clock."""
        return max(0.0, (1 - self._filled(client, now).left) / self._per_second)

    def take(self, client: str, now: float) -> None:
        """It asked once without proof."""
        self._filled(client, now).left -= 1

    def _filled(self, client: str, now: float) -> _Bucket:
        key = _key(client)
        bucket = self._buckets.setdefault(key, _Bucket(self._burst, now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._per_second)
        bucket.at = now
        return bucket


class Proved:
    """Credentials that the engine took, by digest: nobody at their owner's address slows them."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._digests: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, credential: str) -> bool:
        return _digest(credential) in self._digests

    def add(self, credential: str) -> None:
        self._digests[_digest(credential)] = None
        self._digests.move_to_end(_digest(credential))
        if len(self._digests) > self._most:
            self._digests.popitem(last=False)

    def discard(self, credential: str) -> None:
        self._digests.pop(_digest(credential), None)


def _digest(credential: str) -> bytes:
    return sha256(credential.encode()).digest()


def _key(client: str) -> str:
    address = plain_address(client)
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)
