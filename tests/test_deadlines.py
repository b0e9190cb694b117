"""A deadline that moves."""

from __future__ import annotations

from twisted.internet.task import Clock

from chatmock.deadlines import Deadline


def test_it_passes_once_and_when_it_is_time() -> None:
    clock, passed = Clock(), list[float]()
    deadline = Deadline(clock, lambda: passed.append(clock.seconds()))
    deadline.set(10)
    clock.pump([3, 3])
    deadline.set(10)  # further away
    clock.pump([3, 3, 3])
    assert passed == []
    clock.advance(1)
    assert passed == [16]
    clock.advance(100)
    assert passed == [16]
    assert clock.getDelayedCalls() == []


def test_it_may_come_nearer() -> None:
    clock, passed = Clock(), list[float]()
    deadline = Deadline(clock, lambda: passed.append(clock.seconds()))
    deadline.set(75)
    deadline.set(10)
    clock.advance(10)
    assert passed == [10]


def test_it_can_be_taken_away_and_set_again() -> None:
    clock, passed = Clock(), list[float]()
    deadline = Deadline(clock, lambda: passed.append(clock.seconds()))
    deadline.set(10)
    deadline.clear()
    clock.advance(5)
    deadline.set(20)
    clock.advance(19)
    assert passed == []
    clock.advance(1)
    assert passed == [25]
    deadline.set(1)
    deadline.clear()
    clock.advance(5)
    assert passed == [25]
    assert clock.getDelayedCalls() == []


def test_it_leaves_nothing_behind() -> None:
    clock, passed = Clock(), list[float]()
    deadline = Deadline(clock, lambda: passed.append(clock.seconds()))
    deadline.set(10)
    deadline.stop()
    deadline.stop()
    assert clock.getDelayedCalls() == []


def test_it_may_be_set_as_it_passes() -> None:
    clock, passed = Clock(), list[float]()

    def again() -> None:
        passed.append(clock.seconds())
        if len(passed) < 3:
            deadline.set(2)

    deadline = Deadline(clock, again)
    deadline.set(2)
    clock.pump([2, 2, 2, 2])
    assert passed == [2, 4, 6]
