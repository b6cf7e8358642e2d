"""Laws of sessions and tokens: what ended never opens again, and everything ends to the second."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from willis.control.database import Database
from willis.control.identity import Identity, NotKnown
from willis.control.sessions import ABSOLUTE_S, IDLE_S, digest
from willis.control.tokens import TokenWish
from willis.model.identity import Grant, Role

NAMES = st.sampled_from(["ann", "bob"])
STEPS = st.sampled_from([0.5, 1.0, 59.0, 61.0, 600.0, IDLE_S - 1, IDLE_S, 3600.0])
VIEWER = (Grant(Role.VIEWER),)


class WaysIn(RuleBasedStateMachine):
    """A model that knows only names and times beside the real thing on a real file."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.now = 1_800_000_000.0
        self.sessions: dict[str, tuple[str, float, float]] = {}
        """By id: whose, begun, seen. In the order they were opened: ids are chance."""
        self.tokens: dict[str, tuple[str, float]] = {}
        """By secret: the name and when it expires."""
        self.over: list[str] = []
        self._open()

    def _open(self) -> None:
        self.database = Database(Path(self.place.name) / "willis.db")
        self.identity = Identity(self.database, lambda: self.now)

    def teardown(self) -> None:
        self.database.close()
        self.place.cleanup()

    @rule(step=STEPS)
    def time_passes(self, step: float) -> None:
        self.now += step
        for key, (_, begun, seen) in list(self.sessions.items()):
            if self.now >= min(seen + IDLE_S, begun + ABSOLUTE_S):
                self._end(key)
        for secret, (_, expires) in list(self.tokens.items()):
            if self.now >= expires:
                self._end(secret)

    @rule(data=st.data(), early=st.sampled_from([0.0, 1.0]))
    def a_session_comes_to_its_end(self, data: st.DataObject, early: float) -> None:
        if self.sessions:
            _, begun, seen = data.draw(st.sampled_from(sorted(self.sessions.values())))
            self.time_passes(max(0.0, min(seen + IDLE_S, begun + ABSOLUTE_S) - early - self.now))

    @rule(name=NAMES)
    def somebody_signs_in(self, name: str) -> None:
        opened = self.identity.open_session(name, VIEWER, "192.0.2.7", "local")
        self.sessions[opened.key] = (name, self.now, self.now)

    @rule(data=st.data())
    def a_session_is_used(self, data: st.DataObject) -> None:
        if self.sessions:
            key = data.draw(st.sampled_from(list(self.sessions)))
            name, begun, _ = self.sessions[key]
            assert self.identity.caller(f"Willis-Session {key}", "192.0.2.7").name == name
            self.sessions[key] = (name, begun, self.now)

    @rule(data=st.data())
    def a_session_is_ended(self, data: st.DataObject) -> None:
        if self.sessions:
            key = data.draw(st.sampled_from(list(self.sessions)))
            self.identity.sessions.end(key)
            self._end(key)

    @rule(name=NAMES)
    def all_of_somebody_are_ended(self, name: str) -> None:
        mine = [key for key, (whose, _, _) in self.sessions.items() if whose == name]
        for session in self.identity.sessions.all(name):
            assert self.identity.sessions.end_of(session.handle, name)
        for key in mine:
            self._end(key)

    @rule(lasts=st.sampled_from([60.0, 600.0, 7200.0]), name=NAMES)
    def a_token_is_made(self, lasts: float, name: str) -> None:
        there = [secret for secret, (known, _) in self.tokens.items() if known == name]
        for secret in there:
            self._end(secret)
        self.identity.tokens.remove(name)
        secret_ = self.identity.tokens.make(TokenWish(name, VIEWER, lasts), "ann")
        assert secret_ is not None
        self.tokens[secret_] = (name, self.now + lasts)

    @rule()
    def the_engine_is_restarted(self) -> None:
        """A session may end earlier after that, by the minute in which its last use was not yet written."""
        self.database.close()
        self._open()
        for key in list(self.sessions):
            name, begun, seen = self.sessions[key]
            kept = next(
                (s for s in self.identity.sessions.all(name) if digest(key).startswith(s.handle)), None
            )
            if kept is None:
                assert self.now >= min(seen - 60 + IDLE_S, begun + ABSOLUTE_S)
                self._end(key)
            else:
                assert seen - 60 <= kept.seen <= seen
                self.sessions[key] = (name, begun, kept.seen)

    @invariant()
    def what_holds_is_listed(self) -> None:
        assert len(self.identity.sessions.all()) == len(self.sessions)

    @invariant()
    def tokens_hold_until_they_expire(self) -> None:
        for secret, (name, _) in self.tokens.items():
            assert self.identity.caller(f"Bearer {secret}", "192.0.2.7").name == f"token:{name}"

    @invariant()
    def what_is_over_opens_nothing(self) -> None:
        for secret in self.over:
            for scheme in ("Willis-Session", "Bearer"):
                try:
                    found = self.identity.caller(f"{scheme} {secret}", "192.0.2.7")
                except NotKnown:
                    continue
                raise AssertionError(f"{found} is in again")

    def _end(self, secret: str) -> None:
        self.sessions.pop(secret, None)
        self.tokens.pop(secret, None)
        self.over.append(secret)


TestWaysIn = WaysIn.TestCase
TestWaysIn.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
