"""Responses streams that nobody wrote by hand: cut, shuffled, repeated and mangled."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.responses_events import (
    Script,
    added,
    arguments,
    call,
    citation,
    created,
    decode,
    delta,
    done,
    ended,
    frame,
    message,
    play,
    put_together,
    summary,
    text,
)

_THINKING = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "thé"}]}
_ANSWER = message("Héllo 🙂", annotations=[citation("https://a")])
_REFUSED = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}
FULL: Script = [
    created(),
    {"type": "response.in_progress", "response": {"id": "resp_1"}},
    added(0, type="reasoning", summary=[]),
    summary("th"),
    summary("é"),
    {"type": "response.reasoning_summary_text.done", "output_index": 0, "summary_index": 0, "text": "thé"},
    done(0, **_THINKING),
    added(1, type="web_search_call"),
    added(2, **call(2, "first")),
    added(3, **call(3, "second")),
    arguments('{"a"', 2),
    arguments('{"b"', 3),
    arguments(":1}", 2),
    {"type": "response.function_call_arguments.done", "output_index": 2, "arguments": '{"a":1}'},
    done(2, **call(2, "first", '{"a":1}')),
    done(3, **call(3, "second", '{"b":2}')),
    added(4, type="message", content=[]),
    text("Héllo", at=4),
    text(" 🙂", at=4),
    {
        "type": "response.output_text.annotation.added",
        "output_index": 4,
        "content_index": 0,
        "annotation": citation("https://a"),
    },
    {"type": "response.output_text.done", "output_index": 4, "content_index": 0, "text": "Héllo 🙂"},
    done(4, **_ANSWER),
    delta("refusal", 5, "no", content_index=0),
    done(5, **_REFUSED),
    ended(),
]
_OUTPUT = [
    {"id": "item_0", **_THINKING},
    {"id": "item_2", **call(2, "first", '{"a":1}')},
    {"id": "item_3", **call(3, "second", '{"b":2}')},
    {"id": "item_4", **_ANSWER},
    {"id": "item_5", **_REFUSED},
]
for _event in FULL:
    if "output_index" in _event:
        _event.setdefault("item_id", f"item_{_event['output_index']}")
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.text(max_size=3) | st.just("function_call"),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "type", "name"]), inner)
    ),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_cut_gives_the_same_events(data: st.DataObject) -> None:
    newline = data.draw(st.sampled_from(["\n", "\r\n"]))
    stream = b"".join(frame(event, newline) for event in FULL)
    places = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=30)))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert decode(pieces) == play(FULL)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_repeats_what_was_told_adds_nothing(data: st.DataObject) -> None:
    """The `done` events may be left out, or come twice, or the last response may tell all of it again."""
    script = [
        event
        for event in FULL[:-1]
        for _ in range(data.draw(st.integers(0, 2)) if "done" in event["type"] else 1)
        if event["type"] != "response.output_item.done" or event["output_index"] != 3
    ]
    output = data.draw(st.lists(st.sampled_from(_OUTPUT), unique_by=lambda item: item["id"]))
    # The second call's closing brace comes with its item only.
    script += [done(3, **call(3, "second", '{"b":2}')), ended(output=output)]
    assert put_together(play(script)) == put_together(play(FULL))


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, len(FULL) - 2)))
def test_events_that_got_lost_come_with_the_last(lost: set[int]) -> None:
    """Whichever whole texts and items are lost, the last response makes up for them, though its positions differ."""
    script = [event for at, event in enumerate(FULL[:-1]) if at not in lost and "delta" not in event["type"]]
    said = put_together(play([*script, ended(output=_OUTPUT)]))
    wanted = put_together(play(FULL))
    assert (said.text, said.refusal, said.finish) == (wanted.text, wanted.refusal, wanted.finish)
    assert sorted(said.calls) == sorted(wanted.calls)
    assert sorted(said.reasoning.values()) == sorted(wanted.reasoning.values())
    assert len(said.citations) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*FULL[:-1], *FULL]), max_size=60), st.booleans())
def test_any_order_of_events_keeps_the_order_of_ours(script: Script, whole: bool) -> None:
    events = play([*script, ended(output=_OUTPUT if whole else [])])
    calls = put_together(events).calls
    assert len(calls) <= 2
    assert len({id for id, _, _ in calls}) == len(calls)


def _mangle(data: st.DataObject, event: dict[str, Any]) -> dict[str, Any]:
    event = copy.deepcopy(event)
    holder = event
    while True:
        key = data.draw(st.sampled_from(sorted(holder)))
        if isinstance(holder[key], dict) and holder[key] and data.draw(st.booleans()):
            holder = holder[key]
            continue
        if data.draw(st.booleans()):
            del holder[key]
        else:
            holder[key] = data.draw(_json)
        return event


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_mangled_events_keep_the_order_of_ours(data: st.DataObject) -> None:
    script = [_mangle(data, event) if data.draw(st.integers(0, 3)) == 0 else event for event in FULL]
    play(data.draw(st.permutations(script)) if data.draw(st.booleans()) else script)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 4000))
def test_noise_in_the_stream(noise: bytes, at: int) -> None:
    stream = b"".join(map(frame, FULL))
    decode([stream[:at] + noise + stream[at:]])
