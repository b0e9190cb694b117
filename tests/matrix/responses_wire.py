"""Scenarios on the wire of OpenAI's Responses (spec upstreams.md, D3)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from tests.matrix.chat_stage import TROUBLE
from tests.matrix.scenario import Heard, Scenario
from tests.upstreams.chatgpt_backend import Script


def events(scenario: Scenario, model: str) -> list[dict[str, Any]]:
    """The events of *scenario*: without a last one where it is cut short."""
    script = Script(model)
    if scenario.thinking:
        script.reasoning(scenario.thinking)
        script.events[-1]["item"]["encrypted_content"] = scenario.seal or None
    if scenario.text:
        script.text(*scenario.text)
    if scenario.refusal:
        script.refusal(*scenario.refusal)
    if scenario.calls:
        script.calls(*((call.id, call.name, call.text) for call in scenario.calls))
    match scenario.ending:
        case "complete":
            script.end(usage=_usage(scenario))
        case "error":
            script.end("failed", error={"code": "server_error", "message": TROUBLE})
    return script.events


def whole(scenario: Scenario, model: str) -> dict[str, Any]:
    """The same as one object, for who wants no stream."""
    said = events(scenario, model)
    response: dict[str, Any] = said[-1]["response"] if "response" in said[-1] else said[0]["response"]
    output = [event["item"] for event in said if event["type"] == "response.output_item.done"]
    return {**response, "output": output}


def heard(body: Mapping[str, Any]) -> Heard:
    """What the request *body* asks."""
    items = [item for item in body["input"] if isinstance(item, dict)]
    parts = [part for item in items if isinstance(item.get("content"), list) for part in item["content"]]
    return Heard(
        tools={tool["name"] for tool in body.get("tools") or ()},
        results=_results(items),
        seals=[item["encrypted_content"] for item in items if item.get("encrypted_content")],
        pictures=[_picture(part["image_url"]) for part in parts if part["type"] == "input_image"],
        schema=((body.get("text") or {}).get("format") or {}).get("schema"),
        thinks=(body.get("reasoning") or {}).get("effort") not in (None, "none"),
    )


def _results(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the tools answered, in the order of their calls. Fails where a result is of no call, or a call has none."""
    calls = [item["call_id"] for item in items if item.get("type") == "function_call"]
    results = {
        item["call_id"]: item["output"] for item in items if item.get("type") == "function_call_output"
    }
    assert set(calls) == set(results), items
    return [results[id] for id in calls]


def _picture(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2])


def _usage(scenario: Scenario) -> dict[str, Any]:
    tokens = scenario.usage
    return {
        "input_tokens": tokens.asked,
        "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.answered,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.asked + tokens.answered,
    }
