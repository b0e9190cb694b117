"""The kept answers as the daemon has them: at once, written behind, and in spite of a disk that takes none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher

from chatmock.kept_answers import live
from chatmock.kept_answers.database import KEPT_FILE, KeptFailed
from chatmock.kept_answers.entries import DAY, Bounds, KeptAnswer
from chatmock.kept_answers.live import KeptAnswers
from chatmock.kept_answers.store import AnswerFile
from chatmock.threads import Threads
from tests.conftest import fired

NOW = 1_700_000_000.0


def answer(id: str, size: int = 10, created: float = NOW) -> KeptAnswer:
    return KeptAnswer("me", id, created, b"[]", b"s" * size)


class Steps:
    """Runs what blocks when it is told to, in place of threads."""

    def __init__(self) -> None:
        self._next: list[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred(lambda _: None)
        self._next.append((done, function, arguments))
        return done

    @property
    def waiting(self) -> list[str]:
        return [function.__name__ for _, function, _ in self._next]

    def step(self) -> None:
        done, function, arguments = self._next.pop(0)
        try:
            result = function(*arguments)
        except Exception:  # noqa: BLE001
            done.errback()
        else:
            done.callback(result)

    def run(self) -> None:
        while self._next:
            self.step()


class Trial:
    """Kept answers by the clock and by steps."""

    def __init__(self, folder: Path, days: float = 30, most_bytes: int = 2**20) -> None:
        self.path = folder / "state" / KEPT_FILE
        self.bounds = Bounds(days * DAY, most_bytes)
        self.clock = Clock()
        self.steps = Steps()
        self.wall = NOW
        self.kept = KeptAnswers(self.path, self.bounds, self.clock, self.steps, lambda: self.wall)

    def find(self, id: str, owner: str = "me") -> Any:
        found = Deferred.fromCoroutine(self.kept.find(owner, id))
        self.steps.run()
        return fired(found)

    def stop(self) -> None:
        stopped = Deferred.fromCoroutine(self.kept.stop())
        self.steps.run()
        fired(stopped)

    def in_file(self, id: str) -> bool:
        file = AnswerFile(self.path, self.bounds, pytest.fail)
        try:
            return file.find("me", id, self.wall) is not None
        finally:
            file.close()


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What is logged as a warning or worse."""
    lines: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if event["log_level"] >= LogLevel.warn and event["log_namespace"].startswith("chatmock.kept"):
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def test_it_is_found_before_it_is_written(trial: Trial) -> None:
    trial.kept.keep(answer("a"))
    assert fired(Deferred.fromCoroutine(trial.kept.find("me", "a"))) == answer("a")
    assert not trial.in_file("a")
    trial.steps.run()
    assert trial.in_file("a")
    assert trial.find("a") == answer("a")
    assert trial.find("a", "you") is None
    trial.stop()


def test_what_comes_during_a_write_is_written_by_the_next(trial: Trial) -> None:
    trial.kept.keep(answer("a"))
    trial.kept.keep(answer("b"))
    trial.kept.keep(answer("c"))
    assert trial.steps.waiting == ["write"]
    trial.steps.step()
    assert trial.steps.waiting == ["write"]
    assert fired(Deferred.fromCoroutine(trial.kept.find("me", "c"))) == answer("c")
    trial.steps.run()
    assert all(map(trial.in_file, "abc"))
    trial.stop()


def test_stopping_writes_what_waits_and_nothing_later(trial: Trial) -> None:
    trial.kept.start()
    trial.kept.keep(answer("a"))
    trial.kept.keep(answer("b"))
    trial.stop()
    assert all(map(trial.in_file, "ab"))
    trial.kept.keep(answer("c"))
    assert trial.steps.waiting == []
    assert trial.clock.getDelayedCalls() == []


def test_it_survives_a_restart(trial: Trial, tmp_path: Path) -> None:
    trial.kept.keep(answer("a"))
    trial.stop()
    again = Trial(tmp_path)
    assert again.find("a") == answer("a")
    again.stop()


def test_a_disk_that_takes_nothing_is_told_once_and_memory_serves(trial: Trial, told: list[str]) -> None:
    trial.path.mkdir(parents=True)
    for id in "abc":
        trial.kept.keep(answer(id))
        trial.steps.run()
    assert trial.find("b") == answer("b")
    assert trial.find("nothing") is None
    assert len(told) == 1
    assert "CHATGPT_LOCAL_HOME" in told[0]
    assert "sssss" not in told[0]
    trial.path.rmdir()
    trial.kept.keep(answer("d"))
    trial.steps.run()
    assert all(map(trial.in_file, "abcd"))
    trial.stop()


def test_what_waits_is_bounded(trial: Trial, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_WAITING", 2500)
    trial.path.mkdir(parents=True)
    for id in "abc":
        trial.kept.keep(answer(id, 1000))
        trial.steps.run()
    assert [trial.find(id) is not None for id in "abc"] == [False, True, True]
    trial.stop()


def test_one_that_is_larger_than_a_clients_share_is_not_kept(tmp_path: Path) -> None:
    trial = Trial(tmp_path, most_bytes=4000)
    assert trial.kept.holds(1000)
    assert not trial.kept.holds(1001)
    trial.kept.keep(answer("a", 1000))
    assert trial.find("a") is None
    trial.stop()
    assert not trial.path.exists()


def test_what_is_long_is_compressed_in_a_thread(trial: Trial) -> None:
    short = Deferred.fromCoroutine(trial.kept.pack(b"[" + b"1," * 10_000 + b"1]"))
    assert len(fired(short)) < 1000
    text = b"[" + b"1," * 500_000 + b"1]"
    long = Deferred.fromCoroutine(trial.kept.pack(text))
    assert trial.steps.waiting == ["packed"]
    trial.steps.run()
    kept = fired(long)
    assert len(kept) < 10_000
    assert KeptAnswer("me", "a", NOW, kept, b"{}").items == text


def test_what_waits_grows_old_too(trial: Trial) -> None:
    trial.kept.keep(answer("a"))
    trial.wall += 30 * DAY
    assert trial.find("a") is None
    trial.stop()


def test_what_is_too_old_goes_while_nothing_is_asked(trial: Trial) -> None:
    trial.kept.keep(answer("a"))
    trial.steps.run()
    trial.kept.start()
    trial.steps.run()
    size = trial.path.stat().st_size
    trial.wall += 31 * DAY
    trial.clock.advance(3600)
    assert trial.steps.waiting == ["forget_old"]
    trial.steps.run()
    trial.wall = NOW
    assert not trial.in_file("a")
    assert size
    trial.stop()


def test_days_of_zero_keep_nothing_and_remove_what_there_was(trial: Trial, tmp_path: Path) -> None:
    trial.kept.keep(answer("a"))
    trial.stop()
    none = Trial(tmp_path, days=0)
    assert not none.kept.keeps
    none.kept.start()
    none.kept.keep(answer("b"))
    assert none.find("b") is None
    none.stop()
    assert list(none.path.parent.iterdir()) == []


def test_forgetting_also_what_is_being_written(trial: Trial) -> None:
    trial.kept.keep(answer("a"))
    forgotten = Deferred.fromCoroutine(trial.kept.forget("me", "a"))
    trial.steps.run()
    assert fired(forgotten)
    assert not trial.in_file("a")
    assert trial.find("a") is None
    again = Deferred.fromCoroutine(trial.kept.forget("me", "a"))
    trial.steps.run()
    assert not fired(again)
    trial.stop()


def test_what_cannot_be_forgotten_is_told(trial: Trial) -> None:
    trial.kept.keep(answer("a"))
    trial.stop()
    trial.path.rename(trial.path.with_name("elsewhere"))
    trial.path.mkdir()
    failed = Deferred.fromCoroutine(trial.kept.forget("me", "a"))
    trial.steps.run()
    with pytest.raises(KeptFailed):
        fired(failed)


def test_who_leaves_while_it_is_looked_for_disturbs_nobody(trial: Trial) -> None:
    trial.kept.keep(answer("a"))
    trial.steps.run()
    leaves = Deferred.fromCoroutine(trial.kept.find("me", "a"))
    stays = Deferred.fromCoroutine(trial.kept.find("me", "a"))
    assert trial.steps.waiting == ["find"], "one at a time"
    leaves.cancel()
    with pytest.raises(CancelledError):
        fired(leaves)
    assert trial.steps.waiting == ["find"], "the file is still used by who has left"
    trial.steps.run()
    assert fired(stays) == answer("a")
    trial.stop()


@pytest_twisted.ensureDeferred
async def test_in_threads(tmp_path: Path) -> None:
    threads = Threads(reactor, 2)
    path = tmp_path / "state" / KEPT_FILE
    kept = KeptAnswers(path, Bounds(DAY, 2**20), reactor, threads)
    kept.start()
    for number in range(20):
        kept.keep(KeptAnswer("me", f"{number}", kept.now(), b"[]", b"{}"))
    assert await kept.find("me", "7") is not None
    await kept.stop()
    threads.stop()
    again = AnswerFile(path, Bounds(DAY, 2**20), pytest.fail)
    assert again.find("me", "19", kept.now()) is not None
    again.close()
