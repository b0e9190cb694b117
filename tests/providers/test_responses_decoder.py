"""Streams of the Responses API into events: text, thinking, refusals, and the form of the stream."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from chatmock.errors import Kind
from chatmock.events import (
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from chatmock.providers.responses_decoder import ResponsesDecoder
from tests.providers.responses_events import (
    CALLED,
    LIMIT,
    OPENED,
    STOP,
    added,
    arguments,
    call,
    chat_citation,
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
    refused,
    summary,
    text,
)


def test_text() -> None:
    script = [
        created(),
        {"type": "response.in_progress", "response": {"id": "resp_1"}},
        added(0, type="message", content=[]),
        {
            "type": "response.content_part.added",
            "output_index": 0,
            "part": {"type": "output_text", "text": ""},
        },
        text("Hel"),
        text(""),
        text("lo"),
        {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hello"},
        {
            "type": "response.content_part.done",
            "output_index": 0,
            "content_index": 0,
            "part": {"type": "output_text", "text": "Hello"},
        },
        done(0, **message("Hello")),
        ended(output=[{"id": "item_0", **message("Hello")}]),
    ]
    assert play(script) == [OPENED, TextDelta("Hel"), TextDelta("lo"), *STOP]


def test_opened_waits_for_content_and_keeps_the_last_id() -> None:
    decoder = ResponsesDecoder("Upstream", 1000)
    assert decoder.feed(frame(created())) == []
    assert decoder.feed(frame({"type": "response.in_progress", "response": {"id": "resp_2"}})) == []
    assert decoder.feed(frame(added(0, type="message"))) == []
    first = [Opened("resp_2", 1_700_000_000, "gpt-x"), TextDelta("a")]
    assert decoder.feed(frame(text("a"))) == first
    assert decoder.feed(frame(created(id="resp_3"))) == []


def test_two_summary_parts_then_text() -> None:
    script = [created(), summary("a"), summary("b"), summary("c", part=1), text("x", at=1), ended()]
    assert play(script)[1:4] == [
        ReasoningDelta("a", "summary", 0),
        ReasoningDelta("b", "summary", 0),
        ReasoningDelta("c", "summary", 1),
    ]


def test_reasoning_after_text_of_both_kinds_and_of_several_items() -> None:
    script = [
        created(),
        text("x"),
        summary("s", at=1),
        delta("reasoning_text", 1, "r", content_index=0),
        summary("t", at=2),
        summary("u", at=1),
        ended(),
    ]
    assert [event for event in play(script) if isinstance(event, ReasoningDelta)] == [
        ReasoningDelta("s", "summary", 0),
        ReasoningDelta("r", "text", 1),
        ReasoningDelta("t", "summary", 2),
        ReasoningDelta("u", "summary", 0),
    ]


def test_citations_count_from_the_beginning_of_the_whole_answer() -> None:
    script = [
        created(),
        text("12345"),
        done(1, **message("It rains.", annotations=[citation("https://a")])),
        ended(),
    ]
    assert put_together(play(script)).citations == [chat_citation("https://a", 6, 9)]


def test_refusal() -> None:
    script = [
        created(),
        delta("refusal", 0, "I can", content_index=0),
        {"type": "response.refusal.done", "output_index": 0, "content_index": 0, "refusal": "I cannot"},
        done(0, type="message", content=[{"type": "refusal", "refusal": "I cannot"}]),
        ended(),
    ]
    assert play(script) == [OPENED, RefusalDelta("I can"), RefusalDelta("not"), *STOP]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.output_text.done", "output_index": 0, "text": "Hello"},
        {
            "type": "response.content_part.done",
            "output_index": 0,
            "part": {"type": "output_text", "text": "Hello"},
        },
        done(0, **message("Hello")),
        ended(output=[{"id": "item_0", **message("Hello")}]),
    ],
)
@pytest.mark.parametrize("streamed", ["", "Hel", "Hello"])
def test_what_was_not_streamed_comes_from_any_later_event(event: dict[str, Any], streamed: str) -> None:
    script = [created(), text(streamed), event, text("Hello"), ended()]
    assert put_together(play(script)).text == "Hello"


def test_thinking_that_was_not_streamed() -> None:
    thinking = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
        "content": [{"type": "reasoning_text", "text": "c"}],
    }
    script = [created(), summary("a"), done(0, **thinking), ended(output=[{"id": "item_0", **thinking}])]
    said = put_together(play(script))
    assert said.reasoning == {0: ["summary", "a"], 1: ["summary", "b"], 2: ["text", "c"]}


def test_an_answer_that_only_its_last_event_tells() -> None:
    output = [
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "think"}]},
        {"type": "message", "id": "m", **message("Hello", " there")},
        {"id": "f", **call(0, arguments="{}")},
    ]
    assert play([ended(output=output, created_at=4.5, model="m")]) == [
        Opened("resp_1", 4, "m"),
        ReasoningDelta("think", "summary", 0),
        TextDelta("Hello"),
        TextDelta(" there"),
        ToolCallDelta(0, "call_0x", "weather", "{}"),
        *CALLED,
    ]


def test_logprobs_are_passed_over() -> None:
    assert play([created(), text("a", logprobs=[{"token": 5}]), ended()])[1] == TextDelta("a")


def test_crlf_and_several_data_lines() -> None:
    script = [created(), text("a\r\n"), ended()]
    wanted = [OPENED, TextDelta("a\r\n"), *STOP]
    assert decode([frame(event, newline="\r\n") for event in script]) == wanted
    lines = [
        b"".join(b"data:" + line + b"\n" for line in json.dumps(event, indent=1).encode().split(b"\n"))
        + b"\n"
        for event in script
    ]
    assert decode(lines) == wanted


def test_the_type_may_stand_in_the_event_field() -> None:
    event = text("a")
    body = json.dumps({key: value for key, value in event.items() if key != "type"}).encode()
    assert decode([b"event: %b\ndata: %b\n\n" % (event["type"].encode(), body), frame(ended())])[
        1
    ] == TextDelta("a")


def test_a_long_line() -> None:
    long = "x" * 3 * 1024 * 1024
    stream = frame(text(long)) + frame(ended())
    pieces = [stream[at : at + 65536] for at in range(0, len(stream), 65536)]
    assert put_together(decode(pieces)).text == long
    refusal = refused(decode(pieces, limit=1024 * 1024))
    assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_FAILED, "upstream_limit")


def test_utf8_cut_anywhere() -> None:
    stream = frame(text("héllo €🙂")) + frame(ended())
    assert put_together(decode(bytes([byte]) for byte in stream)).text == "héllo €🙂"
    broken = stream.replace("€".encode(), b"\xff")
    assert put_together(decode([broken])).text == "héllo \ufffd🙂"


@pytest.mark.parametrize(
    "record",
    [
        b": ping\n\n",
        b"data:\n\n",
        b"data: [DONE]\n\n",
        b"data: {}\n\n",
        frame({"type": "codex.rate_limits", "delta": {"of": "another shape"}, "response": 5}),
        frame({"type": "response.something.new", "output_index": "x", "error": {"message": "not ours"}}),
        frame(
            {
                "type": "response.output_item.added",
                "output_index": 3,
                "item": {"type": "brand_new", "content": 5},
            }
        ),
        frame(
            {"type": "response.content_part.done", "output_index": 3, "part": {"type": "new", "text": "?"}}
        ),
    ],
)
def test_what_says_nothing_is_passed_over(record: bytes) -> None:
    assert decode([record, frame(created()), record, frame(text("a")), record, frame(ended()), record]) == [
        OPENED,
        TextDelta("a"),
        *STOP,
    ]


@pytest.mark.parametrize(
    "record",
    [
        b"data: nonsense\n\n",
        b"data: [1]\n\n",
        b'data: "text"\n\n',
        b'data: {"type": 5}\n\n',
        frame(text("a", content_index="0")),
        frame({"type": "response.output_text.delta", "delta": {"text": "a"}}),
        frame({"type": "response.completed", "response": []}),
        frame(done(0, type="function_call", name=5)),
        frame(done(0, type="message", content="text")),
        frame(ended(output=[{"type": "reasoning", "summary": [5]}])),
    ],
)
def test_malformed(record: bytes) -> None:
    refusal = refused(decode([record]))
    assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_FAILED, "upstream_malformed")
    assert put_together(decode([frame(text("a")), record, frame(ended())])).failed == "upstream_malformed"


@pytest.mark.parametrize("at", ["soon", 1e300, -5, True, None, [1], 1_790_000_000_000])
def test_a_time_of_creation_that_is_none_is_not_told(at: object) -> None:
    assert play([created(created_at=at), text("a"), ended()])[0] == Opened("resp_1", 0, "gpt-x")


@pytest.mark.parametrize("at", ["1700000000", 1_700_000_000.7])
def test_a_time_of_creation_in_another_form(at: object) -> None:
    assert play([created(created_at=at), text("a"), ended()])[0] == OPENED


def test_records_count_whether_they_give_events_or_not() -> None:
    decoder = ResponsesDecoder("Upstream", LIMIT)
    decoder.feed(b": ping\n\n")
    assert decoder.records == 0
    for count, event in enumerate([created(), {"type": "response.web_search_call.searching"}, text("a")], 1):
        decoder.feed(frame(event))
        assert decoder.records == count
    decoder.feed(b": ping\n\n: ping\n\n")
    assert decoder.records == 3


def test_what_is_kept_of_an_answer_does_not_grow_with_it() -> None:
    decoder = ResponsesDecoder("Upstream", LIMIT)
    tracemalloc.start()
    try:
        sizes = []
        for event in (
            created(),
            text("x" * 10_000),
            summary("y" * 10_000, 1),
            text("z", 2),
            arguments("{", 3),
        ):
            decoder.feed(frame(event))
        decoder.feed(frame(added(4, **call(4))))
        for _ in range(2):
            for _ in range(200):
                decoder.feed(frame(text("x" * 1000)))
                decoder.feed(frame(summary("y" * 1000, 1)))
                decoder.feed(frame(arguments("z" * 1000, 4)))
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[1] - sizes[0] < 20_000


@pytest.mark.parametrize("renamed", ["msg_other", None])
def test_an_output_that_leaves_out_an_item_and_renames_another_doubles_nothing(renamed: str | None) -> None:
    script = [
        created(),
        added(0, type="reasoning", summary=[]),
        added(1, type="message", content=[]),
        text("Hello", at=1),
        added(2, type="message", content=[]),
        text("again", at=2),
    ]
    output = [{**message("Hello"), "id": renamed}, {**message("again!"), "id": "msg_else"}]
    assert put_together(play([*script, ended(output=output)])).text == "Helloagain!"


def test_an_output_of_renamed_items_tells_one_that_was_lost() -> None:
    script = [created(), text("second", at=1)]
    output = [{**message("first"), "id": "a"}, {**message("second"), "id": "b"}]
    assert put_together(play([*script, ended(output=output)])).text == "secondfirst"
