"""Recorded Responses streams in three cuts, against a reading of their own that looks only at whole items."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from chatmock.events import Opened, Usage
from tests.captures import Recording, parametrised, recordings
from tests.providers.responses_events import Said, decode, put_together

STREAMS = [
    recording
    for recording in recordings(
        "chatgpt-codex", "openai-responses", "xai-responses", "openrouter-responses", "lmstudio-responses"
    )
    if recording.kind == "sse"
]
_ENDS = ("response.completed", "response.incomplete", "response.failed")


def events_of(recording: Recording) -> Iterator[dict[str, Any]]:
    """The events of the recording's first response."""
    for line in recording.response.decode().splitlines():
        if not line.startswith("data:") or "[DONE]" in line:
            continue
        event = json.loads(line[5:])
        yield event
        if event["type"] in _ENDS:
            return


def expected(recording: Recording) -> Said:
    said = Said()
    items: dict[int, dict[str, Any]] = {}
    for event in events_of(recording):
        if event["type"] == "response.output_item.done":
            items[event["output_index"]] = event["item"]
    response = event["response"]
    if response["status"] == "failed":
        said.failed = response["error"]["code"]
        return said
    _read_items(said, list(items.values()))
    usage = response["usage"]
    said.usage = Usage(
        usage["input_tokens"],
        usage["output_tokens"],
        usage["input_tokens_details"]["cached_tokens"],
        usage["output_tokens_details"]["reasoning_tokens"],
    )
    reason = (response.get("incomplete_details") or {}).get("reason")
    complete = "tool_calls" if said.calls else "stop"
    said.finish = ({"max_output_tokens": "length", None: complete}[reason],)
    return said


def _read_items(said: Said, items: list[dict[str, Any]]) -> None:
    for item in items:
        if item["type"] == "function_call":
            said.calls.append([item["call_id"], item["name"], item["arguments"]])
        elif item["type"] == "reasoning":
            for kind, parts in (("summary", item["summary"]), ("text", item.get("content") or [])):
                for part in parts:
                    said.reasoning[len(said.reasoning)] = [kind, part["text"]]
            said.seals += [item["encrypted_content"]] if item.get("encrypted_content") else []
        elif item["type"] == "message":
            for part in item["content"]:
                said.text += part.get("text", "")
                said.refusal += part.get("refusal", "")
                said.citations += [
                    {"type": "url_citation", "url_citation": {k: v for k, v in cited.items() if k != "type"}}
                    for cited in part.get("annotations") or ()
                    if cited["type"] == "url_citation"
                ]


def cuts(data: bytes) -> dict[str, list[bytes]]:
    chance = random.Random(len(data))
    places = sorted(chance.sample(range(1, len(data)), min(60, len(data) - 1)))
    return {
        "bytes": [data[at : at + 1] for at in range(len(data))],
        "records": [block + b"\n\n" for block in data.split(b"\n\n") if block],
        "random": [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)],
    }


@parametrised(STREAMS)
def test_every_recording(recording: Recording) -> None:
    wanted = expected(recording)
    decoded = {cut: decode(pieces) for cut, pieces in cuts(recording.response).items()}
    assert put_together(decoded["records"]) == wanted
    assert repr(decoded["bytes"]) == repr(decoded["random"]) == repr(decoded["records"])
    first = next(events_of(recording))["response"]
    opened = [event for event in decoded["bytes"] if isinstance(event, Opened)]
    named = Opened(first["id"], int(first["created_at"]), first["model"])
    assert opened == ([] if wanted.failed else [named])
