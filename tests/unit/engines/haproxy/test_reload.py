"""When a reload is done: the new worker serves, and the one before takes nothing any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from willis.engines.haproxy import driver
from willis.engines.haproxy.driver import HaproxyEngine
from willis.engines.haproxy.runtime import Master, Workers
from willis.engines.haproxy.write import stamp_of
from willis.engines.port import EngineError

TEXT = "a text"
BEFORE = Workers(reloads=1, failed=0, current=7, old=())
AFTER = Workers(reloads=2, failed=0, current=8, old=(7,))


class Told(Master):
    """A master and its runtime socket: what they say, one after another, the last of it for ever."""

    def __init__(self, *infos: str | None, workers: Workers = AFTER) -> None:
        super().__init__(Path("nowhere"))
        self.asked: list[int] = []
        self._infos: Iterator[str | None] = iter(infos)
        self._last: str | None = None
        self._workers = workers

    def workers(self) -> Workers:
        return self._workers

    def ask(self, worker: int, command: str) -> str:
        assert command == "show info"
        self.asked.append(worker)
        self._last = next(self._infos, self._last)
        if self._last is None:
            raise EngineError("HAProxy does not answer")
        return f"Pid: {worker}\nStopping: {self._last}\n"

    def info(self) -> dict[str, str]:
        return {"description": stamp_of(TEXT)}


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short: unix sockets lie below it."""
    return tmp_path_factory.mktemp("h")


def took(path: Path, told: Told) -> bool:
    engine = HaproxyEngine(path, path)
    engine._master = engine._runtime = told  # type: ignore[assignment]
    return engine._took(TEXT, BEFORE)


def test_it_is_done_once_the_worker_before_has_stopped_listening(home: Path) -> None:
    """Both listen on the same sockets: it could take a client or a command of ours."""
    told = Told("0", "0", None, "1")
    assert took(home, told)
    assert told.asked == [7] * 4


def test_it_is_done_when_the_worker_before_is_gone(home: Path) -> None:
    told = Told(workers=Workers(2, 0, 8, ()))
    assert took(home, told)
    assert told.asked == []


def test_a_worker_that_hangs_makes_no_failure_of_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_READY_S", 0.1)
    assert took(home, Told("0"))


def test_what_haproxy_refuses_did_not_happen(home: Path) -> None:
    assert not took(home, Told(workers=Workers(2, 1, 7, ())))
