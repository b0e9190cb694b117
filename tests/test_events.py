"""The order of events, and folding them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmock.answer import Answer
from chatmock.errors import Kind, Refusal
from chatmock.events import (
    Annotation,
    Event,
    EventOrder,
    Failed,
    Finished,
    Opened,
    OutOfOrder,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)

FAILED = Failed(Refusal(Kind.UPSTREAM_FAILED, "gone"))
STOP = Finished(("stop",))
CALL = ToolCallDelta(0, "call_1", "add", "{")


@pytest.mark.parametrize(
    "events",
    [
        [Opened(), STOP],
        [FAILED],
        [Opened(), TextDelta("a"), FAILED],
        [Opened(), ReasoningDelta("r"), TextDelta("a"), Usage(1, 2), STOP],
        [Opened(), CALL, ToolCallDelta(0, arguments="}"), ToolCallDelta(1, "call_2", "sub"), STOP],
        [Opened(), CALL, ToolCallDelta(0, "call_9", "add", choice=1), STOP],
        [Opened(), Usage(1, 2), FAILED],
    ],
)
def test_allowed(events: list[Event]) -> None:
    order = EventOrder()
    order.check(events)
    assert order.ended


@pytest.mark.parametrize(
    "events",
    [
        [TextDelta("a")],
        [STOP],
        [Usage(1, 2)],
        [Opened(), Opened()],
        [Opened(), STOP, TextDelta("a")],
        [Opened(), STOP, FAILED],
        [FAILED, FAILED],
        [Opened(), Usage(1, 2), TextDelta("a")],
        [Opened(), Usage(1, 2), Usage(1, 2)],
        [Opened(), ToolCallDelta(0, arguments="{")],
        [Opened(), ToolCallDelta(1, "call_1", "add")],
        [Opened(), CALL, CALL],
        [Opened(), CALL, ToolCallDelta(1, arguments="}")],
        [Opened(), ToolCallDelta(0, "call_1", "")],
    ],
)
def test_refused(events: list[Event]) -> None:
    order = EventOrder()
    with pytest.raises(OutOfOrder):
        order.check(events)


one_event = st.sampled_from(
    [Opened(), TextDelta("a"), ReasoningDelta("r"), RefusalDelta("n"), CALL, ToolCallDelta(0, arguments="x"),
     Annotation({}), Usage(1, 2), STOP, FAILED]
)  # fmt: skip


@given(st.lists(one_event, max_size=12))
def test_whatever_is_let_through_has_one_opening_and_one_end(events: list[Event]) -> None:
    order = EventOrder()
    passed: list[Event] = []
    try:
        for event in events:
            order.check([event])
            passed.append(event)
    except OutOfOrder:
        pass
    ends = [i for i, event in enumerate(passed) if isinstance(event, Finished | Failed)]
    assert len(ends) <= 1
    assert ends == [] or ends == [len(passed) - 1]
    openings = [i for i, event in enumerate(passed) if isinstance(event, Opened)]
    assert openings == [] or openings == [0]
    assert not any(isinstance(event, Finished) for event in passed) or openings == [0]


def test_fold() -> None:
    answer = Answer()
    answer.fold(
        [
            Opened("id", 7, "m"),
            ReasoningDelta("th"),
            TextDelta("a", 1),
            TextDelta("b", logprobs=[{"token": "b"}]),
        ]
    )
    answer.fold([CALL, ToolCallDelta(0, arguments="}"), RefusalDelta("no"), Annotation({"type": "x"})])
    answer.fold([Usage(1, 2, 3, 4), Finished(("tool_calls", "length"))])
    first, second = answer.choices
    assert (first.text, first.reasoning, first.refusal) == (["b"], ["th"], ["no"])
    assert [(call.id, call.name, "".join(call.arguments)) for call in first.calls] == [
        ("call_1", "add", "{}")
    ]
    assert first.logprobs == [{"token": "b"}]
    assert (first.finish_reason, second.finish_reason, second.text) == ("tool_calls", "length", ["a"])
    assert answer.usage is not None
    assert answer.usage.total_tokens == 3
    assert isinstance(answer.outcome, Finished)


@given(st.lists(st.text(max_size=5), max_size=20), st.data())
def test_folding_does_not_depend_on_how_events_are_grouped(words: list[str], data: st.DataObject) -> None:
    events: list[Event] = [Opened(), *(TextDelta(word) for word in words), STOP]
    cut = data.draw(st.integers(0, len(events)))
    one, two = Answer(), Answer()
    one.fold(events)
    two.fold(events[:cut])
    two.fold(events[cut:])
    assert one == two


def test_status_of_kinds() -> None:
    statuses: dict[str, Any] = {kind.name: kind.status for kind in Kind}
    assert statuses["USAGE_EXHAUSTED"] == statuses["RATE_LIMITED"] == 429
    assert len(Kind) == len(statuses) > 10
