"""Permits are conserved, whatever comes between asking for one and giving it back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from chatmock.admission.slots import Permit, Slots
from chatmock.errors import Kind, Refusal
from tests.conftest import fired


def ask(slots: Slots) -> Deferred[Permit]:
    return Deferred.fromCoroutine(slots.acquire())


def test_a_free_permit_comes_at_once() -> None:
    slots = Slots(2, 0, 10, Clock())
    first, second = fired(ask(slots)), fired(ask(slots))
    assert slots.held == 2
    first.release()
    first.release()
    assert slots.held == 1
    second.release()
    assert slots.held == 0


def test_a_full_queue_refuses_with_a_retry_after() -> None:
    clock = Clock()
    slots = Slots(1, 1, 10, clock)
    permit = fired(ask(slots))
    clock.advance(4.2)
    waiting = ask(slots)
    with pytest.raises(Refusal, match="CHATMOCK_QUEUE_LIMIT") as caught:
        fired(ask(slots))
    assert caught.value.kind is Kind.RATE_LIMITED
    assert caught.value.retry_after == 9  # two turns of the 4.2 s that the running one has taken so far
    permit.release()
    clock.advance(0)
    fired(waiting).release()
    assert slots.held == 0


def test_no_queue_at_all() -> None:
    slots = Slots(1, 0, 10, Clock())
    permit = fired(ask(slots))
    with pytest.raises(Refusal):
        fired(ask(slots))
    permit.release()


def test_patience_ends() -> None:
    clock = Clock()
    slots = Slots(1, 5, 10, clock)
    permit = fired(ask(slots))
    waiting = ask(slots)
    clock.advance(9.99)
    assert slots.waiting == 1
    clock.advance(0.02)
    with pytest.raises(Refusal, match="CHATMOCK_QUEUE_TIMEOUT"):
        fired(waiting)
    assert slots.waiting == 0
    permit.release()
    assert slots.held == 0


def test_cancelling_in_the_instant_of_the_grant_gives_the_permit_on() -> None:
    clock = Clock()
    slots = Slots(1, 5, 10, clock)
    permit = fired(ask(slots))
    granted, next_one = ask(slots), ask(slots)
    permit.release()  # granted now has it, but has not been told
    granted.cancel()
    with pytest.raises(CancelledError):
        fired(granted)
    clock.advance(0)
    fired(next_one).release()
    assert slots.held == 0
    assert clock.getDelayedCalls() == []


def test_a_long_queue_is_not_served_on_one_stack() -> None:
    clock = Clock()
    slots = Slots(1, 2000, 1000, clock)
    served = 0

    def serve(permit: Permit) -> None:
        nonlocal served
        served += 1
        permit.release()

    first = fired(ask(slots))
    for _ in range(2000):
        ask(slots).addCallback(serve)
    first.release()
    for _ in range(2001):
        clock.advance(0)
    assert served == 2000
    assert slots.held == 0


def test_retry_after_follows_what_answers_have_taken() -> None:
    clock = Clock()
    slots = Slots(2, 10, 100, clock)
    permit = fired(ask(slots))
    clock.advance(30)
    permit.release()
    assert slots.retry_after() == 15
    assert Slots(1, 1, 1, Clock()).retry_after() == 1


steps = st.lists(
    st.tuples(st.sampled_from(["ask", "cancel", "release", "release", "wait", "turn"]), st.integers(0, 30)),
    max_size=60,
)


@settings(max_examples=300)
@given(running=st.integers(1, 4), limit=st.integers(0, 5), actions=steps)
def test_permits_are_conserved(running: int, limit: int, actions: list[tuple[str, int]]) -> None:
    clock = Clock()
    slots = Slots(running, limit, 5.0, clock)
    asked: list[Deferred[Any]] = []
    held: list[Permit] = []
    ended: list[str] = []

    def failed(failure: Any) -> None:
        ended.append(type(failure.value).__name__)

    for action, number in actions:
        if action == "ask":
            asked.append(ask(slots).addCallbacks(held.append, failed))
        elif action == "cancel" and asked:
            asked[number % len(asked)].cancel()
        elif action == "release" and held:
            permit = held.pop(number % len(held))
            permit.release()
            permit.release()
        elif action == "wait":
            clock.advance(number / 10)
        else:
            clock.advance(0)
        assert slots.held <= running
        assert slots.waiting <= limit
    while held or slots.waiting or clock.getDelayedCalls():
        for permit in held:
            permit.release()
        held.clear()
        clock.advance(1)
    assert slots.held == 0
    assert set(ended) <= {"Refusal", "CancelledError"}
    for _ in range(running):
        fired(ask(slots))
    assert slots.held == running
