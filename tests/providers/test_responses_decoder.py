"""Streams of the Responses API into events: the scripts that upstreams play, and some that they should not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatmock.errors import Kind
from chatmock.events import (
    Annotation,
    Event,
    Failed,
    Finished,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from chatmock.providers.responses_decoder import ResponsesDecoder
from tests.providers.responses_events import (
    Script,
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
    summary,
    text,
)

OPENED = Opened("resp_1", 1_700_000_000, "gpt-x")
USED = Usage(7, 5, cached_tokens=3, reasoning_tokens=2)
STOP = [USED, Finished(("stop",))]
CALLED = [USED, Finished(("tool_calls",))]


def refused(events: list[Event]) -> Any:
    """The refusal of a stream that gave nothing else."""
    assert [type(event) for event in events] == [Failed]
    return events[0].refusal


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


def test_reasoning_then_a_call_without_text() -> None:
    script = [
        created(),
        added(0, type="reasoning", summary=[]),
        summary("think"),
        done(0, type="reasoning", summary=[{"type": "summary_text", "text": "think"}]),
        added(1, **call(1)),
        arguments('{"a":', 1),
        arguments("1}", 1),
        {
            "type": "response.function_call_arguments.done",
            "output_index": 1,
            "item_id": "item_1",
            "arguments": '{"a":1}',
        },
        done(1, **call(1, arguments='{"a":1}')),
        ended(),
    ]
    assert play(script) == [
        OPENED,
        ReasoningDelta("think", "summary", 0),
        ToolCallDelta(0, "call_1x", "weather"),
        ToolCallDelta(0, arguments='{"a":'),
        ToolCallDelta(0, arguments="1}"),
        *CALLED,
    ]


def test_parallel_calls_interleaved_out_of_order() -> None:
    script = [
        created(),
        added(2, **call(2, "second")),
        added(1, **call(1, "first")),
        arguments("{1", 1),
        arguments("{2", 2),
        arguments("1}", 1),
        arguments("2}", 2),
        done(1, **call(1, "first", "{11}")),
        done(2, **call(2, "second", "{22}")),
        ended(),
    ]
    assert put_together(play(script)).calls == [["call_2x", "second", "{22}"], ["call_1x", "first", "{11}"]]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([done(0, **call(0, arguments="{ }"))], id="no added"),
        pytest.param([added(0, **call(0)), done(0, **call(0, arguments="{ }"))], id="arguments in the item"),
        pytest.param([added(0, **call(0, arguments="{ }"))], id="arguments at once"),
        pytest.param(
            [added(0, **call(0, arguments="{ }")), arguments("{ }", 0)], id="arguments again as a delta"
        ),
        pytest.param(
            [added(0, **call(0, arguments="{")), arguments(" }", 0)], id="arguments begin with the item"
        ),
        pytest.param(
            [added(0, **call(0)), arguments("{", 0), done(0, **call(0, arguments="{ }"))],
            id="the rest in the item",
        ),
        pytest.param(
            [added(0, **call(0, name="")), arguments("{ }", 0), done(0, **call(0, arguments="{ }"))],
            id="name late",
        ),
        pytest.param([arguments("{ ", 0), added(0, **call(0)), arguments("}", 0)], id="arguments first"),
        pytest.param(
            [
                added(0, **call(0, name=None)),
                {
                    "type": "response.function_call_arguments.done",
                    "output_index": 0,
                    "name": "weather",
                    "arguments": "{ }",
                },
            ],
            id="name with the arguments",
        ),
        pytest.param(
            [done(0, **call(0, arguments="{ }")), arguments("{", 0), arguments(" }", 0)],
            id="deltas after the end",
        ),
        pytest.param(
            [done(0, type="custom_tool_call", call_id="call_0x", name="weather", input="{ }")], id="custom"
        ),
        pytest.param(
            [
                added(0, type="custom_tool_call", call_id="call_0x", name="weather", input=""),
                delta("custom_tool_call_input", 0, "{ "),
                {"type": "response.custom_tool_call_input.done", "output_index": 0, "input": "{ }"},
            ],
            id="custom streamed",
        ),
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_one_call_told_in_many_ways(script: Script, whole: bool) -> None:
    output = [{"id": "item_0", **call(0, arguments="{ }")}] if whole else []
    said = put_together(play([created(), *script, ended(output=output)]))
    assert said.calls == [["call_0x", "weather", "{ }"]]
    assert said.finish == ("tool_calls",)


def test_arguments_that_differ_from_those_streamed_are_left() -> None:
    script = [
        created(),
        added(0, **call(0)),
        arguments("{1}", 0),
        done(0, **call(0, arguments='{"1"}')),
        ended(),
    ]
    assert put_together(play(script)).calls == [["call_0x", "weather", "{1}"]]


@pytest.mark.parametrize(
    ("item", "id"),
    [
        (call(0, call_id=None), "item_0"),
        (call(0, call_id="", id=None), "call_0"),
    ],
)
def test_a_call_without_an_id(item: dict[str, Any], id: str) -> None:
    assert put_together(play([created(), done(0, **item), ended()])).calls == [[id, "weather", ""]]


def test_records_without_an_output_index_are_told_apart_by_item() -> None:
    script = [
        created(),
        *(added(at, **call(at)) for at in (0, 1)),
        *(arguments(f"{{{at}", at) for at in (0, 1)),
        *(arguments("}", at) for at in (0, 1)),
        *(done(at, **call(at, arguments=f"{{{at}}}")) for at in (0, 1)),
        ended(
            output=[
                {"id": "item_1", **call(1, arguments="{1}")},
                {"id": "item_0", **call(0, arguments="{0}")},
            ]
        ),
    ]
    wanted = [["call_0x", "weather", "{0}"], ["call_1x", "weather", "{1}"]]
    assert put_together(play(script)).calls == wanted
    bare = [{key: value for key, value in event.items() if key != "output_index"} for event in script]
    assert put_together(play(bare)).calls == wanted
    mixed = [full if at % 2 else without for at, (full, without) in enumerate(zip(script, bare, strict=True))]
    assert put_together(play(mixed)).calls == wanted


def test_items_whose_id_changes_with_every_event() -> None:
    script = [
        created(),
        added(0, **message()),
        text("a"),
        text("b"),
        done(0, **message("ab")),
        added(1, **call(1)),
    ]
    script += [done(1, **call(1, arguments="{}"))]
    for number, event in enumerate(script):
        event["item_id"] = f"made-up-{number}"
        if "item" in event:
            event["item"]["id"] = f"made-up-{number}"
    output = [{"id": "x", **message("ab")}, {"id": "y", **call(1, arguments="{}")}]
    said = put_together(play([*script, ended(output=output)]))
    assert (said.text, said.calls) == ("ab", [["call_1x", "weather", "{}"]])


def test_items_of_one_id() -> None:
    script = [
        created(),
        added(0, **call(0)),
        added(1, **call(1)),
        arguments("{0}", 0),
        arguments("{1}", 1),
        ended(),
    ]
    for event in script[1:3]:
        event["item"]["id"] = "same"
    said = put_together(play(script))
    assert said.calls == [["call_0x", "weather", "{0}"], ["call_1x", "weather", "{1}"]]


def test_the_last_output_leaves_items_out_and_renames_the_others() -> None:
    script = [created(), done(1, **message("a")), done(2, **call(2, arguments="{2}")), done(3, **call(3))]
    output = [
        {"id": "item_1", **message("a")},
        {"id": "new", **call(3)},
        {"id": "newer", **call(2, arguments="{2}")},
    ]
    said = put_together(play([*script, ended(output=output)]))
    assert (said.text, said.calls) == ("a", [["call_2x", "weather", "{2}"], ["call_3x", "weather", ""]])


def test_an_item_whose_id_comes_late() -> None:
    whole = {"type": "response.output_text.done", "output_index": 4, "text": "a"}
    output = [{"id": "item_4", **message("a")}]
    assert put_together(play([whole, done(4, **message("a")), ended(output=output)])).text == "a"


def test_a_call_whose_item_never_comes() -> None:
    event = {
        "type": "response.function_call_arguments.done",
        "output_index": 0,
        "item_id": "item_0",
        "name": "weather",
        "arguments": "{}",
    }
    assert put_together(play([event, ended()])).calls == [["item_0", "weather", "{}"]]


def test_shortened_names_are_mapped_back() -> None:
    events = play([created(), added(0, **call(0, "short")), ended()], names={"short": "a_long_name"})
    assert events[1] == ToolCallDelta(0, "call_0x", "a_long_name")


def test_a_call_that_is_never_named() -> None:
    script = [created(), added(0, **call(0, name=None)), arguments("{}", 0)]
    refusal = refused(play([*script, ended()]))
    assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_FAILED, "upstream_malformed")
    cut_short = ended("incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert put_together(play([*script, cut_short])).finish == ("length",)


def test_hosted_tools_are_no_tool_calls() -> None:
    script = [
        created(),
        added(0, type="web_search_call", status="in_progress"),
        {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "item_0"},
        done(0, type="web_search_call", action={"type": "search", "query": "q"}),
        added(1, type="mcp_call", name="x", arguments=""),
        {"type": "response.mcp_call_arguments.delta", "output_index": 1, "delta": {}},
        arguments("{}", 1),
        done(1, type="mcp_call", name="x", arguments="{}", output={"any": ["shape"]}),
        done(2, type="tool_search_call", call_id=None, name="x", arguments={"not": "a text"}),
        done(3, type="image_generation_call", result="AAAA"),
        done(4, type="code_interpreter_call", code="1+1"),
        text("It rains.", at=5),
        {
            "type": "response.output_text.annotation.added",
            "output_index": 5,
            "annotation": citation("https://a"),
        },
        {
            "type": "response.output_text.annotation.added",
            "output_index": 5,
            "annotation": {"type": "file_citation", "file_id": "f", "filename": "f.txt", "index": 3},
        },
        done(
            5,
            **message(
                "It rains.", annotations=[citation("https://a"), citation("https://b"), citation("https://b")]
            ),
        ),
        ended(),
    ]
    assert play(script)[1:] == [
        TextDelta("It rains."),
        Annotation(chat_citation("https://a")),
        Annotation(chat_citation("https://b")),
        *STOP,
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


def test_logprobs() -> None:
    tokens = [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -1}]}]
    script = [created(), text("a", logprobs=tokens), text("b", logprobs=[]), ended()]
    wanted = [
        {
            "token": "a",
            "logprob": -0.5,
            "bytes": [97],
            "top_logprobs": [{"token": "b", "logprob": -1.0, "bytes": None}],
        }
    ]
    assert play(script, logprobs=True)[1:3] == [TextDelta("a", 0, wanted), TextDelta("b")]
    assert play(script)[1] == TextDelta("a")
    whole = {"type": "response.output_text.done", "output_index": 0, "text": "a", "logprobs": tokens}
    assert play([whole, ended()], logprobs=True)[1] == TextDelta("a", 0, wanted)
    assert play([whole, ended()])[1] == TextDelta("a")
    assert play([text("a"), {**whole, "text": "ab"}, ended()], logprobs=True)[2] == TextDelta("b")
    wrong = play([created(), text("a", logprobs=[{"token": 5}]), ended()], logprobs=True)
    assert put_together(wrong).failed == "upstream_malformed"


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "content_filter"}, "content_filter"),
        ({"reason": "other"}, "stop"),
        ({"reason": ["other"]}, "stop"),
        (None, "stop"),
    ],
)
@pytest.mark.parametrize("said", [[], [text("a")], [added(0, **call(0)), arguments('{"a', 0)]])
def test_incomplete(details: Any, reason: str, said: Script) -> None:
    events = play([created(), *said, ended("incomplete", incomplete_details=details)])
    assert events[0] == OPENED
    assert events[-2:] == [USED, Finished((reason,))]


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        (None, []),
        ({"input_tokens": 1}, []),
        ({"input_tokens": 1, "output_tokens": 2}, [Usage(1, 2)]),
        ({"input_tokens": 1, "output_tokens": 2, "input_tokens_details": None}, [Usage(1, 2)]),
        (
            {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 0}},
            [Usage(1, 2, None, 0)],
        ),
    ],
)
def test_usage(usage: Any, wanted: list[Event]) -> None:
    assert play([created(), text("a"), ended(usage=usage)])[2:-1] == wanted


@pytest.mark.parametrize("said", [[], [added(0, type="reasoning"), done(0, **message(""))]])
def test_a_complete_answer_without_content(said: Script) -> None:
    refusal = refused(play([created(), *said, ended()]))
    assert (refusal.kind, refusal.code, refusal.retryable) == (Kind.UPSTREAM_FAILED, "upstream_empty", False)


FAULT = {"code": "rate_limit_exceeded", "message": "Slow down"}


@pytest.mark.parametrize(
    "ends",
    [
        [ended("failed", error=FAULT)],
        [{"type": "error", "error": FAULT}],
        [{"type": "error", **FAULT}],
        [{"type": "response.error", "error": FAULT}],
        [{"type": "error", "error": FAULT}, ended("failed", error={"code": "server_error", "message": "?"})],
        [ended("cancelled", error=FAULT)],
    ],
)
def test_failure_before_and_after_output(ends: Script) -> None:
    refusal = refused(play([created(), added(0, type="message"), *ends]))
    assert (refusal.kind, refusal.retryable) == (Kind.RATE_LIMITED, True)
    assert "Slow down" in refusal.message
    events = play([created(), text("a"), *ends, text("b"), ended()])
    assert events[:2] == [OPENED, TextDelta("a")]
    assert [type(event) for event in events[2:]] == [Failed]


def test_cancelled() -> None:
    assert refused(play([created(), ended("cancelled", error=None)])).code == "upstream_cancelled"
    assert refused(play([created(), {"type": "response.failed"}])).kind is Kind.UPSTREAM_FAILED


def test_an_error_without_a_type() -> None:
    body = json.dumps({"code": "x", "error": "The service is currently unavailable"}).encode()
    assert refused(decode([b"data: " + body + b"\n\n"])).kind is Kind.OVERLOADED


@pytest.mark.parametrize("cut", [0, 20, -3])
def test_end_of_input_without_an_end(cut: int) -> None:
    stream = frame(created()) + frame(text("a"))
    last = frame(ended())
    events = decode([stream + last[:cut]])
    assert events[:2] == [OPENED, TextDelta("a")]
    assert put_together(events).failed == "upstream_truncated"


def test_the_last_blank_line_may_be_missing() -> None:
    assert decode([frame(text("a")), frame(ended())[:-2]])[-1] == Finished(("stop",))


def test_nothing_after_the_end() -> None:
    script = [created(), text("a"), ended(), text("b"), ended("failed", error=FAULT), created(id="resp_2")]
    assert play(script) == [OPENED, TextDelta("a"), *STOP]
    assert decode([b"".join(map(frame, script))]) == [OPENED, TextDelta("a"), *STOP]


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
