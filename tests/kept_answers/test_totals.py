"""Whose oldest answer goes when it is too much."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.kept_answers.entries import Bounds
from chatmock.kept_answers.totals import Held, Totals


def test_what_is_counted() -> None:
    totals = Totals([("a", 2, 30), ("b", 1, 5)])
    totals.add("a", 10)
    totals.remove("b", 5)
    assert totals.all == Held(3, 40)


def test_a_share_is_a_quarter() -> None:
    bounds = Bounds(1.0, 400, most_of_one=2)
    totals = Totals([("a", 1, 100), ("b", 1, 101), ("c", 3, 3)])
    assert [totals.is_over(owner, bounds) for owner in ("a", "b", "c", "d")] == [False, True, True, False]


def test_who_has_most_loses() -> None:
    assert Totals([("a", 1, 100), ("b", 2, 90), ("c", 2, 80)]).loser(Bounds(1.0, 250)) == "b"
    assert Totals([("a", 2, 100), ("b", 3, 90)]).loser(Bounds(1.0, 1000, most=4)) == "b"
    assert Totals([("a", 2, 100), ("b", 3, 90)]).loser(Bounds(1.0, 1000, most=5)) is None


def test_the_only_answers_go_the_oldest_first() -> None:
    totals = Totals([("a", 1, 100)])
    totals.add("b", 100)
    totals.add("c", 100)
    assert totals.loser(Bounds(1.0, 250)) == "a"


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 250)), max_size=60))
@settings(max_examples=100, deadline=None)
def test_the_latest_is_there_and_all_is_bounded(written: list[tuple[str, int]]) -> None:
    bounds = Bounds(1.0, 1000, most_of_one=5, most=12)
    totals = Totals()
    kept: dict[str, list[int]] = {}
    for owner, size in written:
        totals.add(owner, size)
        kept.setdefault(owner, []).append(size)
        while totals.is_over(owner, bounds):
            totals.remove(owner, kept[owner].pop(0))
        while (loser := totals.loser(bounds)) is not None:
            totals.remove(loser, kept[loser].pop(0))
        assert kept[owner][-1:] == [size]
        assert totals.all == Held(sum(map(len, kept.values())), sum(map(sum, kept.values())))
        assert totals.all.bytes <= 1000
        assert all(sum(sizes) <= 250 for sizes in kept.values())
