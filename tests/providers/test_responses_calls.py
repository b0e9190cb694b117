"""Streams of the Responses API into events: tool calls, and items that are hard to tell apart."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock.errors import Kind
from chatmock.events import (
    Annotation,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from tests.providers.responses_events import (
    CALLED,
    OPENED,
    STOP,
    Script,
    added,
    arguments,
    call,
    chat_citation,
    citation,
    created,
    delta,
    done,
    ended,
    message,
    play,
    put_together,
    refused,
    summary,
    text,
)


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
