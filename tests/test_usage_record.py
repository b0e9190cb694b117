"""The limits are kept in memory at once, and in a file every few seconds, one write at a time."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher

from chatmock.providers.chatgpt.usage_windows import Snapshot, from_json
from chatmock.usage_record import UsageRecord
from tests.conftest import fired

NOW = 1_785_060_000.0


class Threads:
    """Runs calls when the test says so; at once while nothing is held back."""

    def __init__(self) -> None:
        self.hold = False
        self.calls = 0
        self.held: list[Callable[[], None]] = []

    def __call__(self, call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        self.calls += 1
        if not self.hold:
            return maybeDeferred(call, *arguments)
        done: Deferred[Any] = Deferred()
        self.held.append(lambda: maybeDeferred(call, *arguments).chainDeferred(done))
        return done


@attrs.define
class Setup:
    path: Path
    clock: Clock = attrs.Factory(Clock)
    threads: Threads = attrs.Factory(Threads)
    account: str = "account-1"
    record: UsageRecord = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.again()

    def again(self) -> None:
        self.record = UsageRecord(
            self.path, lambda: self.account, self.clock, lambda: NOW + self.clock.seconds(), self.threads
        )

    def see(self, percent: float, family: str = "") -> None:
        self.record.observe({f"x-codex-{family}primary-used-percent": str(percent)})

    def advance(self, seconds: float) -> None:
        self.clock.pump([seconds, 0])

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.record.stop())

    def kept(self) -> float | None:
        return used(from_json(self.path.read_bytes())) if self.path.exists() else None


def used(snapshot: Snapshot | None) -> float | None:
    return None if snapshot is None else snapshot.windows.windows[0].used_percent


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    made = Setup(tmp_path / "state" / "usage_limits.json")
    yield made
    assert not made.threads.held
    assert not made.clock.getDelayedCalls()


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    found: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if event["log_level"] is LogLevel.warn and "path" in event:
            found.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


def test_the_newest_is_known_at_once_and_written_privately(setup: Setup) -> None:
    setup.see(10)
    assert used(setup.record.latest) == 10
    setup.advance(0)
    assert setup.kept() == 10
    assert stat.S_IMODE(setup.path.stat().st_mode) == 0o600
    assert [each.name for each in setup.path.parent.iterdir()] == [setup.path.name]


def test_other_answers_cost_nothing(setup: Setup) -> None:
    setup.path.parent.mkdir()
    setup.path.write_bytes(b"never looked at")
    setup.record.observe({"content-type": "text/event-stream"})
    setup.record.observe({"x-codex-plan-type": "plus"})
    assert setup.threads.calls == 0
    assert not setup.clock.getDelayedCalls()


def test_many_answers_are_one_write_in_five_seconds(setup: Setup) -> None:
    setup.see(1)
    setup.advance(0)
    for percent in range(2, 50):
        setup.see(percent)
    setup.advance(4.9)
    assert (setup.kept(), setup.threads.calls) == (1, 1)
    setup.advance(0.1)
    assert (setup.kept(), setup.threads.calls) == (49, 2)
    setup.advance(60)
    assert setup.threads.calls == 2


def test_stopping_writes_what_is_unwritten_and_nothing_follows(setup: Setup) -> None:
    setup.see(1)
    setup.advance(0)
    setup.see(2)
    fired(setup.stop())
    assert setup.kept() == 2
    setup.see(3)
    assert used(setup.record.latest) == 3
    setup.advance(60)
    assert (setup.kept(), setup.threads.calls) == (2, 2)


def test_stopping_writes_nothing_when_all_is_written(setup: Setup) -> None:
    fired(setup.stop())
    assert not setup.path.parent.exists()


def test_there_are_never_two_writes_at_a_time_and_stopping_waits(setup: Setup) -> None:
    setup.threads.hold = True
    setup.see(1)
    setup.advance(0)
    setup.see(2)
    setup.advance(60)
    assert len(setup.threads.held) == 1
    stopped, again = setup.stop(), setup.stop()
    assert len(setup.threads.held) == 1
    setup.threads.held.pop()()
    assert setup.kept() == 1
    assert not stopped.called
    setup.threads.held.pop()()
    assert setup.kept() == 2
    fired(stopped)
    fired(again)


def test_what_comes_during_a_slow_write_is_written_after_it(setup: Setup) -> None:
    setup.threads.hold = True
    setup.see(1)
    setup.advance(0)
    setup.see(2)
    setup.advance(3)
    setup.threads.held.pop()()
    setup.threads.hold = False
    setup.advance(1.9)
    assert setup.kept() == 1
    setup.advance(0.1)
    assert setup.kept() == 2


def test_a_streak_of_failures_is_logged_once_and_tried_again(setup: Setup, warnings: list[str]) -> None:
    setup.path.mkdir(parents=True)  # a folder cannot be replaced by a file
    (setup.path / "occupied").touch()
    setup.again()
    setup.record._loaded = True
    for percent in (1, 2):
        setup.see(percent)
        setup.advance(5)
        setup.advance(60)
    assert setup.threads.calls == 2
    assert len(warnings) == 1
    assert str(setup.path) in warnings[0]
    (setup.path / "occupied").unlink()
    setup.path.rmdir()
    fired(setup.stop())
    assert setup.kept() == 2


def test_a_new_streak_is_logged_again(setup: Setup, warnings: list[str]) -> None:
    for fails in (True, False, True):
        if fails:
            setup.path.unlink(missing_ok=True)
            setup.path.mkdir(parents=True)
        else:
            setup.path.rmdir()
        setup.record._loaded = True
        setup.see(1)
        setup.advance(5)
    assert len(warnings) == 2


def test_the_file_is_read_at_first_use(setup: Setup) -> None:
    setup.see(10)
    setup.see(20, "spark-")
    fired(setup.stop())
    setup.again()
    assert setup.record.latest == from_json(setup.path.read_bytes())
    setup.again()
    setup.see(30)
    latest = setup.record.latest
    assert latest is not None
    assert [(each.family, each.used_percent) for each in latest.windows.windows] == [("", 30), ("spark", 20)]
    fired(setup.stop())


@pytest.mark.parametrize("make", ["absent", "rubbish", "folder"])
def test_a_file_that_is_none_is_nothing_known(setup: Setup, make: str, warnings: list[str]) -> None:
    setup.path.parent.mkdir()
    if make == "rubbish":
        setup.path.write_bytes(b"[]")
    elif make == "folder":
        setup.path.mkdir()
    assert setup.record.latest is None
    assert setup.record.latest is None
    assert len(warnings) == (0 if make == "absent" else 1)


def test_another_account_has_limits_of_its_own(setup: Setup) -> None:
    setup.see(80.0, "bengalfox-")
    setup.see(70.0)
    setup.account = "account-2"
    assert setup.record.latest is None
    setup.see(5.0)
    snapshot = setup.record.latest
    assert snapshot is not None
    assert [window.used_percent for window in snapshot.windows.windows] == [5.0]
    setup.advance(5)
    setup.again()
    assert used(setup.record.latest) == 5.0
    setup.account = "account-1"
    assert setup.record.latest is None
