"""Builders of Responses events, and what a decoder's events say when they are put together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from chatmock.events import (
    Annotation,
    Event,
    EventOrder,
    Failed,
    Finished,
    Opened,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from chatmock.providers.responses_decoder import ResponsesDecoder

LIMIT = 1 << 23
USAGE = {
    "input_tokens": 7,
    "input_tokens_details": {"cached_tokens": 3},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 12,
}

Script = list[dict[str, Any]]

OPENED = Opened("resp_1", 1_700_000_000, "gpt-x")
USED = Usage(7, 5, cached_tokens=3, reasoning_tokens=2)
STOP = [USED, Finished(("stop",))]
CALLED = [USED, Finished(("tool_calls",))]


@attrs.define
class Said:
    """What an answer says, however it was cut."""

    text: str = ""
    refusal: str = ""
    reasoning: dict[int, list[str]] = attrs.field(factory=dict)
    """Kind and text by part."""
    calls: list[list[str]] = attrs.field(factory=list)
    """Id, name and arguments."""
    citations: list[Mapping[str, Any]] = attrs.field(factory=list)
    seals: list[str] = attrs.field(factory=list)
    usage: Usage | None = None
    finish: tuple[str, ...] = ()
    failed: str | None = None


def put_together(events: Iterable[Event]) -> Said:
    said = Said()
    for event in events:
        match event:
            case TextDelta(text):
                said.text += text
            case RefusalDelta(text):
                said.refusal += text
            case ReasoningDelta(text, kind, part):
                said.reasoning.setdefault(part, [kind, ""])[1] += text
            case ToolCallDelta(index, id, name, arguments):
                if id:
                    said.calls.append([id, name, ""])
                said.calls[index][2] += arguments
            case Annotation(value):
                said.citations.append(value)
            case ReasoningSeal(value):
                said.seals.append(value)
            case Usage():
                said.usage = event
            case Finished(reasons):
                said.finish = reasons
            case Failed(refusal):
                said.failed = refusal.code
            case Opened():
                pass
    return said


def decode(pieces: Iterable[bytes], **options: Any) -> list[Event]:
    """All events, in an order that was checked, up to an end that was checked too."""
    decoder = ResponsesDecoder("Upstream", options.pop("limit", LIMIT), **options)
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    events += decoder.close()
    order = EventOrder()
    order.check(events)
    assert order.ended
    assert decoder.feed(frame(text("more"))) == []
    assert decoder.close() == []
    return events


def play(script: Iterable[dict[str, Any]], **options: Any) -> list[Event]:
    return decode([frame(event) for event in script], **options)


def frame(event: dict[str, Any], newline: str = "\n") -> bytes:
    lines = [f"event: {event.get('type')}", f"data: {json.dumps(event, ensure_ascii=False)}", "", ""]
    return newline.join(lines).encode()


def created(**fields: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "created_at": 1_700_000_000, "model": "gpt-x", "output": [], "usage": None}
    return {"type": "response.created", "response": {**response, **fields}}


def ended(kind: str = "completed", **fields: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "status": kind, "output": [], "usage": USAGE}
    return {"type": f"response.{kind}", "response": {**response, **fields}}


def delta(kind: str, at: int, value: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": f"response.{kind}.delta",
        "output_index": at,
        "item_id": f"item_{at}",
        "delta": value,
        **fields,
    }


def text(value: str, at: int = 0, content_index: int = 0, **fields: Any) -> dict[str, Any]:
    return delta("output_text", at, value, content_index=content_index, **fields)


def summary(value: str, at: int = 0, part: int = 0) -> dict[str, Any]:
    return delta("reasoning_summary_text", at, value, summary_index=part)


def arguments(value: str, at: int) -> dict[str, Any]:
    return delta("function_call_arguments", at, value)


def added(at: int, **item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": at, "item": {"id": f"item_{at}", **item}}


def done(at: int, **item: Any) -> dict[str, Any]:
    return {**added(at, **item), "type": "response.output_item.done"}


def call(at: int, name: str = "weather", arguments: str = "", **fields: Any) -> dict[str, Any]:
    """The fields of a function call's item."""
    return {"type": "function_call", "call_id": f"call_{at}x", "name": name, "arguments": arguments, **fields}


def message(*texts: str, annotations: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The fields of a message's item."""
    parts = [{"type": "output_text", "text": each, "annotations": annotations or []} for each in texts]
    return {"type": "message", "role": "assistant", "content": parts}


def citation(url: str, start: int = 1, end: int = 4) -> dict[str, Any]:
    return {"type": "url_citation", "url": url, "title": "T", "start_index": start, "end_index": end}


def chat_citation(url: str, start: int = 1, end: int = 4) -> dict[str, Any]:
    value = {"url": url, "title": "T", "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": value}


def refused(events: list[Event]) -> Any:
    """The refusal of a stream that gave nothing else."""
    assert [type(event) for event in events] == [Failed]
    return events[0].refusal
