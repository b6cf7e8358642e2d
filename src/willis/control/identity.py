"""Who may come in: passwords, second factors, sessions and tokens of one node.

The engine asks this for every request; the web process in front of it only hands on what
the client sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from willis.control.backoff import Backoff
from willis.control.changes import Refused, Unknown
from willis.control.database import Database
from willis.control.passwords import Busy, Passwords
from willis.control.second_factors import SecondFactors
from willis.control.sessions import ABSOLUTE_S, IDLE_S, Sessions
from willis.control.setup import SetupCode
from willis.control.tokens import PREFIX, TokenRefused, Tokens
from willis.control.users import Users
from willis.control.vouched import Person, Unproved
from willis.model.identity import NAME, Caller, Grant, Role, User, Way
from willis.plan.passwords import weakness
from willis.plan.rights import is_admin

Vouching = Callable[[str, str], Coroutine[None, None, Person] | None]
"""Asks a directory for a name and a password; None: there is none. May raise Unproved, Refused, Busy."""

LOCAL = "local"
SESSION_SCHEME = "Willis-Session"
_TOKEN_SCHEME = "Bearer"  # noqa: S105 - a word, no secret
_FREE_OF_NAME, _FREE_OF_ADDRESS = 5, 20
"""Wrong tries without a wait; behind one address there may be a whole department."""


class NotKnown(Exception):
    """What a client sent proves nobody; the text says why, and never repeats it."""


class SignInFailed(NotKnown):
    """The name, the password or the code is wrong; which one is not said."""


class SecondFactorNeeded(NotKnown):
    """The password is right, and a code is missing."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that has just begun."""

    key: str
    """Its id: whoever has it is in."""
    name: str
    idle_s: float = IDLE_S
    absolute_s: float = ABSOLUTE_S


class Identity:
    """Of one node. Made and used in the event loop's thread."""

    def __init__(
        self, database: Database, clock: Callable[[], float] = time.time, passwords: Passwords | None = None
    ) -> None:
        self._clock = clock
        self.users = Users(database)
        self.sessions = Sessions(database, clock)
        self.tokens = Tokens(database, clock)
        self.second_factors = SecondFactors(self.users, clock)
        self.passwords = passwords or Passwords()
        self.directory: Vouching | None = None
        self._setup = SetupCode(database.path.with_name("setup-code"))
        self._names, self._addresses = Backoff(_FREE_OF_NAME, clock), Backoff(_FREE_OF_ADDRESS, clock)

    def start(self) -> None:
        """Where nobody is known yet, say how the first administrator gets in. Raises StoreError."""
        if self.setup_needed():
            self._setup.announce(self._setup.there() or self._setup.renew())
        else:
            self._setup.forget()

    def caller(self, authorization: str, source: str) -> Caller:
        """Whom an Authorization header (RFC 9110, 11.6.2) proves. Raises NotKnown."""
        scheme, _, secret = authorization.partition(" ")
        if scheme.casefold() == SESSION_SCHEME.casefold():
            session = self.sessions.use(secret)
            if session is None:
                raise NotKnown("the session has ended; sign in again")
            return Caller(session.name, Way.SESSION, session.grants, source)
        if scheme.casefold() == _TOKEN_SCHEME.casefold() and secret.startswith(PREFIX):
            try:
                token = self.tokens.use(secret, source)
            except TokenRefused as error:
                raise NotKnown(str(error)) from error
            return Caller(f"token:{token.name}", Way.TOKEN, token.grants, source)
        raise NotKnown(f"send '{_TOKEN_SCHEME} {PREFIX}…' or '{SESSION_SCHEME} …' as Authorization")

    def still(self, authorization: str, source: str) -> bool:
        """Whether what proved somebody once does so now; asking this does not count as a use of a session."""
        scheme, _, secret = authorization.partition(" ")
        if scheme.casefold() == SESSION_SCHEME.casefold():
            return self.sessions.holds(secret)
        try:
            self.caller(authorization, source)
        except NotKnown:
            return False
        return True

    def open_session(self, name: str, grants: tuple[Grant, ...], source: str, how: str) -> Opened:
        """For somebody who has proved who they are. ``how``: who vouched, ``local``, ``oidc`` or ``ldap``.

        Users of others carry that word before their name: a stranger's ``ann`` is not ours.
        """
        known = name if how == LOCAL else f"{how}:{name}"
        return Opened(self.sessions.open(known, grants, how, source), known)

    async def login(self, name: str, password: str, code: str | None, source: str) -> Opened:
        """Raises SignInFailed, SecondFactorNeeded, Slowed, Busy."""
        person = await self._elsewhere(name, password, source) if self.users.get(name) is None else None
        if person is not None:
            return self.open_session(person.name, person.grants, source, "ldap")
        await self.prove(name, password, code, source)
        user = self.users.get(name)
        if user is None:
            raise SignInFailed("the user has just been removed")
        return self.open_session(name, user.grants, source, LOCAL)

    async def _elsewhere(self, name: str, password: str, source: str) -> Person | None:
        """Whom a directory vouches for; None: there is none. Raises SignInFailed, Slowed, Refused, Busy."""
        asking = self.directory(name, password) if self.directory is not None else None
        if asking is None:
            return None
        address = _neighbourhood(source)
        try:
            self._addresses.begin(address)
            self._names.begin(name)
            person = await asking
        except Unproved as error:
            raise SignInFailed(str(error)) from error
        except (Refused, Busy):
            self._no_guess(name, address)
            raise
        finally:
            asking.close()
        self._names.forget(name)
        self._addresses.give_back(address)
        return person

    async def prove(self, name: str, password: str, code: str | None, source: str) -> None:
        """That somebody is the user ``name``. Raises SignInFailed, SecondFactorNeeded, Slowed, Busy."""
        address = _neighbourhood(source)
        self._addresses.begin(address)
        self._names.begin(name)
        kept = self.users.password(name)
        try:
            right = await self.passwords.fits(kept, password) and self.users.password(name) == kept
        except Busy:
            self._no_guess(name, address)
            raise
        if right and not code and self.users.second_factor(name) is not None:
            self._no_guess(name, address)
            raise SecondFactorNeeded("a code of the second factor is needed, or a recovery code")
        if right and self.users.second_factor(name) is not None:
            right = self.users.takes_code(name, code or "", self._clock())
        if not right:
            raise SignInFailed("name, password or code is wrong")
        self._names.forget(name)
        self._addresses.give_back(address)

    def _no_guess(self, name: str, address: str) -> None:
        self._names.give_back(name)
        self._addresses.give_back(address)

    def setup_needed(self) -> bool:
        """Whether nobody is known yet."""
        return not self.users.all()

    def new_setup_code(self) -> str:
        """Those before count no more. Raises Refused, StoreError."""
        if not self.setup_needed():
            raise Refused("there are users already; 'willis user add' makes another administrator")
        return self._setup.renew()

    async def set_up(self, code: str, name: str, password: str, source: str) -> Opened:
        """Make the first administrator. Raises SignInFailed, Slowed, Refused, Busy, StoreError."""
        if not self.setup_needed():
            raise Refused("there are users already; sign in")
        address = _neighbourhood(source)
        self._addresses.begin(address)
        if not self._setup.fits(code):
            raise SignInFailed(
                "the code is wrong; it is in the engine's log, 'willis setup-code' makes another"
            )
        self._addresses.give_back(address)
        grants = (Grant(Role.ADMIN),)
        hashed = await self._hashed(name, password)
        if not self.setup_needed():
            raise Refused("somebody else was faster; sign in")
        self.users.set(name, hashed, grants, self._clock())
        self._setup.forget()
        return self.open_session(name, grants, source, LOCAL)

    async def set_user(self, name: str, grants: tuple[Grant, ...] | None, password: str | None) -> User:
        """Make a user, or change what is given; their sessions end. Raises Refused, Busy, StoreError."""
        if self.users.get(name) is None and (grants is None or password is None):
            raise Refused(f"there is no user {name} yet; a new one needs a role and a password")
        hashed = None if password is None else await self._hashed(name, password)
        before = self.users.get(name)
        kept = hashed or self.users.password(name)
        wanted = grants if grants is not None or before is None else before.grants
        if kept is None or wanted is None:
            raise Refused(f"user {name} has just been removed")
        if before is not None and is_admin(before.grants) and not is_admin(wanted):
            self._leave_an_admin(name)
        self.users.set(name, kept, wanted, self._clock(), Sessions.ending(name))
        self._setup.forget()
        return self.user(name)

    async def change_password(self, name: str, old: str, new: str, source: str) -> None:
        """One's own; all sessions end. Raises SignInFailed, Slowed, Busy, Refused, StoreError."""
        await self.prove_again(name, old, source)
        await self.set_user(name, None, new)

    async def prove_again(self, name: str, password: str, source: str) -> None:
        """Of somebody who is in: the password only. Raises SignInFailed, Slowed, Busy, Refused."""
        self.user(name)
        with suppress(SecondFactorNeeded):
            await self.prove(name, password, None, source)

    def reset_second_factor(self, name: str) -> None:
        """Until another is set, the password is enough; sessions end. Raises Refused, StoreError."""
        self.user(name)
        self.users.drop_second_factor(name, Sessions.ending(name))

    def remove_user(self, name: str) -> None:
        """And end their sessions. Raises Refused."""
        if is_admin(self.user(name).grants):
            self._leave_an_admin(name)
        self.users.remove(name, Sessions.ending(name))

    def user(self, name: str) -> User:
        """Raises Unknown."""
        found = self.users.get(name)
        if found is None:
            raise Unknown(f"this node keeps no user {name}; see 'willis user list'")
        return found

    def _leave_an_admin(self, name: str) -> None:
        if not any(is_admin(user.grants) and user.name != name for user in self.users.all()):
            raise Refused(f"{name} is the last administrator; make another one first")

    async def _hashed(self, name: str, password: str) -> str:
        if not NAME.match(name):
            raise Refused("a user's name has 1 to 64 letters, digits and . _ @ -, and begins with no sign")
        if (weak := weakness(name, password)) is not None:
            raise Refused(weak)
        return await self.passwords.hash(password)


def _neighbourhood(source: str) -> str:
    """Whose tries are counted together: an address, of IPv6 its /64, which one machine has to itself."""
    try:
        address = ip_address(source)
    except ValueError:
        return source
    return str(ip_network((address, 64), strict=False)) if address.version == 6 else source
