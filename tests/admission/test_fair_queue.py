"""Who is next: fair between clients, first come first served within one, and never never."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chatmock.admission.client import Client, Key
from chatmock.admission.fair_queue import PASSED_OVER, FairQueue, Place, QueueFull, Ticket


def client(name: str, priority: int = 0) -> Client:
    return Client("192.0.2.1", Key(name, priority=priority)) if priority else Client(name)


def queue(*names: str, most: int = 100, most_of_one: int = 100) -> FairQueue[Ticket]:
    filled: FairQueue[Ticket] = FairQueue(most, most_of_one)
    for name in names:
        filled.push(Ticket(client(name)))
    return filled


def served(waiting: FairQueue[Ticket]) -> str:
    """The names in the order in which they are served."""
    return "".join(ticket.client.name for ticket in iter(waiting.pop, None))


@pytest.mark.parametrize(
    ("came", "served_as"),
    [("aaa", "aaa"), ("ab", "ab"), ("aaaab", "abaaa"), ("aaabbbc", "abcabab"), ("", "")],
)
def test_each_client_has_one_a_round(came: str, served_as: str) -> None:
    assert served(queue(*came)) == served_as


def test_first_come_first_served_within_one() -> None:
    waiting, tickets = queue(), [Ticket(client("a")) for _ in range(5)]
    for ticket in tickets:
        waiting.push(ticket)
    assert list(iter(waiting.pop, None)) == tickets


def test_who_comes_while_others_wait_waits_for_one_of_each() -> None:
    waiting = queue(*"a" * 50, *"b" * 50)
    for _ in range(7):
        waiting.pop()
    late = Ticket(client("c"))
    waiting.push(late)
    assert waiting.ahead(late) == 2
    assert [waiting.pop() for _ in range(3)][-1] is late


def test_a_refund_is_one_more_turn_however_often_it_is_given() -> None:
    waiting = queue(*"aaaaaabbbbbb")
    first = waiting.pop()
    assert first is not None
    for _ in range(5):
        waiting.refund(first)
    assert served(waiting) == "baababababb"


def test_a_refund_waits_for_the_clients_next_request() -> None:
    waiting = queue(*"abbbb")
    first = waiting.pop()
    assert first is not None
    waiting.refund(first)
    for _ in range(2):
        waiting.push(Ticket(client("a")))
    assert served(waiting) == "baabbb"


def test_refunds_go_with_the_queue() -> None:
    waiting = queue(*"ab")
    first = waiting.pop()
    assert first is not None
    waiting.refund(first)
    assert served(waiting) == "b"
    for name in "baabb":
        waiting.push(Ticket(client(name)))
    assert served(waiting) == "babab"


def test_refunds_of_many_names_are_bounded() -> None:
    waiting = queue(*map(str, range(3000)), "b", most=4000)
    for _ in range(3000):
        ticket = waiting.pop()
        assert ticket is not None
        waiting.refund(ticket)
    assert len(waiting._refunded) <= 1024


def test_a_higher_class_goes_first_and_a_lower_one_in_the_end() -> None:
    waiting = queue()
    for name, priority in (("l", 0), ("h", 5), ("m", 2)):
        for _ in range(30):
            waiting.push(Ticket(client(name, priority)))
    order = served(waiting)
    assert order.startswith("h" * PASSED_OVER + "ml" + "h" * PASSED_OVER)
    for low in "lm":
        places = [place for place, name in enumerate(order[:60]) if name == low]
        assert all(later - sooner <= PASSED_OVER + 3 for sooner, later in pairwise(places))


def test_who_may_not_be_served_is_passed_by() -> None:
    waiting = queue(*"aabb")
    for left in (1, 0):
        ticket = waiting.pop(lambda t: t.client.name == "b")
        assert ticket is not None
        assert (ticket.client.name, waiting.count("b")) == ("b", left)
    assert waiting.pop(lambda t: t.client.name == "b") is None
    assert served(waiting) == "aa"


def test_room() -> None:
    waiting = queue(*"aab", most=4, most_of_one=2)
    with pytest.raises(QueueFull) as caught:
        waiting.push(Ticket(client("a")))
    assert caught.value.own
    waiting.push(Ticket(client("c")))
    with pytest.raises(QueueFull) as caught:
        waiting.push(Ticket(client("d")))
    assert not caught.value.own
    assert len(waiting) == 4


def test_one_replay_tells_all_places_until_the_queue_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    replays = 0
    copy = FairQueue._copy

    def counted(self: FairQueue[Ticket]) -> FairQueue[Ticket]:
        nonlocal replays
        replays += 1
        return copy(self)

    monkeypatch.setattr(FairQueue, "_copy", counted)
    waiting, tickets = queue(), [Ticket(client(name)) for name in "aaabbc"]
    for ticket in tickets:
        waiting.push(ticket)
    for _ in range(3):
        assert [waiting.ahead(ticket) for ticket in tickets] == [0, 3, 5, 1, 4, 2]
    assert replays == 1
    assert waiting.pop() is tickets[0]
    assert [waiting.ahead(ticket) for ticket in tickets[1:]] == [2, 4, 0, 3, 1]
    waiting.refund(tickets[0])
    assert [waiting.ahead(ticket) for ticket in tickets[1:]] == [2, 3, 0, 4, 1]
    waiting.remove(tickets[1])
    assert [waiting.ahead(ticket) for ticket in tickets[2:]] == [2, 0, 3, 1]
    waiting.push(tickets[1])
    assert waiting.ahead(tickets[1]) == 3
    assert replays == 5


def test_the_place_of_one_that_has_no_room() -> None:
    waiting = queue(*"aabb", most=4)
    assert waiting.ahead_of_new(Ticket(client("a"))) == 4
    assert waiting.ahead_of_new(Ticket(client("c"))) == 2
    assert (len(waiting), waiting.count("c")) == (4, 0)


@pytest.mark.parametrize(
    ("place", "words"),
    [(Place(2, 7, 39.2), "place 3 of 7, about 40 s"), (Place(0, 1, 0.0), "place 1 of 1, about 1 s"), (Place(1, 2), "place 2 of 2")],
)  # fmt: skip
def test_words(place: Place, words: str) -> None:
    assert place.words == words


class Machine(RuleBasedStateMachine):
    """Any order of coming, leaving, being served and refunded."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[Ticket] = FairQueue(12, 5)
        self.waiting: list[Ticket] = []
        """In the order in which they came."""
        self.gone: list[Ticket] = []

    @rule(name=st.sampled_from("abcdef"))
    def come(self, name: str) -> None:
        ticket = Ticket(client(name, {"e": 1, "f": -1}.get(name, 0)))
        own = sum(other.client.name == name for other in self.waiting)
        if own >= 5 or len(self.waiting) >= 12:
            with pytest.raises(QueueFull) as caught:
                self.queue.push(ticket)
            assert caught.value.own == (own >= 5)
            return
        expected = self.queue.ahead_of_new(ticket)
        self.queue.push(ticket)
        self.waiting.append(ticket)
        assert self.queue.ahead(ticket) == expected

    @precondition(lambda self: self.waiting)
    @rule(number=st.integers(0, 100))
    def leave(self, number: int) -> None:
        self.queue.remove(self.waiting.pop(number % len(self.waiting)))

    @rule(barred=st.sets(st.sampled_from("abcdef"), max_size=3))
    def serve(self, barred: set[str]) -> None:
        able = [ticket for ticket in self.waiting if ticket.client.name not in barred]
        ticket = self.queue.pop(lambda t: t.client.name not in barred)
        assert (ticket is None) == (not able)
        if ticket is not None:
            assert ticket is next(t for t in able if t.client.name == ticket.client.name)
            self.waiting.remove(ticket)
            self.gone.append(ticket)

    @precondition(lambda self: self.waiting)
    @rule()
    def foretell(self) -> None:
        order = sorted(self.waiting, key=self.queue.ahead)
        assert [self.queue.ahead(ticket) for ticket in order] == list(range(len(order)))
        ticket = self.queue.pop()
        assert ticket is order[0]
        self.waiting.remove(ticket)
        self.gone.append(ticket)

    @precondition(lambda self: self.gone)
    @rule(number=st.integers(0, 100))
    def refund(self, number: int) -> None:
        self.queue.refund(self.gone[number % len(self.gone)])

    @invariant()
    def bounds(self) -> None:
        assert len(self.queue) == len(self.waiting)
        counted = Counter(ticket.client.name for ticket in self.waiting)
        assert set(self.queue.names) == set(counted)
        assert all(self.queue.count(name) == counted[name] for name in "abcdef")
        assert all(0 <= line.credit <= 2 for _, line in self.queue._lines.values())
        afresh = list(iter(self.queue._copy().pop, None))
        assert [self.queue.ahead(ticket) for ticket in afresh] == list(range(len(afresh)))

    def teardown(self) -> None:
        out = list(iter(self.queue.pop, None))
        assert Counter(out) == Counter(self.waiting)
        assert not self.queue._refunded
        for name in "abcdef":
            mine: list[Any] = [ticket for ticket in out if ticket.client.name == name]
            assert mine == [ticket for ticket in self.waiting if ticket.client.name == name]


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase
