"""Requests of Anthropic's clients, and their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chatmock.dialects.anthropic_blocks import (
    BLOCKS_OF,
    PICTURES,
    SERVER_BLOCKS,
    DocumentBlock,
    ImageBlock,
    RedactedThinkingBlock,
    SearchResultBlock,
    SourceBody,
    Speaker,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from chatmock.dialects.anthropic_parse import LEAST_BUDGET, MOST_STOPS, CountBody, ThinkingBody
from chatmock.dialects.anthropic_tools import TOOL_NAME, ToolBody, ToolChoiceBody
from chatmock.jsontext import Struct
from chatmock.openapi.schemas import (
    COUNT,
    INTEGER,
    NOT_EMPTY,
    NULL,
    OBJECT,
    STRING,
    Schema,
    array,
    closed,
    derived,
    nullable,
    open_object,
    ref,
)

_POSITIVE: Final = {**INTEGER, "minimum": 1}
_TEXT: Final = nullable(STRING)
_NAME: Final = {"type": "string", "pattern": TOOL_NAME}
_FRACTION: Final = nullable({"type": "number", "minimum": 0, "maximum": 1})
_BASE64: Final = {
    "type": "string",
    "minLength": 1,
    "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
_SHAPES: Final[Mapping[str, type[Struct]]] = {
    "text": TextBlock,
    "image": ImageBlock,
    "document": DocumentBlock,
    "search_result": SearchResultBlock,
    "tool_use": ToolUseBlock,
    "tool_result": ToolResultBlock,
    "thinking": ThinkingBlock,
    "redacted_thinking": RedactedThinkingBlock,
}
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("text",),
    "image": ("source",),
    "document": ("source",),
    "search_result": ("source", "title", "content"),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
    "thinking": ("thinking",),
    "redacted_thinking": ("data",),
}
_NAMES: Final[Mapping[Speaker, str]] = {
    "user": "AnthropicUserBlock",
    "assistant": "AnthropicAssistantBlock",
    "system": "AnthropicText",
    "tool": "AnthropicResultBlock",
}


def anthropic_request_schemas(max_messages: int, max_message_chars: int) -> dict[str, Schema]:
    """The shared schemas of requests, under the limits of the settings of the same names."""
    fields = {
        **derived(CountBody),
        "model": NOT_EMPTY,
        "messages": array(ref("AnthropicMessage"), minItems=1, maxItems=max_messages),
        "system": nullable(_content("system")),
        "max_tokens": nullable(_POSITIVE),
        "temperature": _FRACTION,
        "top_p": _FRACTION,
        "top_k": nullable({**INTEGER, "minimum": 0}),
        "stop_sequences": nullable(array(STRING, maxItems=MOST_STOPS)),
        "tools": nullable({**array(_tool()), "description": "No two have the same name."}),
        "tool_choice": nullable(_tool_choice()),
        "thinking": nullable(_thinking()),
    }
    words = f"All text of a message has at most {max_message_chars} characters; that of tool calls counts. Each call has its"
    words += " result in the user's next message, and each result its call in the message before."
    return {
        "AnthropicRequest": {
            "description": "max_tokens is lowered to the server's limit, which X-Chatmock-Clamped then tells.",
            **open_object({**fields, "max_tokens": _POSITIVE}, ["model", "messages", "max_tokens"]),
        },
        "AnthropicCountRequest": open_object(fields, ["model", "messages"]),
        "AnthropicMessage": {
            "description": words,
            "anyOf": [
                open_object({"role": {"const": role}, "content": _content(role)}, ["role", "content"])
                for role in ("user", "assistant", "system")
            ],
        },
        **{_NAMES[speaker]: _blocks(speaker) for speaker in _NAMES},
    }


def anthropic_answer_schemas() -> dict[str, Schema]:
    """The shared schemas of answers."""
    counts = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    usage = open_object(dict.fromkeys(counts, COUNT), counts)
    message: dict[str, Schema] = {
        "model": STRING,
        "id": {"type": "string", "pattern": "^msg_"},
        "type": {"const": "message"},
        "role": {"const": "assistant"},
        "content": array(_answered()),
        "stop_reason": {"enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]},
        "stop_sequence": _TEXT,
        "stop_details": NULL,
        "usage": usage,
    }
    page: dict[str, Schema] = {
        "data": array(ref("AnthropicModel")),
        "has_more": {"type": "boolean"},
        "first_id": _TEXT,
        "last_id": _TEXT,
    }
    return {
        "AnthropicAnswer": closed(message),
        "AnthropicCount": closed({"input_tokens": {**COUNT, "description": "An estimate."}}),
        "AnthropicModel": _model(),
        "AnthropicModelList": closed(page),
        "AnyModel": _by_header("Model", "AnthropicModel"),
        "AnyModelList": _by_header("ModelList", "AnthropicModelList"),
    }


def anthropic_error_schemas() -> dict[str, Schema]:
    """The shared schemas of refusals: of Anthropic's own routes, and of those that it has in common with OpenAI."""
    error = closed(
        {
            "type": STRING,
            "message": {**STRING, "description": "What failed, whose fault it is, what to do next."},
        }
    )
    refusal: dict[str, Schema] = {"type": {"const": "error"}, "error": error, "request_id": STRING}
    return {"AnthropicError": closed(refusal), "AnyError": _by_header("Error", "AnthropicError")}


def _by_header(plain: str, anthropic: str) -> Schema:
    words = "In Anthropic's form for a request with the header anthropic-version or anthropic-beta."
    return {"description": words, "anyOf": [ref(plain), ref(anthropic)]}


def _content(speaker: Speaker) -> Schema:
    if speaker == "user":
        return {"anyOf": [NOT_EMPTY, array(ref(_NAMES[speaker]), minItems=1)]}
    return {"anyOf": [STRING, array(ref(_NAMES[speaker]))]}


def _blocks(speaker: Speaker) -> Schema:
    own = [_block(kind) for kind in sorted(BLOCKS_OF[speaker])]
    if speaker == "system":
        return own[0]
    servers = open_object({"type": {"enum": sorted(SERVER_BLOCKS)}}, ["type"])
    return {"anyOf": [*own, {**servers, "description": "Kept as text where it holds any."}]}


def _block(kind: str) -> Schema:
    own: dict[str, Mapping[str, Schema]] = {
        "image": {"source": _source(documents=False)},
        "document": {"source": _source(documents=True)},
        "search_result": {"content": array(ref(_NAMES["system"]))},
        "tool_result": {"content": nullable(_content("tool"))},
    }
    fields = {"type": {"const": kind}, **derived(_SHAPES[kind]), **own.get(kind, {})}
    return open_object(fields, ["type", *_NEEDED[kind]])


def _source(*, documents: bool) -> Schema:
    fields = derived(SourceBody)
    media_type: Schema = {"enum": list(PICTURES)}
    if documents:
        media_type = {"type": "string", "pattern": "^[A-Za-z0-9.+-]{1,60}/[A-Za-z0-9.+-]{1,60}$"}
    forms: dict[str, Mapping[str, Schema]] = {
        "base64": {"media_type": media_type, "data": _BASE64},
        "url": {"url": {"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"}},
    }
    if documents:
        forms.update({"text": {"data": NOT_EMPTY}, "content": {"content": _content("tool")}})
    return {
        "anyOf": [
            open_object({**fields, "type": {"const": kind}, **own}, ["type", *own])
            for kind, own in forms.items()
        ]
    }


def _tool() -> Schema:
    fields = derived(ToolBody)
    own = {**fields, "type": {"enum": ["custom", None]}, "name": _NAME, "input_schema": OBJECT}
    other = {**fields, "type": {"type": "string", "not": {"const": "custom"}}}
    return {
        "description": "What the model may call; of Anthropic's own tools only web_search is known to some upstreams.",
        "anyOf": [open_object(own, ["name", "input_schema"]), open_object(other, ["type"])],
    }


def _tool_choice() -> Schema:
    fields = derived(ToolChoiceBody)
    return {
        "anyOf": [
            open_object({**fields, "type": {"enum": ["auto", "any", "none"]}}, ["type"]),
            open_object({**fields, "type": {"const": "tool"}, "name": NOT_EMPTY}, ["type", "name"]),
        ]
    }


def _thinking() -> Schema:
    fields = derived(ThinkingBody)
    others = {"enum": ["adaptive", "between_tools", "disabled"]}
    enabled = {**fields, "type": {"const": "enabled"}, "budget_tokens": {**INTEGER, "minimum": LEAST_BUDGET}}
    return {
        "anyOf": [
            open_object(enabled, ["type", "budget_tokens"]),
            open_object({**fields, "type": others}, ["type"]),
        ]
    }


def _answered() -> Schema:
    return {
        "anyOf": [
            closed({"type": {"const": "text"}, "text": STRING}),
            closed({"type": {"const": "thinking"}, "thinking": STRING, "signature": STRING}),
            closed({"type": {"const": "redacted_thinking"}, "data": STRING}),
            closed({"type": {"const": "tool_use"}, "id": STRING, "name": STRING, "input": OBJECT}),
        ]
    }


def _model() -> Schema:
    fields: dict[str, Schema] = {
        "type": {"const": "model"},
        "id": STRING,
        "display_name": STRING,
        "created_at": {"type": "string", "format": "date-time"},
        "lifecycle": {"const": "active"},
        "max_input_tokens": COUNT,
    }
    return closed(fields, ["max_input_tokens"])
