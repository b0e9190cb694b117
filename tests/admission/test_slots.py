"""Permits are conserved, whatever comes between asking for one and giving it back, and nobody has more than its share."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from chatmock.admission.client import Client, Key
from chatmock.admission.fair_queue import PASSED_OVER, FairQueue, Place
from chatmock.admission.queue_report import queue_body
from chatmock.admission.slots import Permit, Slots
from chatmock.errors import Kind, Refusal
from tests.conftest import fired

SOMEBODY = Client("192.0.2.1")


def make(running: int, waiting: int, patience: float, clock: Clock, of_one: int = 10_000) -> Slots:
    return Slots(running, FairQueue(waiting, of_one), patience, clock)


def ask(slots: Slots, client: Client | str = SOMEBODY) -> Deferred[Permit]:
    async def permit() -> Permit:
        return await slots.join(Client(client) if isinstance(client, str) else client).permit

    return Deferred.fromCoroutine(permit())


def test_a_free_permit_comes_at_once() -> None:
    slots = make(2, 0, 10, Clock())
    first, second = fired(ask(slots)), fired(ask(slots))
    assert slots.held == 2
    first.release()
    first.release()
    assert slots.held == 1
    second.release()
    assert slots.held == 0


def test_a_full_queue_refuses_with_a_retry_after() -> None:
    clock = Clock()
    slots = make(1, 1, 10, clock)
    permit = fired(ask(slots))
    clock.advance(4.2)
    waiting = ask(slots)
    with pytest.raises(Refusal, match="CHATMOCK_QUEUE_LIMIT") as caught:
        fired(ask(slots))
    assert caught.value.kind is Kind.RATE_LIMITED
    assert caught.value.retry_after == 9  # two turns of the 4.2 s that the running one has taken so far
    assert caught.value.more == {"queue_position": 2, "queue_length": 2}
    assert "place 2 of 2, about 9 s" in caught.value.message
    permit.release()
    clock.advance(0)
    fired(waiting).release()
    assert slots.held == 0


def test_no_queue_at_all() -> None:
    slots = make(1, 0, 10, Clock())
    permit = fired(ask(slots))
    with pytest.raises(Refusal):
        fired(ask(slots))
    permit.release()


def test_patience_ends() -> None:
    clock = Clock()
    slots = make(1, 5, 10, clock)
    permit = fired(ask(slots))
    waiting = ask(slots)
    clock.advance(9.99)
    assert slots.waiting == 1
    clock.advance(0.02)
    with pytest.raises(Refusal, match="CHATMOCK_QUEUE_TIMEOUT") as caught:
        fired(waiting)
    assert caught.value.more == {"queue_position": 1, "queue_length": 1}
    assert "place 1 of 1" in caught.value.message
    assert isinstance(caught.value.retry_after, int)
    assert caught.value.retry_after >= 1
    assert slots.waiting == 0
    permit.release()
    assert slots.held == 0


def test_cancelling_in_the_instant_of_the_grant_gives_the_permit_on() -> None:
    clock = Clock()
    slots = make(1, 5, 10, clock)
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
    slots = make(1, 2000, 1000, clock)
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


def test_the_estimate_follows_what_answers_have_taken() -> None:
    clock = Clock()
    slots = make(2, 10, 100, clock)
    permit, other = fired(ask(slots)), fired(ask(slots))
    clock.advance(30)
    permit.complete()
    permit.complete()
    fired(ask(slots))
    turns = [slots.join(SOMEBODY) for _ in range(3)]
    assert [turn.place for turn in turns] == [Place(0, 3, 15.0), Place(1, 3, 30.0), Place(2, 3, 45.0)]
    assert slots.report(SOMEBODY).mean_hold == 30
    other.release()
    assert turns[0].place is None
    clock.advance(0)
    assert [turn.place for turn in turns] == [None, Place(0, 2, 15.0), Place(1, 2, 30.0)]
    for turn in turns[1:]:
        turn.permit.addErrback(lambda _: None)
        turn.permit.cancel()


@pytest.mark.parametrize("end", [Permit.refund, Permit.release])
def test_only_an_answer_counts_in_the_estimate(end: Callable[[Permit], None]) -> None:
    clock = Clock()
    slots = make(1, 10, 100, clock)
    for seconds, how in ((60, Permit.complete), (0.05, end), (0.05, end)):
        permit = fired(ask(slots))
        clock.advance(seconds)
        how(permit)
        Permit.complete(permit)
        assert slots.held == 0
        assert slots.report(SOMEBODY).mean_hold == pytest.approx(60)


def test_a_clients_share_of_the_queue() -> None:
    slots = make(1, 10, 10, Clock(), of_one=2)
    permit = fired(ask(slots, "a"))
    waiting = [ask(slots, "b"), ask(slots, "b"), ask(slots, "c")]
    with pytest.raises(Refusal, match="CHATMOCK_CLIENT_QUEUE_LIMIT") as caught:
        fired(ask(slots, "b"))
    assert caught.value.more == {"queue_position": 4, "queue_length": 4}
    for each in waiting:
        each.addErrback(lambda _: None)
        each.cancel()
    permit.release()
    assert (slots.held, slots.waiting) == (0, 0)


def test_one_may_use_all_while_nobody_waits() -> None:
    slots = make(3, 10, 10, Clock())
    for _ in range(3):
        fired(ask(slots, "a"))
    assert slots.held == 3


def test_nobody_holds_all_while_another_waits() -> None:
    clock = Clock()
    slots = make(2, 100, 10_000, clock)
    held: list[Permit] = [fired(ask(slots, "a")), fired(ask(slots, "a"))]
    for name in ["a"] * 20 + ["b"] * 3:
        ask(slots, name).addCallback(held.append)
    seen = []
    while held:
        held.pop(0).release()
        clock.advance(0)
        seen.append("".join(sorted(permit.client.name for permit in held)))
    assert seen[:6] == ["ab", "ab", "ab", "ab", "ab", "ab"]
    assert seen[-2:] == ["a", ""]


def test_a_higher_class_does_not_hold_all_either() -> None:
    clock = Clock()
    slots = make(2, 100, 10_000, clock)
    high = Client("x", Key("high", priority=9))
    held: list[Permit] = [fired(ask(slots, high)), fired(ask(slots, high))]
    for who in (high, high, Client("low")):
        ask(slots, who).addCallback(held.append)
    held.pop(0).release()
    clock.advance(0)
    assert [permit.client.name for permit in held] == ["high", "low"]
    while held:
        held.pop().release()
        clock.advance(0)


def test_a_keys_own_concurrency() -> None:
    clock = Clock()
    slots = make(4, 10, 100, clock)
    capped = Client("x", Key("one", concurrency=1))
    held: list[Permit] = [fired(ask(slots, capped))]
    ask(slots, capped).addCallback(held.append)
    assert (slots.held, slots.waiting) == (1, 1)
    for _ in range(3):
        fired(ask(slots, "other"))  # who has no cap is served meanwhile
    clock.advance(1)
    assert (slots.held, slots.waiting, len(held)) == (4, 1, 1)
    held.pop().release()
    clock.advance(0)
    assert [permit.client.name for permit in held] == ["one"]


def test_a_refund_lets_the_next_request_come_sooner() -> None:
    clock = Clock()
    slots = make(1, 100, 10_000, clock)
    order: list[str] = []
    held: list[Permit] = [fired(ask(slots, "z"))]
    for name in "aaaabbbb":
        ask(slots, name).addCallback(held.append)
    while held:
        permit = held.pop()
        order.append(permit.client.name)
        if order == ["z", "a"]:
            permit.refund()
        permit.release()
        clock.advance(0)
    assert "".join(order) == "zabaababb"


def test_who_leaves_in_the_instant_of_the_grant_has_its_turn_back() -> None:
    clock = Clock()
    slots = make(1, 100, 10_000, clock)
    order: list[str] = []
    held: list[Permit] = [fired(ask(slots, "z"))]
    asked = [ask(slots, name).addCallbacks(held.append, lambda _: None) for name in "aaabbb"]
    held.pop().release()  # the first of a now has it, but has not been told
    asked[0].cancel()
    clock.advance(0)
    while held:
        permit = held.pop()
        order.append(permit.client.name)
        permit.release()
        clock.advance(0)
    assert "".join(order) == "baabb"


def test_fifty_requests_of_one_and_one_of_another() -> None:
    """The second client waits for one request of each other client at most."""
    clock = Clock()
    slots = make(1, 1000, 10_000, clock)
    held: list[Permit] = [fired(ask(slots, "greedy"))]
    for name in ["greedy"] * 50 + ["third"] * 10:
        ask(slots, name).addCallback(held.append)
    ask(slots, "modest").addCallback(held.append)
    served: list[str] = []
    while held:
        permit = held.pop()
        served.append(permit.client.name)
        permit.release()
        clock.advance(0)
    waited_for = Counter(served[1 : served.index("modest")])  # the first one had been running before
    assert waited_for == {"greedy": 1, "third": 1}
    assert len(served) == 62


def test_what_a_client_may_know() -> None:
    clock = Clock()
    slots = make(1, 7, 100, clock)
    first = fired(ask(slots, Client("192.0.2.7", Key("secret-laptop"))))
    clock.advance(12.3456)
    first.complete()
    fired(ask(slots, "192.0.2.8"))
    turns = [ask(slots, who) for who in ("192.0.2.9", SOMEBODY, SOMEBODY)]
    body = queue_body(slots.report(SOMEBODY))
    assert json.loads(body) == {
        "permits": 1, "held": 1, "waiting": 3, "limit": 7, "mean_hold_seconds": 12.346,
        "you": {"name": "192.0.2.1", "held": 0, "waiting": 2},
        "others": {"clients": 2, "held": 1, "waiting": 1},
    }  # fmt: skip
    assert not any(name in body for name in (b"192.0.2.7", b"192.0.2.8", b"192.0.2.9", b"laptop"))
    for turn in turns:
        turn.addErrback(lambda _: None)
        turn.cancel()


@attrs.frozen
class Habit:
    """How a client asks, in the simulated week."""

    client: Client
    every: float
    """Seconds between its bursts, on average."""
    burst: int
    leaves: float = 0.0
    """How likely it loses patience."""
    fails: float = 0.0


HABITS = [
    Habit(Client("10.0.0.1"), 14400, 120),
    Habit(Client("10.0.0.2"), 2400, 1),
    Habit(Client("10.0.0.3"), 240, 2, leaves=0.3),
    Habit(Client("10.0.0.4"), 3600, 6, fails=0.5),
    Habit(Client("10.0.0.5", Key("high", priority=3)), 360, 4),
    Habit(Client("10.0.0.6", Key("low", priority=-1)), 4800, 2),
    Habit(Client("10.0.0.7", Key("capped", concurrency=1)), 7200, 10),
]
WEEK = 7 * 86400.0


class Week:
    """A week of random arrivals; busy hours, idle hours."""

    def __init__(self, seed: int, running: int) -> None:
        self.chance = random.Random(seed)
        self.clock = Clock()
        self.running = running
        self.slots = make(running, 400, 6 * 3600, self.clock, of_one=130)
        self.outcomes: Counter[str] = Counter()
        self.longest: Counter[str] = Counter()
        """Seconds that a client's request waited."""
        self.overtaken: Counter[str] = Counter()
        """The most permits that others got while one waited as its client's first."""
        self.granted = 0
        self.granted_before: dict[str, int] = {}
        self.held: list[Permit] = []
        for habit in HABITS:
            self.clock.callLater(self.chance.expovariate(1 / habit.every), self.burst, habit)

    def burst(self, habit: Habit) -> None:
        for _ in range(self.chance.randint(1, habit.burst)):
            self.request(habit)
        if self.clock.seconds() < WEEK:
            self.clock.callLater(self.chance.expovariate(1 / habit.every), self.burst, habit)

    def request(self, habit: Habit) -> None:
        asked_at = self.clock.seconds()
        try:
            turn = self.slots.join(habit.client)
        except Refusal:
            self.outcomes["refused"] += 1
            return
        if turn.queued:
            self.granted_before.setdefault(habit.client.name, self.granted)
            if self.chance.random() < habit.leaves:
                self.clock.callLater(self.chance.uniform(0, 120), turn.permit.cancel)
        turn.permit.addCallback(self.serve, habit, asked_at, turn.queued)
        turn.permit.addErrback(self.unserved, habit)

    def serve(self, permit: Permit, habit: Habit, asked_at: float, queued: bool) -> None:
        name = habit.client.name
        self.granted += 1
        if queued:
            overtaken = self.granted - self.granted_before.pop(name) - 1
            if name != "capped":  # which others rightly overtake
                self.overtaken[name] = max(self.overtaken[name], overtaken)
            if self.slots.report(habit.client).own.waiting:
                self.granted_before[name] = self.granted
        self.longest[name] = max(self.longest[name], int(self.clock.seconds() - asked_at))
        self.held.append(permit)
        self.check(habit)
        self.clock.callLater(self.chance.expovariate(1 / 45), self.end, permit, habit)

    def end(self, permit: Permit, habit: Habit) -> None:
        self.held.remove(permit)
        failed = self.chance.random() < habit.fails
        self.outcomes["failed" if failed else "answered"] += 1
        (permit.refund if failed else permit.complete)()
        permit.release()

    def unserved(self, failure: Any, habit: Habit) -> None:
        failure.trap(CancelledError, Refusal)
        if not self.slots.report(habit.client).own.waiting:
            self.granted_before.pop(habit.client.name, None)
        self.outcomes["left" if failure.check(CancelledError) else "gave up"] += 1

    def check(self, habit: Habit) -> None:
        assert len(self.held) <= self.slots.held <= self.running
        if habit.client.key is not None and habit.client.key.concurrency == 1:
            assert sum(permit.client == habit.client for permit in self.held) == 1

    def run(self) -> None:
        while self.clock.calls:
            self.clock.advance(max(self.clock.calls[0].getTime() - self.clock.seconds(), 0))


@pytest.mark.parametrize(("seed", "running"), [(1, 1), (2, 2), (3, 4)])
def test_a_week(seed: int, running: int) -> None:
    week = Week(seed, running)
    week.run()
    assert (week.slots.held, week.slots.waiting, week.held) == (0, 0, [])
    assert week.outcomes["answered"] > 5_000
    assert week.outcomes["failed"] > 100
    assert week.outcomes["left"] > 0
    assert week.outcomes["gave up"] == 0, "somebody was starved"
    assert set(week.longest) == {habit.client.name for habit in HABITS}
    # One of each of the four others of the class, two of the one whose requests fail, and what the higher class and the
    # lower one get between those.
    assert max(week.overtaken.values()) <= 6 * (PASSED_OVER + 2)
    assert week.overtaken["high"] <= (3 if running == 1 else 12)  # it must leave a permit to others


steps = st.lists(
    st.tuples(st.sampled_from(["ask", "cancel", "release", "release", "wait", "turn"]), st.integers(0, 30)),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(running=st.integers(1, 4), limit=st.integers(0, 5), actions=steps)
def test_permits_are_conserved(running: int, limit: int, actions: list[tuple[str, int]]) -> None:
    clock = Clock()
    slots = make(running, limit, 5.0, clock)
    asked: list[Deferred[Any]] = []
    held: list[Permit] = []
    ended: list[str] = []

    def failed(failure: Any) -> None:
        ended.append(type(failure.value).__name__)

    for action, number in actions:
        if action == "ask":
            asked.append(ask(slots, "abc"[number % 3]).addCallbacks(held.append, failed))
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
