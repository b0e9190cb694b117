"""Qwen's thinking told once, though its summary comes in snapshots of all there is so far."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.events import ReasoningDelta
from chatmock.providers.qwen.records import summary_entries
from chatmock.providers.qwen.thinking import ThinkingParts
from tests.providers.qwen.frames import answer, created, finish, frame, play, summary, thoughts_of

Snapshot = list[tuple[str, str]]


def told(*snapshots: Snapshot) -> list[str]:
    """The text of each part after all *snapshots*."""
    parts = ThinkingParts()
    return [text for _, text in thoughts_of([said for each in snapshots for said in parts.summary(each)])]


def test_only_what_is_new_is_told() -> None:
    parts = ThinkingParts()
    assert parts.summary([("Plan", "")]) == [ReasoningDelta("Plan", "summary", 0)]
    assert parts.summary([("Plan", "Look")]) == [ReasoningDelta("\n\nLook", "summary", 0)]
    assert parts.summary([("Plan", "Look")]) == []
    assert parts.summary([("Plan", "Look it up."), ("Write", "")]) == [
        ReasoningDelta(" it up.", "summary", 0),
        ReasoningDelta("Write", "summary", 1),
    ]


def test_in_a_stream() -> None:
    frames = [
        summary(),
        summary(("Pl", "")),
        summary(("Plan", "Look")),
        summary(("Plan", "Look")),
        summary(("Plan", "Look up"), ("Write", "Short")),
        summary(("Plan", "Look up"), ("Write", "Short"), status="finished"),
        finish("thinking_summary"),
    ]
    events = play(created(), *frames, answer("a"), finish())
    assert thoughts_of(events) == [("summary", "Plan\n\nLook up"), ("summary", "Write\n\nShort")]
    assert sum(isinstance(event, ReasoningDelta) for event in events) == 4


@pytest.mark.parametrize(
    ("snapshots", "wanted"),
    [
        (
            [[("A", "one two")], [("A", "one")], [("A", "one two")], [("A", "one two three")]],
            ["A\n\none two three"],
        ),
        (
            [[("A", "one"), ("B", "two")], [("A", "one")], [], [("A", "one"), ("B", "two!")]],
            ["A\n\none", "B\n\ntwo!"],
        ),
        ([[("A", "one")], [("A", "uno")], [("A", "uno dos")]], ["A\n\none"]),
        ([[("A", "one")], [("A", "uno")], [("A", "one two")]], ["A\n\none two"]),
        ([[("A", "one")], [("B", "one more")]], ["A\n\none more"]),
        ([[("A", "one")], [("Another", "one")]], ["A\n\none"]),
        ([[("", "one")], [("A", "one two")]], ["one two"]),
        ([[("", "")], [("", "")], [("", ""), ("B", "two")]], ["B\n\ntwo"]),
    ],
)
def test_repeated_shrunk_and_rewritten_snapshots(snapshots: list[Snapshot], wanted: list[str]) -> None:
    assert told(*snapshots) == wanted


def test_a_second_summary_after_the_use_of_a_tool() -> None:
    anew = [summary(("Read", "")), summary(("Read", "Now I know"), status="finished")]
    on = [summary(("Plan", "Search"), ("Read", "Now I know"), status="finished")]
    first = [
        summary(("Plan", "Search"), status="finished"),
        finish("web_search"),
        summary(("Plan", "Search")),
    ]
    for second in (anew, on):
        events = play(created(), *first, *second, answer("a"), finish())
        assert thoughts_of(events) == [("summary", "Plan\n\nSearch"), ("summary", "Read\n\nNow I know")]


def test_summary_and_text_are_parts_of_their_own() -> None:
    events = play(frame("think", "hm"), summary(("A", "one")), frame("think", "!"), answer("a"), finish())
    assert thoughts_of(events) == [("text", "hm!"), ("summary", "A\n\none")]


@pytest.mark.parametrize(
    ("extra", "entries"),
    [
        (None, []),
        ({}, []),
        ({"summary_title": {"content": ["A", "B"]}}, [("A", ""), ("B", "")]),
        ({"summary_thought": {"content": "one"}}, [("", "one")]),
        ({"summary_title": {"content": [None, "B"]}, "summary_thought": ["x"]}, [("", ""), ("B", "")]),
        (
            {"summary_title": {"content": ["A"]}, "summary_thought": {"content": ["a", "b"]}},
            [("A", "a"), ("", "b")],
        ),
    ],
)
def test_snapshots_in_other_shapes(extra: object, entries: Snapshot) -> None:
    assert summary_entries(extra) == entries


_entry = st.tuples(st.text("ab é", max_size=4), st.text("ab é", max_size=8))


@settings(max_examples=100, deadline=None)
@given(st.lists(_entry, max_size=4), st.data())
def test_growing_snapshots_tell_the_last_one(last: Snapshot, data: st.DataObject) -> None:
    """Titles are complete before their thoughts begin, as the site writes them."""
    flat = [
        (at, row, end) for at, pair in enumerate(last) for row in (0, 1) for end in range(len(pair[row]) + 1)
    ]
    cuts = sorted(data.draw(st.lists(st.sampled_from(flat), max_size=8))) if flat else []
    snapshots = [
        [*last[:at], (last[at][0][:end], "") if row == 0 else (last[at][0], last[at][1][:end])]
        for at, row, end in cuts
    ]
    wanted = [title + ("\n\n" if title and thought else "") + thought for title, thought in last]
    assert told(*snapshots, last, last) == [text for text in wanted if text]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(_entry, max_size=3), max_size=6))
def test_what_has_been_in_a_snapshot_is_not_told_again(snapshots: list[Snapshot]) -> None:
    parts = ThinkingParts()
    for at, snapshot in enumerate(snapshots):
        size = sum(len(title) + len(thought) + 2 for title, thought in snapshot)
        assert sum(len(said.text) for said in parts.summary(snapshot)) <= size
        assert [parts.summary(earlier) for earlier in snapshots[: at + 1]] == [[]] * (at + 1)
