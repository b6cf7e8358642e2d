"""Whatever editors, files and crashes do in turn: no entry of another is lost, and every edit arrives."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.control.test_changes import Killed, Node
from willis.config.edit import Edit, edited, entries
from willis.control import changesets as room
from willis.control.changes import Changes, Refused, Unknown, Wish
from willis.control.changesets import ChangeSet, ChangeSets, Clash
from willis.control.store import Revision
from willis.model.config import Config

BEGINNING = """\
version: 1
site: here
interfaces: {eth0: {addresses: [10.60.0.2/24]}}
hosts:
  vna1: 10.60.0.11    # room 1
services:
  # Whoever edits others leaves this alone.
  Archive: {vip: 10.60.0.101, ports: 104, forwarding: dr, pool: [vna1]}
"""
VIPS = {name: f"10.60.0.{101 + n}" for n, name in enumerate(("Archive", "Mwl"))}
NAMES = st.sampled_from(sorted(VIPS))
ANY = (None, 104, 105, 106)
PORTS = st.sampled_from(ANY)
"""None: the service goes."""


def service(name: str, ports: int | None) -> Any:
    kept = {"vip": VIPS[name], "ports": ports, "forwarding": "dr", "pool": ["vna1"]}
    return None if ports is None else kept


class Editors(RuleBasedStateMachine):
    """Several sets, whole documents and single entries, beside a model that knows only ports by service."""

    def __init__(self) -> None:
        super().__init__()
        self._home = tempfile.TemporaryDirectory()
        self.node = Node(Path(self._home.name))
        self.sets = ChangeSets(self.node.store)
        self.runs: dict[str, int | None] = {}
        """The ports of each service that is there."""
        self.staged: dict[int, dict[str, tuple[int | None, int | None]]] = {}
        """By set and service: the ports that its editor started from, and those that it shall have."""
        self.begun: dict[int, dict[str, int | None]] = {}

    def teardown(self) -> None:
        self.node.store.close()
        self._home.cleanup()

    @initialize()
    def begin(self) -> None:
        self.node.do(self.node.changes.apply(BEGINNING, Wish("me")))
        self.runs = {"Archive": 104}
        self.a_set_is_begun()

    @rule(name=NAMES, ports=PORTS)
    def somebody_else_applies(self, name: str, ports: int | None) -> None:
        document = edited(self.running().document, [Edit(("services", name), service(name, ports))])
        self.node.do(self.node.changes.apply(document, Wish("other", force=True)))
        self.runs[name] = ports

    @precondition(lambda self: any(self.staged.values()))
    @rule(data=st.data())
    def somebody_else_changes_the_same(self, data: st.DataObject) -> None:
        edits = data.draw(st.sampled_from([each for each in self.staged.values() if each]))
        name = data.draw(st.sampled_from(sorted(edits)))
        others = [ports for ports in ANY if ports not in edits[name]]
        self.somebody_else_applies(name, data.draw(st.sampled_from(others)))

    @precondition(lambda self: len(self.staged) < 2)
    @rule()
    def a_set_is_begun(self) -> None:
        number = self.sets.begin("ann", "").number
        self.staged[number], self.begun[number] = {}, dict(self.runs)

    @precondition(lambda self: self.staged)
    @rule(data=st.data(), name=NAMES, ports=PORTS, crash=st.booleans())
    def an_edit_is_staged(self, data: st.DataObject, name: str, ports: int | None, crash: bool) -> None:
        number, found = self.chosen(data)
        self.stage(number, found, name, ports)
        if crash:
            self.crash()

    @precondition(lambda self: any(self.staged.values()))
    @rule(data=st.data(), ports=PORTS)
    def an_edit_is_staged_once_more(self, data: st.DataObject, ports: int | None) -> None:
        number = data.draw(st.sampled_from([each for each in self.staged if self.staged[each]]))
        name = data.draw(st.sampled_from(sorted(self.staged[number])))
        self.stage(number, self.sets.find(number), name, ports)

    def stage(self, number: int, found: ChangeSet, name: str, ports: int | None) -> None:
        edits = self.staged[number]
        work = self.sets.stage(found, ("services", name), service(name, ports), found.tag(self.running()))
        if ports is None and self.runs.get(name) is None and (name not in edits or edits[name][1] is None):
            with pytest.raises(Unknown):
                self.node.do(work)
            return
        self.node.do(work)
        if name not in edits:
            was = self.begun[number].get(name)
        else:
            was = self.runs.get(name) if name in self.conflicts(number) else edits[name][0]
        edits[name] = (was, ports)
        if was == ports:
            del edits[name]

    @precondition(lambda self: self.staged)
    @rule(data=st.data(), crash=st.sampled_from(["", "", "before", "after"]))
    def a_set_is_applied(self, data: st.DataObject, crash: str) -> None:
        number, found = self.chosen(data)
        self.node.engine.dies = crash
        try:
            self.node.do(self.sets.apply(found, Wish("ann", force=True), self.node.changes.apply))
        except Clash as clash:
            named = {problem.path.removeprefix("services.") for problem in clash.problems}
            assert named == self.conflicts(number) != set()
            self.node.engine.dies = ""
        except Killed:
            self.crash()
        else:
            assert not self.conflicts(number)
            self.runs |= {name: ports for name, (_, ports) in self.staged.pop(number).items()}
            self.node.engine.dies = ""

    @precondition(lambda self: self.staged)
    @rule(data=st.data())
    def a_set_is_discarded(self, data: st.DataObject) -> None:
        number, found = self.chosen(data)
        self.sets.discard(found)
        del self.staged[number]

    def crash(self) -> None:
        self.node.crash()
        self.sets = ChangeSets(self.node.store)

    @invariant()
    def what_runs_is_what_everybody_asked_for(self) -> None:
        if self.runs:
            said = entries(self.running().document)
            there = {name: each["ports"] for name, each in said["services"].items()}
            assert there == {name: ports for name, ports in self.runs.items() if ports is not None}
            assert "# room 1" in self.running().document

    @invariant()
    def sets_are_as_they_were_left(self) -> None:
        kept = {
            each.number: {
                e.path[1]: tuple(side and side["ports"] for side in (e.was, e.value)) for e in each.edits
            }
            for each in self.sets.all()
        }
        assert kept == self.staged

    def chosen(self, data: st.DataObject) -> tuple[int, ChangeSet]:
        number = data.draw(st.sampled_from(sorted(self.staged)))
        return number, self.sets.find(number)

    def conflicts(self, number: int) -> set[str]:
        edits = self.staged[number].items()
        return {name for name, sides in edits if self.runs.get(name) not in sides}

    def running(self) -> Revision:
        found = self.node.store.running()
        assert found is not None
        return found


TestEditors = Editors.TestCase
TestEditors.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    found = Node(tmp_path)
    found.do(found.changes.apply(BEGINNING, Wish("me")))
    return found


def test_sets_are_bounded_and_each_refusal_says_what_helps(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = ChangeSets(node.store)
    monkeypatch.setattr(room, "MOST", 3)
    monkeypatch.setattr(room, "MOST_OF_ONE", 2)
    first = sets.begin("ann", "")
    sets.begin("ann", "")
    with pytest.raises(Refused, match="2 of ann wait.*apply or discard one"):
        sets.begin("ann", "")
    sets.begin("bob", "")
    with pytest.raises(Refused, match="3 change sets wait"):
        sets.begin("eve", "")

    def stage(name: str) -> Any:
        found = sets.find(first.number)
        tag = found.tag(node.store.running() or pytest.fail())
        return node.do(sets.stage(found, ("hosts", name), "10.60.0.12", tag))

    monkeypatch.setattr(room, "MOST_EDITS", 1)
    stage("vna2")
    with pytest.raises(Refused, match="at most 1 edits"):
        stage("vna3")
    monkeypatch.setattr(room, "MOST_EDITS", 10)
    monkeypatch.setattr(room, "LARGEST", 60)
    with pytest.raises(Refused, match="60 characters"):
        stage("vna3")
    assert [edit.path for edit in sets.find(first.number).edits] == [("hosts", "vna2")]


def test_an_edit_that_comes_while_the_set_is_applied_is_kept(node: Node) -> None:
    sets = ChangeSets(node.store)

    async def story() -> None:
        found = sets.begin("ann", "")
        running = node.store.running()
        assert running is not None
        found = (await sets.stage(found, ("hosts", "vna2"), "10.60.0.12", found.tag(running))).found

        async def apply(document: str, wish: Wish) -> Revision:
            await sets.stage(found, ("hosts", "vna3"), "10.60.0.13", found.tag(running))
            return await node.changes.apply(document, wish)

        await sets.apply(found, Wish("ann"), apply)
        now = await sets.look(sets.find(found.number))
        assert now.conflicts == ()
        assert set(entries(now.document)["hosts"]) == {"vna1", "vna2", "vna3"}

    node.do(story())


def test_what_is_confirmed_or_undone_meanwhile_is_not_undone_again(node: Node) -> None:
    changes: Changes = node.changes
    node.do(changes.apply(BEGINNING.replace("104", "105"), Wish("ann")))
    node.do(changes.apply(BEGINNING.replace("104", "106"), Wish("ann", confirm_s=60)))
    seen = changes.trial()
    node.do(changes.confirm(seen))
    for late in (changes.undo("ann", seen), changes.confirm(seen)):
        with pytest.raises(Refused):
            node.do(late)
    assert "106" in (node.store.running() or pytest.fail()).document


def test_without_a_document_there_is_nothing_to_gather_edits_on(tmp_path: Path) -> None:
    fresh = Node(tmp_path)
    assert fresh.loop.config == Config()
    with pytest.raises(Unknown, match="no document yet"):
        ChangeSets(fresh.store).begin("ann", "")
