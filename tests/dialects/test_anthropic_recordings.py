"""What the real Anthropic has answered: chatmock's answers of the same content have the same fields, in the same order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatmock.dialects import Anthropic
from chatmock.errors import Kind, Refusal
from chatmock.events import (
    Event,
    FinishReason,
    ReasoningDelta,
    ReasoningSeal,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from tests.captures import Recording, parametrised, recordings
from tests.dialects.anthropic_reading import answered, asked, records, streamed, whole

FOUND = recordings("anthropic-messages")
THEIRS_ALONE = {
    "cache_creation",
    "service_tier",
    "inference_geo",
    "caller",
    "context_management",
    "container",
}
"""Fields that tell of Anthropic's own machinery."""
OURS = ("text", "thinking", "tool_use")
REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}


def shape(value: Any, *, order: bool) -> Any:
    """The fields of *value* and the types of what is in them."""
    if isinstance(value, dict):
        fields = [
            (name, shape(each, order=order)) for name, each in value.items() if name not in THEIRS_ALONE
        ]
        return fields if order else sorted(fields)
    if isinstance(value, list):
        return [shape(each, order=order) for each in value]
    return type(value).__name__


def steps(told: list[Any]) -> list[Any]:
    """The records of a stream without pings, with deltas of one kind that follow each other as one."""
    found: list[Any] = []
    for record in told:
        step = shape(record, order=True)
        if record["type"] != "ping" and (not found or found[-1] != step):
            found.append(step)
    return found


def events_of(told: list[Any]) -> list[Event]:
    """The content of a recorded stream."""
    events: list[Event] = []
    calls = 0
    for record in told:
        delta = record.get("delta", {})
        block = record.get("content_block", {})
        if block.get("type") == "tool_use":
            events.append(ToolCallDelta(calls, block["id"], block["name"]))
            calls += 1
        match delta.get("type"):
            case "text_delta":
                events.append(TextDelta(delta["text"]))
            case "thinking_delta":
                events.append(ReasoningDelta(delta["thinking"]))
            case "signature_delta":
                events.append(ReasoningSeal(delta["signature"]))
            case "input_json_delta":
                events.append(ToolCallDelta(calls - 1, arguments=delta["partial_json"]))
    return events


def own_records(data: bytes) -> list[Any]:
    blocks = data.decode().replace("\r\n", "\n").strip().split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for block in blocks for line in block.split("\n")[1:]]


STREAMS = [r for r in FOUND if r.kind == "sse"]
WHOLE = [r for r in FOUND if r.kind == "json" and r.status == 200]
ERRORS = [r for r in FOUND if r.status != 200]


@parametrised(STREAMS)
def test_streams(recording: Recording) -> None:
    theirs = own_records(recording.response)
    kinds = [each["content_block"]["type"] for each in theirs if "content_block" in each]
    if any(kind not in OURS for kind in kinds):
        pytest.skip("tools that run at Anthropic's")
    end = next(each for each in theirs if each["type"] == "message_delta")
    events = answered(*events_of(theirs), reason=REASONS[end["delta"]["stop_reason"]], more=[Usage(9, 5, 0)])
    ours = records(streamed(events, asked(thinking={"type": "adaptive"})))
    assert steps(ours) == steps(theirs)


@parametrised(WHOLE)
def test_whole_answers(recording: Recording) -> None:
    theirs = {"stop_sequence": None, "stop_details": None, **json.loads(recording.response)}
    if any(block["type"] not in OURS for block in theirs["content"]):
        pytest.skip("tools that run at Anthropic's")
    events: list[Event] = []
    thinking: dict[str, Any] = {"type": "adaptive"}
    for place, block in enumerate(theirs["content"]):
        match block["type"]:
            case "text":
                events.append(TextDelta(block["text"]))
            case "thinking":
                thinking["display"] = "summarized" if block["thinking"] else "omitted"
                events += [ReasoningDelta(block["thinking"]), ReasoningSeal(block["signature"])]
            case _:
                events.append(ToolCallDelta(place, block["id"], block["name"], json.dumps(block["input"])))
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    for index, call in enumerate(calls):
        events[events.index(call)] = ToolCallDelta(index, call.id, call.name, call.arguments)
    details = theirs["usage"].get("output_tokens_details")
    answer = answered(
        *events,
        reason=REASONS[theirs["stop_reason"]],
        more=[Usage(9, 5, 0, None if details is None else 3)],
        stop=theirs["stop_sequence"],
    )
    chat = asked(thinking=thinking)
    ours = whole(answer, chat).model_dump(mode="json", exclude_unset=True)
    assert shape(ours, order=False) == shape(theirs, order=False)


@parametrised(ERRORS)
def test_errors(recording: Recording) -> None:
    theirs = json.loads(recording.response)
    refusal = Refusal(Kind.NOT_FOUND, theirs["error"]["message"])
    assert Anthropic().status(refusal) == recording.status
    ours = json.loads(Anthropic().refuse(refusal, theirs["request_id"]))
    assert ours == theirs
