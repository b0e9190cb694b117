"""An independent reader of Responses streams, which believes nothing that it has not seen grow."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ENDS = ("response.completed", "response.incomplete", "response.failed")
_GROWING = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_summary_text": "text",
    "response.reasoning_text": "text",
    "response.function_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
}
"""By the type without ``.delta`` and ``.done``: the field of the latter."""


def events_of(stream: bytes) -> list[dict[str, Any]]:
    """The events of *stream*, each of which must be of its type in the SDK, numbered, and named twice."""
    events = []
    *blocks, rest = stream.decode().split("\n\n")
    assert rest == ""
    for number, block in enumerate(blocks):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        EVENT.validate_python(event)
        events.append(event)
    return events


def runs(events: list[dict[str, Any]]) -> list[str]:
    """The types of *events*, a run of equal ones told once."""
    return [kind for kind, _ in groupby(event["type"].removeprefix("response.") for event in events)]


def final(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer that *events* end with, once everything in it has been told before."""
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert sum(event["type"] in ENDS for event in events) == 1
    response: dict[str, Any] = events[-1]["response"]
    Response.model_validate(response)
    ids = {event["response"]["id"] for event in events if "response" in event}
    assert ids == {response["id"]}
    if response["status"] != "failed":
        assert _grown(events) == response["output"]
        assert len({item["id"] for item in response["output"]}) == len(response["output"])
    return response


def _grown(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items, put together from deltas and compared with what is told whole."""
    open: dict[int, dict[str, Any]] = {}
    done: dict[int, dict[str, Any]] = {}
    grown: dict[tuple[Any, ...], str] = {}
    for event in events:
        kind, index = event["type"], event.get("output_index", -1)
        stem, _, end = kind.rpartition(".")
        if kind == "response.output_item.added":
            assert index == len(open) + len(done)
            open[index] = event["item"]
        elif kind == "response.output_item.done":
            assert open.pop(index)["id"] == event["item"]["id"]
            done[index] = event["item"]
        elif index >= 0:
            assert event["item_id"] == open[index]["id"]
            place = (stem, index, event.get("content_index"), event.get("summary_index"))
            if end == "delta":
                assert event["delta"]
                grown[place] = grown.get(place, "") + event["delta"]
            elif stem in _GROWING:
                assert event[_GROWING[stem]] == grown.pop(place, "")
    assert not open
    assert not grown
    return [done[index] for index in sorted(done)]
