"""Qwen's streams cut anywhere, shuffled and mangled."""

from __future__ import annotations

import copy
import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.events import Event, ReasoningDelta, TextDelta
from tests.providers.qwen.frames import (
    STOP,
    Script,
    alive,
    answer,
    created,
    decode,
    finish,
    frame,
    searched,
    summary,
    text_of,
    thoughts_of,
    written,
)

FULL: Script = [
    created(),
    alive(),
    summary(("Plán", "")),
    summary(("Plán", "Look 🙂")),
    summary(("Plán", "Look 🙂")),
    summary(("Plán", "Look 🙂 up"), ("B", "b"), status="finished"),
    frame("think", "so "),
    frame("think", "so "),
    finish("think"),
    frame("web_search", function_call={"name": "web_search", "arguments": '{"q":'}),
    searched(("https://a", "Ä"), ("https://b", "B")),
    answer("Xin "),
    answer("chào"),
    answer("chào"),
    frame("something_new", "no"),
    answer(""),
    finish(),
]
WHOLE = written(FULL)
EVENTS = decode([WHOLE])


def test_the_whole() -> None:
    assert text_of(EVENTS) == "Xin chàochào"
    assert thoughts_of(EVENTS) == [
        ("summary", "Plán\n\nLook 🙂 up"),
        ("summary", "B\n\nb"),
        ("text", "so so "),
    ]
    assert EVENTS[-1] == STOP


def test_cut_at_every_byte() -> None:
    for at in range(len(WHOLE)):
        assert decode([WHOLE[:at], WHOLE[at:]]) == EVENTS


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(WHOLE)), max_size=30), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_cut_in_many_places(cuts: list[int], newline: bytes) -> None:
    stream = WHOLE.replace(b"\n", newline)
    places = [0, *sorted(cuts), len(stream)]
    assert decode([stream[a:b] for a, b in itertools.pairwise(places)]) == EVENTS


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(WHOLE) - 4))
def test_a_stream_that_breaks_off_never_finishes(at: int) -> None:
    events = decode([WHOLE[:at]])
    assert STOP not in events
    assert events[:-1] == EVENTS[: len(events) - 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=6), min_size=1, max_size=12), st.sampled_from(["answer", "think"]))
def test_no_delta_is_dropped_or_changed(deltas: list[str], phase: str) -> None:
    events: list[Event] = decode([written([*(frame(phase, text) for text in deltas), answer("."), finish()])])
    kind = TextDelta if phase == "answer" else ReasoningDelta
    told = "".join(event.text for event in events if isinstance(event, kind))
    assert told == "".join(deltas) + ("." if phase == "answer" else "")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=5,
)


def _mangle(data: st.DataObject, record: dict[str, Any]) -> dict[str, Any]:
    record = copy.deepcopy(record)
    holder: Any = record
    while True:
        keys = sorted(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(holder[key], dict | list) and holder[key] and data.draw(st.booleans()):
            holder = holder[key]
            continue
        if data.draw(st.booleans()):
            del holder[key]
        else:
            holder[key] = data.draw(_json)
        return record


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_mangled_records_keep_the_order_of_events(data: st.DataObject) -> None:
    script = [_mangle(data, record) if data.draw(st.integers(0, 3)) == 0 else record for record in FULL]
    decode([written(data.draw(st.permutations(script)) if data.draw(st.booleans()) else script)])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, len(WHOLE)))
def test_noise_in_the_stream(noise: bytes, at: int) -> None:
    decode([WHOLE[:at] + noise + WHOLE[at:]])
