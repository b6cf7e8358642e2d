"""Any sequence of changes, confirmations, undoings and crashes leaves store, engines and document alike."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.builders import dr, seen, site
from willis.config import load, write
from willis.control import changes as room
from willis.control.changes import Changes, Refused, Wish
from willis.control.loop import Loop
from willis.control.store import Standing, Store
from willis.engines.addresses.compile import compile_vips
from willis.engines.memory import MemoryEngine
from willis.engines.port import EngineError
from willis.model.config import Config
from willis.plan.diff import Artefacts

T = TypeVar("T")

DOCUMENTS = [write(site(*(dr(f"S{n}", vip=101 + n) for n in range(count)))) for count in (1, 2, 3)]
REFUSED = write(site(dr("Bad", vip=120)))


class Killed(BaseException):
    """The process is gone at this very point."""


class Picky(MemoryEngine):
    """Refuses one VIP when it is applied; may die before or after a change."""

    dies: str = ""

    def apply(self, changes: Any) -> None:
        if any(change.key == "vip/10.60.0.120" for change in changes):
            raise EngineError("10.60.0.120 is taken by somebody else")
        if self.dies == "before":
            raise Killed
        super().apply(changes)
        if self.dies == "after":
            raise Killed


class Node:
    """A store and an engine that outlive the process, and the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = Picky("memory", compile_vips)
        self.now = 1000.0
        self.start()

    def start(self) -> None:
        self.store = Store(self.path / "willis.db")
        self.store.settle(self.now)
        running = self.store.running()
        config = Config() if running is None else load(running.document).config
        assert config is not None
        self.loop = Loop([self.engine], config, seen(config))
        self.changes = Changes(self.store, self.loop, lambda _: (), lambda: self.now)
        self.do(self.loop.converge())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(work)

    def crash(self) -> None:
        self.engine.dies = ""
        for keeper in self.loop.keepers:
            keeper.close()
        self.store.close()
        self.start()

    def held(self) -> Artefacts:
        return self.engine.observe()


class Story(RuleBasedStateMachine):
    """What an administrator and fate may do."""

    def __init__(self) -> None:
        super().__init__()
        self._home = tempfile.TemporaryDirectory()
        self.node = Node(Path(self._home.name))

    def teardown(self) -> None:
        self.node.store.close()
        self._home.cleanup()

    @initialize()
    def begin(self) -> None:
        self.node.do(self.node.changes.apply(DOCUMENTS[0], Wish("me")))

    @rule(document=st.sampled_from(DOCUMENTS), confirm_s=st.sampled_from([None, 60]))
    def apply(self, document: str, confirm_s: int | None) -> None:
        waits = self.node.store.trial() is not None
        try:
            self.node.do(self.node.changes.apply(document, Wish("me", confirm_s=confirm_s)))
        except Refused:
            assert waits
        else:
            assert not waits
            assert self.running() == document

    @rule()
    def apply_what_an_engine_refuses(self) -> None:
        before = self.running()
        with pytest.raises(Refused):
            self.node.do(self.node.changes.apply(REFUSED, Wish("me")))
        assert self.running() == before

    @rule()
    def confirm(self) -> None:
        before = self.running()
        try:
            self.node.do(self.node.changes.confirm())
        except Refused as refusal:
            assert "nothing waits" in str(refusal)
        assert self.running() == before
        assert self.node.store.trial() is None

    @rule()
    def undo(self) -> None:
        trial = self.node.store.trial()
        try:
            done = self.node.do(self.node.changes.undo("me"))
        except Refused as refusal:
            assert "no revision before" in str(refusal)
        else:
            assert trial is None or done.number == trial.base

    @rule(back=st.integers(0, 5))
    def restore(self, back: int) -> None:
        if self.node.store.trial() is None:
            history = [r for r in self.node.store.history() if r.state is not Standing.REFUSED]
            chosen = history[min(back, len(history) - 1)]
            self.node.do(self.node.changes.restore(chosen.number, Wish("me")))
            assert self.running() == chosen.document

    @rule()
    def crash(self) -> None:
        before = self.running()
        self.node.crash()
        assert self.running() == before

    @rule(document=st.sampled_from(DOCUMENTS), when=st.sampled_from(["before", "after"]))
    def crash_while_it_is_applied(self, document: str, when: str) -> None:
        before = self.running()
        self.node.engine.dies = when
        with suppress(Killed, Refused):
            self.node.do(self.node.changes.apply(document, Wish("me", confirm_s=60)))
        self.node.crash()
        assert self.running() in (before, document)

    @precondition(lambda self: self.node.store.trial() is not None)
    @rule(crash=st.sampled_from(["", "before", "after"]))
    def time_passes(self, crash: str) -> None:
        trial = self.node.store.trial()
        assert trial is not None
        base = self.node.store.revision(trial.base)
        assert base is not None
        self.node.now = trial.until
        self.node.engine.dies = crash
        with suppress(Killed):
            self.node.do(self.node.changes._over())
        if crash:
            self.node.crash()
        assert self.running() == base.document
        assert self.node.store.trial() is None

    @invariant()
    def store_document_and_engine_are_alike(self) -> None:
        config = load(self.running()).config if self.running() else Config()
        assert config is not None
        assert self.node.loop.config == config
        assert self.node.held() == compile_vips(config, seen(config))

    def running(self) -> str:
        found = self.node.store.running()
        return "" if found is None else found.document


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_trial_ends_by_itself_while_the_engine_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_TICK_S", 0.01)
    node = Node(tmp_path)
    node.do(node.changes.apply(DOCUMENTS[0], Wish("me")))
    before = dict(node.held())

    async def story() -> None:
        followed: list[str] = []
        node.changes.start(lambda trial: followed.append(str(trial.revision)))
        await node.changes.apply(DOCUMENTS[2], Wish("me", confirm_s=60))
        assert node.held() != before
        node.now += 60
        async with asyncio.timeout(20):
            while not followed:
                await asyncio.sleep(0.01)
        node.changes.close()

    node.do(story())
    assert node.held() == before
    newest = node.store.history()[0]
    assert (newest.state, newest.note) == (Standing.FORMER, "nobody confirmed it in time")


def test_the_first_document_cannot_be_on_trial(tmp_path: Path) -> None:
    node = Node(tmp_path)
    with pytest.raises(Refused, match="nothing that could return"):
        node.do(node.changes.apply(DOCUMENTS[0], Wish("me", confirm_s=60)))


def test_a_second_change_waits_for_the_first(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.do(node.changes.apply(DOCUMENTS[0], Wish("me")))
    node.do(node.changes.apply(DOCUMENTS[1], Wish("ann", confirm_s=60)))
    with pytest.raises(Refused, match="revision 2 by ann waits"):
        node.do(node.changes.apply(DOCUMENTS[2], Wish("bob")))
