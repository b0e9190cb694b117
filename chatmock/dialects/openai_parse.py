"""Reads the body of an OpenAI chat request into a :class:`ChatRequest` (spec upstreams.md, D1)."""

from __future__ import annotations

from typing import Any, Literal

from chatmock.conversation import (
    Attachment,
    ChatRequest,
    Image,
    Message,
    Part,
    RefusalText,
    ResponseFormat,
    Role,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from chatmock.dialects.reading import MOST_STOPS, FunctionBody, read_object, read_shape
from chatmock.errors import Refusal, bad_request
from chatmock.jsontext import Struct


class MessageBody(Struct):
    """A message; content is checked part by part."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    function_call: dict[str, Any] | None = None
    tool_call_id: str | None = None


class StreamOptions(Struct):
    """How a stream is to look."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class FormatBody(Struct):
    """The wanted form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None


class ChatBody(Struct):
    """The fields of a chat request that chatmock reads itself; the rest is passed on, see ``extras``."""

    messages: list[MessageBody]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    functions: list[FunctionBody] | None = None
    tool_choice: str | dict[str, Any] | None = None
    function_call: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    response_format: FormatBody | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None


HOMED_FIELDS = frozenset(
    [
        "messages",
        "model",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "stop",
        "tools",
        "functions",
        "tool_choice",
        "function_call",
        "parallel_tool_calls",
        "reasoning_effort",
        "response_format",
        "logprobs",
        "top_logprobs",
    ]
)
"""Fields with a home in :class:`ChatRequest`; every other one goes into its ``extras``."""

MOST_CHOICES = 128


def parse_chat(data: bytes, wire: str) -> ChatRequest:
    """Read a chat request body.

    :raises Refusal: bad request, naming the field at fault.
    """
    body = read_object(data)
    asked = read_shape(body, ChatBody)
    if not asked.messages:
        raise bad_request("'messages' is empty: send at least one message.", param="messages")
    return ChatRequest(
        model=asked.model or "",
        messages=tuple(_message(message, f"messages[{i}]") for i, message in enumerate(asked.messages)),
        stream=bool(asked.stream),
        include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
        tools=_tools(asked),
        other_tools=tuple(t for t in asked.tools or () if t.get("type") not in ("function", "custom")),
        tool_choice=_tool_choice(asked),
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        choices=read_choices(asked.n),
        max_tokens=read_max_tokens(asked.max_completion_tokens, asked.max_tokens),
        stop=read_stop(asked.stop),
        reasoning_effort=asked.reasoning_effort,
        response_format=_response_format(asked.response_format),
        logprobs=bool(asked.logprobs),
        top_logprobs=asked.top_logprobs,
        extras={k: v for k, v in body.items() if k not in HOMED_FIELDS and v is not None},
        source=Source(wire, body),
    )


def _at_least_one(value: int | None, field: str) -> int | None:
    """*value*, which must be positive where given."""
    if value is not None and value < 1:
        raise bad_request(f"{field!r} must be at least 1, not {value}.", param=field)
    return value


def read_choices(n: int | None) -> int:
    """How many answers are wanted side by side; OpenAI gives up to :data:`MOST_CHOICES`."""
    wanted = _at_least_one(n, "n") or 1
    if wanted > MOST_CHOICES:
        raise bad_request(f"'n' is {wanted}; {MOST_CHOICES} are the most.", param="n")
    return wanted


def read_stop(stop: str | list[str] | None) -> tuple[str, ...]:
    """The stop sequences of a request; OpenAI takes up to :data:`MOST_STOPS`."""
    sequences = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(sequences) > MOST_STOPS:
        raise bad_request(f"'stop' has {len(sequences)} sequences; {MOST_STOPS} are the most.", param="stop")
    return tuple(sequence for sequence in sequences if sequence)


def read_max_tokens(newer: int | None, older: int | None) -> int | None:
    """The most tokens of an answer: ``max_completion_tokens``, else ``max_tokens``, the older name of the same."""
    wanted = _at_least_one(newer, "max_completion_tokens")
    fallback = _at_least_one(older, "max_tokens")
    return fallback if wanted is None else wanted


def _message(asked: MessageBody, where: str) -> Message:
    parts: list[Part] = []
    if asked.role in ("tool", "function"):
        id = asked.tool_call_id or asked.name
        if not id:
            raise bad_request(f"'{where}' needs the 'tool_call_id' it answers.", f"{where}.tool_call_id")
        inner = tuple(p for p in _content(asked.content, where) if isinstance(p, Text | Image | Attachment))
        return Message("tool", (ToolResult(id, inner),), asked.name)
    parts.extend(_content(asked.content, where))
    if asked.refusal:
        parts.append(RefusalText(asked.refusal))
    for i, call in enumerate(asked.tool_calls or ()):
        parts.append(_tool_call(call, f"{where}.tool_calls[{i}]"))
    if asked.function_call:
        name = str(asked.function_call.get("name", ""))
        parts.append(ToolCall(name, name, str(asked.function_call.get("arguments", ""))))
    if not parts and asked.role != "assistant" and asked.content is None:
        raise bad_request(f"'{where}' has no content.", param=f"{where}.content")
    role: Role = asked.role  # type: ignore[assignment]  # "function" is dealt with above
    return Message(role, tuple(parts), asked.name)


def _content(content: str | list[dict[str, Any]] | None, where: str) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)] if content else []
    return [_part(part, f"{where}.content[{i}]") for i, part in enumerate(content)]


def _part(part: dict[str, Any], where: str) -> Part:
    kind = part.get("type")
    if not isinstance(kind, str):
        raise bad_request(f"'{where}' has no 'type'.", param=f"{where}.type")
    value = part.get(kind)
    match kind:
        case "text" | "refusal" if isinstance(value, str):
            return Text(value) if kind == "text" else RefusalText(value)
        case "image_url" if isinstance(value, dict) and isinstance(value.get("url"), str):
            detail = value.get("detail")
            return Image(value["url"], detail if isinstance(detail, str) else None)
        case "text" | "refusal" | "image_url":
            raise bad_request(f"'{where}.{kind}' is missing or of the wrong type.", param=f"{where}.{kind}")
        case _:
            return Attachment(kind, part)


def _tool_call(call: dict[str, Any], where: str) -> ToolCall:
    kind = "custom" if call.get("type") == "custom" else "function"
    called = call.get(kind)
    id = call.get("id")
    text = called.get("input" if kind == "custom" else "arguments") if isinstance(called, dict) else None
    if not isinstance(called, dict) or not isinstance(id, str) or not isinstance(called.get("name"), str):
        raise bad_request(f"'{where}' needs 'id' and '{kind}' with a 'name'.", param=where)
    if text is not None and not isinstance(text, str):
        raise bad_request(f"The arguments of '{where}' must be a string.", param=f"{where}.{kind}.arguments")
    return ToolCall(id, called["name"], text or "")


def _tools(asked: ChatBody) -> tuple[Tool, ...]:
    tools = [_function(function) for function in asked.functions or ()]
    for i, tool in enumerate(asked.tools or ()):
        kind = tool.get("type")
        if kind == "function":
            try:
                tools.append(_function(read_shape(tool.get("function") or {}, FunctionBody)))
            except Refusal as refusal:
                where = f"tools[{i}].function"
                refusal.param = f"{where}.{refusal.param}" if refusal.param else where
                raise
        elif kind == "custom":
            custom = tool.get("custom")
            if not isinstance(custom, dict) or not isinstance(custom.get("name"), str):
                raise bad_request(f"'tools[{i}]' needs 'custom' with a 'name'.", param=f"tools[{i}].custom")
            tools.append(Tool(custom["name"], str(custom.get("description", "")), None))
        elif not isinstance(kind, str):
            raise bad_request(f"'tools[{i}]' has no 'type'.", param=f"tools[{i}].type")
    return tuple(tools)


def _function(function: FunctionBody) -> Tool:
    return Tool(
        function.name, function.description or "", function.parameters or {}, strict=bool(function.strict)
    )


def _tool_choice(asked: ChatBody) -> ToolChoice:
    older = asked.function_call
    wanted = [
        _read_choice(asked.tool_choice, "tool_choice"),
        _read_choice({"function": older} if isinstance(older, dict) else older, "function_call"),
    ]
    return next((each for each in wanted if each is not None), ToolChoice("auto"))


def _read_choice(choice: str | dict[str, Any] | None, field: str) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required"):
            raise bad_request(f"{field!r} is none, auto, required or an object, not {choice[:50]!r}.", field)
        return ToolChoice(choice)  # type: ignore[arg-type]  # just checked
    kind = choice.get("type", "function")
    if kind == "allowed_tools":
        allowed = choice.get("allowed_tools")
        return ToolChoice(
            "required" if isinstance(allowed, dict) and allowed.get("mode") == "required" else "auto"
        )
    named = choice.get(kind) if isinstance(kind, str) else None
    if not isinstance(named, dict) or not isinstance(named.get("name"), str):
        raise bad_request(f"{field!r} does not name a tool.", param=field)
    return ToolChoice("named", named["name"])


def _response_format(asked: FormatBody | None) -> ResponseFormat:
    if asked is None or asked.type == "text":
        return ResponseFormat()
    if asked.type == "json_object":
        return ResponseFormat("json_object")
    wanted = asked.json_schema
    if wanted is None or not isinstance(wanted.get("schema"), dict):
        raise bad_request(
            "'response_format.json_schema' needs a 'schema'.", param="response_format.json_schema.schema"
        )
    return ResponseFormat(
        "json_schema", str(wanted.get("name", "")), wanted["schema"], strict=bool(wanted.get("strict"))
    )
