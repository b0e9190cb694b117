"""The Messages stream and the whole answer: in the SDK's own types, and saying the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock import transcoding
from chatmock.conversation import Reasoning
from chatmock.dialects import Anthropic
from chatmock.dialects.anthropic_seals import signature_of, unsealed
from chatmock.errors import Kind, Refusal
from chatmock.events import (
    Annotation,
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from chatmock.thinking import reshaping
from tests.dialects.anthropic_reading import IDENTITY, answered, asked, folded, records, streamed, whole
from tests.providers.test_output_limits import Played

ADAPTIVE: Any = {"thinking": {"type": "adaptive"}}
OMITTED: Any = {"thinking": {"type": "adaptive", "display": "omitted"}}


def content(events: list[Event], **fields: Any) -> list[dict[str, Any]]:
    """The content of the answer, which must be the same however it is told."""
    chat = asked(**fields)
    told, read = folded(streamed(events, chat)), whole(events, chat)
    assert told == read
    return [block.model_dump(exclude_none=True) for block in read.content]


def shape(events: list[Event], **fields: Any) -> list[str]:
    """The events and deltas of the stream."""
    return [
        record.get("delta", {}).get("type") or record["type"]
        for record in records(streamed(events, asked(**fields)))
    ]


def test_text() -> None:
    events = answered(
        TextDelta("Hel"), TextDelta("lo"), TextDelta('\n\u2028\0 "é'), more=[Usage(20, 7, 5, 3)]
    )
    data = streamed(events)
    assert records(data) == [
        {
            "type": "message_start",
            "message": {
                "model": "claude-x",
                "id": "msg_0123456789abcdef01234567",
                "type": "message",
                "role": "assistant",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 0,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 0,
                },
            },
        },
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": '\n\u2028\0 "é'},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {
                "input_tokens": 15,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 5,
                "output_tokens": 7,
                "output_tokens_details": {"thinking_tokens": 3},
            },
        },
        {"type": "message_stop"},
    ]
    assert folded(data) == whole(events)


def test_nothing() -> None:
    events = answered(TextDelta(""), ReasoningDelta(""))
    assert content(events, **ADAPTIVE) == []
    assert shape(events) == ["message_start", "ping", "message_delta", "message_stop"]


@pytest.mark.parametrize(
    ("events", "reason", "stop"),
    [
        (answered(TextDelta("a")), "end_turn", None),
        (answered(TextDelta("a"), reason="length"), "max_tokens", None),
        (answered(TextDelta("a"), reason="content_filter"), "refusal", None),
        (answered(TextDelta("a"), stop="END"), "stop_sequence", "END"),
        (answered(ToolCallDelta(0, "1", "f"), reason="tool_calls"), "tool_use", None),
        (answered(ToolCallDelta(0, "1", "f")), "tool_use", None),
        (answered(ToolCallDelta(0, "1", "f", '{"a'), reason="length"), "max_tokens", None),
        (answered(RefusalDelta("No.")), "refusal", None),
        (answered(RefusalDelta("")), "end_turn", None),
        (answered(RefusalDelta("No."), reason="length"), "max_tokens", None),
    ],
)
def test_reasons(events: list[Event], reason: str, stop: str | None) -> None:
    for message in (folded(streamed(events)), whole(events)):
        assert (message.stop_reason, message.stop_sequence) == (reason, stop)


def test_thinking_ends_with_its_signature() -> None:
    events = answered(
        ReasoningDelta("One", "summary", 0),
        ReasoningDelta(".", "summary", 0),
        ReasoningDelta("", "summary", 1),
        ReasoningDelta("Two.", "summary", 1),
        ReasoningSeal("c2VhbA==", "rs_1"),
        TextDelta("Hi"),
    )
    assert content(events, **ADAPTIVE) == [
        {"type": "thinking", "thinking": "One.\n\nTwo.", "signature": "chatmock.v1:rs_1:c2VhbA=="},
        {"type": "text", "text": "Hi"},
    ]
    assert shape(events, **ADAPTIVE)[2:8] == [
        "content_block_start",
        *["thinking_delta"] * 3,
        "signature_delta",
        "content_block_stop",
    ]
    start = records(streamed(events, asked(**ADAPTIVE)))[2]
    assert start["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}


def test_thinking_without_a_seal_has_a_signature_all_the_same() -> None:
    thinking, text = content(answered(ReasoningDelta("a"), TextDelta("b")), **ADAPTIVE)
    assert thinking == {"type": "thinking", "thinking": "a", "signature": "chatmock.v1::"}
    assert text["text"] == "b"


def test_a_seal_without_thinking() -> None:
    events = answered(ReasoningSeal("s", "i"), TextDelta("a"), ReasoningSeal("t"), ReasoningDelta("b"))
    assert content(events, **ADAPTIVE) == [
        {"type": "redacted_thinking", "data": "chatmock.v1:i:s"},
        {"type": "text", "text": "a"},
        {"type": "redacted_thinking", "data": "chatmock.v1::t"},
        {"type": "thinking", "thinking": "b", "signature": "chatmock.v1::"},
    ]


def test_thinking_that_the_client_does_not_want_to_read() -> None:
    events = answered(
        TextDelta("a"), ReasoningDelta("b"), TextDelta("c"), ReasoningDelta("d"), ReasoningSeal("s")
    )
    assert content(events, **OMITTED) == [
        {"type": "text", "text": "ac"},
        {"type": "thinking", "thinking": "", "signature": "chatmock.v1::s"},
    ]


@pytest.mark.parametrize("id", ["", "rs_1", "a:b", "%3A é"])
@pytest.mark.parametrize("value", ["c2VhbA==", "a:b", "%3A"])
def test_a_seal_comes_back_as_it_went(id: str, value: str) -> None:
    assert unsealed("t", signature_of(ReasoningSeal(value, id))) == Reasoning("t", value, id)


@pytest.mark.parametrize("signature", ["", "EvQBCkYICxgCKkAxhD4NUKFz", "chatmock.v2:a:b", signature_of(None)])
def test_somebody_elses_signature_is_no_seal(signature: str) -> None:
    assert unsealed("t", signature) == Reasoning("t")


def test_a_call() -> None:
    events = answered(
        TextDelta("I call."), ToolCallDelta(0, "call_1", "f"), ToolCallDelta(0, arguments='{"a":'), ToolCallDelta(0, arguments="1}"),
        reason="tool_calls",
    )  # fmt: skip
    assert content(events) == [
        {"type": "text", "text": "I call."},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
    ]
    told = records(streamed(events))
    assert told[5]["content_block"] == {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}
    assert [each["delta"]["partial_json"] for each in told[6:9]] == ["", '{"a":', "1}"]


def test_calls_one_after_the_other_are_told_as_they_come() -> None:
    calls = [
        ToolCallDelta(0, "1", "f", '{"a": "}'),
        ToolCallDelta(0, arguments='"} '),
        ToolCallDelta(1, "2", "g", "{"),
    ]
    data = streamed(answered(*calls)[:-1])
    assert [record["index"] for record in records(data)[2:]] == [0, 0, 0, 0, 0, 1, 1, 1]
    assert content(answered(*calls, ToolCallDelta(1, arguments="}"), TextDelta("!")))[2]["text"] == "!"


def test_calls_whose_arguments_come_in_turns_wait_for_each_other() -> None:
    events = answered(
        ToolCallDelta(0, "1", "f"),
        ToolCallDelta(1, "2", "g"),
        ToolCallDelta(0, arguments='{"a":'),
        ToolCallDelta(1, arguments='{"b":'),
        TextDelta("Now"),
        ToolCallDelta(1, arguments="2}"),
        ToolCallDelta(0, arguments="1}"),
        ReasoningDelta("Hm"),
        ReasoningSeal("s"),
        ToolCallDelta(2, "3", "h"),
    )
    assert content(events, **ADAPTIVE) == [
        {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "2", "name": "g", "input": {"b": 2}},
        {"type": "text", "text": "Now"},
        {"type": "thinking", "thinking": "Hm", "signature": "chatmock.v1::s"},
        {"type": "tool_use", "id": "3", "name": "h", "input": {}},
    ]
    indices = [record["index"] for record in records(streamed(events)) if "index" in record]
    assert indices == sorted(indices)


def test_a_call_that_others_wait_for_is_closed_as_soon_as_it_is_whole() -> None:
    events = answered(
        ToolCallDelta(0, "1", "f"),
        ToolCallDelta(1, "2", "g", "{"),
        ToolCallDelta(0, arguments='{"a":"}\\'),
        ToolCallDelta(0, arguments='"}"}'),
        ToolCallDelta(1, arguments="}"),
    )
    assert shape(events[:5])[-4:] == [
        "content_block_stop",
        "content_block_start",
        "input_json_delta",
        "input_json_delta",
    ]
    assert content(events)[0]["input"] == {"a": '}"}'}


def test_what_waits_is_counted_and_what_is_open_is_not_kept() -> None:
    encoder = Anthropic().encoder(asked(**ADAPTIVE), IDENTITY)
    encoder.encode([*answered()[:1], ToolCallDelta(0, "1", "f"), ToolCallDelta(0, arguments="[" * 10_000)])
    assert encoder.held == 0
    encoder.encode([ToolCallDelta(1, "2", "g", "{"), ToolCallDelta(1, arguments="x" * 5000)])
    assert 5000 < encoder.held < 6000
    encoder.encode([ReasoningDelta("é" * 1000), ReasoningSeal("s" * 3000), TextDelta("a")])
    assert 12_000 < encoder.held < 14_000
    encoder.encode([Finished(("stop",))])
    assert encoder.held == 0


def test_an_answer_of_which_too_much_waits_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcoding, "WHOLE_ANSWER_LIMIT", 10_000)
    pieces = [b"1", *[b"2"] * 30]

    class Turns(Played):
        def feed(self, data: bytes) -> list[Event]:
            return [ToolCallDelta(1, arguments="x" * 1000)] if data == b"2" else self._events

    opening = [*answered()[:1], ToolCallDelta(0, "1", "f"), ToolCallDelta(1, "2", "g")]
    encoder = Anthropic().encoder(asked(), IDENTITY)
    way = transcoding.Translated(Turns(opening), encoder, reshaping("parts"), "X")
    fed = 0
    while way.outcome is None:
        way.feed(pieces[fed])
        fed += 1
    assert fed < 12
    assert isinstance(way.outcome, Failed)
    assert way.outcome.refusal.code == "upstream_limit"


@pytest.mark.parametrize(
    ("arguments", "input"),
    [
        ("", {}),
        (" ", {}),
        ('{"a": 1.0, "b": 123456789012345678901234567890}', {"a": 1.0, "b": 123456789012345678901234567890}),
        ('{"a', {"INVALID_JSON": '{"a'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ("{}}", {"INVALID_JSON": "{}}"}),
        ('{"a":' * 100 + "1" + "}" * 100, {"INVALID_JSON": '{"a":' * 100 + "1" + "}" * 100}),
    ],
)
def test_arguments_of_a_whole_answer(arguments: str, input: Any) -> None:
    call: Any = whole(answered(ToolCallDelta(0, "1", "f", arguments))).content[0]
    assert json.dumps(call.input) == json.dumps(input)


def test_a_failure() -> None:
    failed = Failed(Refusal(Kind.OVERLOADED, "It is busy."))
    error = {"type": "overloaded_error", "message": "It is busy."}
    assert records(streamed([failed])) == [{"type": "error", "error": error}]
    assert shape([*answered(TextDelta("a"))[:-1], failed])[-1] == "error"


def test_other_choices_are_left_out() -> None:
    assert content(answered(TextDelta("a", 1), ToolCallDelta(0, "1", "f", choice=1), TextDelta("b"))) == [
        {"type": "text", "text": "b"}
    ]


# --- whatever comes


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Any content in any order; the arguments of each call are JSON when all has come."""
    texts = st.sampled_from(["", "a", "b\n"])
    arguments = draw(st.lists(st.sampled_from(["", "{}", '{"a":{"b":"}"}}', '{"c":[1]} ']), max_size=3))
    pieces = [
        [ToolCallDelta(i, f"call_{i}", "f")]
        + [ToolCallDelta(i, arguments=each) for each in _cut(text, draw(st.integers(1, 9)))]
        for i, text in enumerate(arguments)
    ]
    events: list[Event] = []
    begun = 0
    for _ in range(draw(st.integers(0, 25))):
        kind = draw(st.sampled_from(["text", "refusal", "thinking", "seal", "annotation", "call", "call"]))
        if kind == "text":
            events.append(TextDelta(draw(texts)))
        elif kind == "refusal":
            events.append(RefusalDelta(draw(texts)))
        elif kind == "thinking":
            events.append(ReasoningDelta(draw(texts), "summary", draw(st.integers(0, 1))))
        elif kind == "seal":
            events.append(ReasoningSeal(draw(st.sampled_from(["s", "t"]))))
        elif kind == "annotation":
            events.append(Annotation({}))
        elif pieces:
            which = draw(st.integers(0, min(begun, len(pieces) - 1)))
            begun = max(begun, which + 1)
            events.extend(pieces[which][:1])
            del pieces[which][:1]
    # What has begun is told to its end.
    return answered(*events, *(piece for call in pieces[:begun] for piece in call), more=[Usage(3, 2)])


def _cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@settings(max_examples=200, deadline=None)
@given(answers(), st.sampled_from([ADAPTIVE, OMITTED]))
def test_a_stream_says_what_a_whole_answer_says(events: list[Event], fields: Any) -> None:
    content(events, **fields)


@settings(max_examples=50, deadline=None)
@given(answers(), st.data())
def test_how_events_are_packed_makes_no_difference(events: list[Event], data: Any) -> None:
    encoder = Anthropic().encoder(asked(**ADAPTIVE), IDENTITY)
    at, written = 0, b""
    while at < len(events):
        size = data.draw(st.integers(1, 5))
        written += encoder.encode(events[at : at + size])
        at += size
    assert written == streamed(events, asked(**ADAPTIVE))
