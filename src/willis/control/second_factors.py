"""Setting up a second factor (TOTP, RFC 6238): a new secret counts once a code proves that the app has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyotp

from willis.control.changes import Refused
from willis.control.users import Users, step_of

_WAITS_S = 900.0


@dataclass(frozen=True, slots=True)
class _Begun:
    secret: str
    until: float


class SecondFactors:
    """Of one node. Used in the event loop's thread."""

    def __init__(self, users: Users, clock: Callable[[], float]) -> None:
        self._users = users
        self._clock = clock
        self._begun: dict[str, _Begun] = {}

    def begin(self, name: str, node: str) -> tuple[str, str]:
        """A secret for the user's app, and the same as an ``otpauth`` URI for a QR code."""
        secret = pyotp.random_base32()
        self._begun[name] = _Begun(secret, self._clock() + _WAITS_S)
        return secret, pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=f"Willis {node}")

    def confirm(self, name: str, code: str) -> tuple[str, ...]:
        """It counts from here on. Returns recovery codes, which nobody sees again. Raises Refused."""
        begun, now = self._begun.get(name), self._clock()
        if begun is None or now >= begun.until:
            raise Refused("no second factor waits for a code; begin again")
        step = step_of(begun.secret, code, now)
        if step is None:
            raise Refused("that is not the app's code now; check the clocks of the phone and of the node")
        del self._begun[name]
        return self._users.set_second_factor(name, begun.secret, step)
