"""A chat request as OpenAI chat JSON: the client's own body with few edits, or built anew from another dialect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from chatmock.conversation import (
    Attachment,
    ChatRequest,
    Image,
    Message,
    Part,
    Reasoning,
    RefusalText,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

MAX_TOKENS_FIELDS = ("max_tokens", "max_completion_tokens")


def request_body(chat: ChatRequest, wire: str, stream: bool) -> dict[str, Any]:
    """The JSON object that asks *chat* of an upstream that speaks *wire*, streamed or not.

    A stream is always asked to end with its usage: the counts are chatmock's too.
    """
    if chat.source is not None and chat.source.wire == wire:
        body = dict(chat.source.body)
        _clamp(body, chat.max_tokens)
    else:
        body = _build(chat)
    body["model"] = chat.model
    if stream:
        options = body.get("stream_options")
        body["stream"] = True
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    else:
        body.pop("stream_options", None)
        if "stream" in body:
            body["stream"] = False
    return body


def without_fields(chat: ChatRequest, names: Sequence[str]) -> ChatRequest:
    """*chat* without the request fields *names*, wherever it keeps them."""
    changes: dict[str, Any] = {"extras": {k: v for k, v in chat.extras.items() if k not in names}}
    if "reasoning_effort" in names:
        changes["reasoning_effort"] = None
    if chat.source is not None:
        body = {k: v for k, v in chat.source.body.items() if k not in names}
        changes["source"] = Source(chat.source.wire, body)
    return attrs.evolve(chat, **changes)


def with_messages(chat: ChatRequest, kept: Sequence[int]) -> ChatRequest:
    """*chat* with only the messages at the positions *kept*."""
    changes: dict[str, Any] = {"messages": tuple(chat.messages[position] for position in kept)}
    if chat.source is not None and chat.source.wire == "openai-chat":
        theirs = chat.source.body["messages"]
        body = {**chat.source.body, "messages": [theirs[position] for position in kept]}
        changes["source"] = Source(chat.source.wire, body)
    return attrs.evolve(chat, **changes)


def _clamp(body: dict[str, Any], most: int | None) -> None:
    for field in MAX_TOKENS_FIELDS:
        if most is not None and isinstance(body.get(field), int) and body[field] > most:
            body[field] = most


def _build(chat: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {**chat.extras, "messages": [_message(message) for message in chat.messages]}
    optional: dict[str, Any] = {
        "max_tokens": chat.max_tokens,
        "stop": None if chat.tell_stop else list(chat.stop) or None,
        "reasoning_effort": chat.reasoning_effort,
        "n": chat.choices if chat.choices != 1 else None,
        "logprobs": chat.logprobs or None,
        "top_logprobs": chat.top_logprobs,
        "response_format": _response_format(chat),
    }
    if chat.tools:
        optional["tools"] = [_tool(tool) for tool in chat.tools]
        optional["tool_choice"] = _tool_choice(chat)
        optional["parallel_tool_calls"] = None if chat.parallel_tool_calls else False
    body.update((field, value) for field, value in optional.items() if value is not None)
    return body


def _message(message: Message) -> dict[str, Any]:
    built: dict[str, Any] = {"role": message.role}
    if message.name is not None:
        built["name"] = message.name
    content: list[dict[str, Any]] = []
    for part in message.parts:
        match part:
            case ToolCall(id, name, arguments):
                call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
                built.setdefault("tool_calls", []).append(call)
            case ToolResult(id, parts):
                built["tool_call_id"] = id
                content.extend(_part(inner) for inner in parts)
            case Reasoning():
                pass  # upstreams of this dialect take none back
            case _:
                content.append(_part(part))
    if content and all(part["type"] == "text" for part in content):
        built["content"] = "".join(part["text"] for part in content)
    else:
        built["content"] = content or None
    return built


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(url, detail):
            return {"type": "image_url", "image_url": {"url": url, **({"detail": detail} if detail else {})}}
        case RefusalText(text):
            return {"type": "refusal", "refusal": text}
        case Attachment(value=value):
            return dict(value)
        case _:
            raise TypeError(f"{part!r} has no place in a message's content")


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "description": tool.description}
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _tool_choice(chat: ChatRequest) -> str | dict[str, Any]:
    if chat.tool_choice.mode == "named":
        return {"type": "function", "function": {"name": chat.tool_choice.name}}
    return chat.tool_choice.mode


def _response_format(chat: ChatRequest) -> dict[str, Any] | None:
    wanted = chat.response_format
    if wanted.kind == "text":
        return None
    if wanted.kind == "json_object":
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": wanted.name, "schema": wanted.schema}
    if wanted.strict:
        schema["strict"] = True
    return {"type": "json_schema", "json_schema": schema}
