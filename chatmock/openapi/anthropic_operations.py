"""Anthropic's routes, as ``/openapi.json`` tells of them.

A model must be named in their requests. Those of the examples begin with ``claude``: they mean the default model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock.dialects.anthropic_models import MOST
from chatmock.openapi.operation import Operation
from chatmock.openapi.schemas import STRING

_STREAM: Final[Mapping[str, Any]] = {"text/event-stream": {}}
_MODEL: Final[Mapping[str, Any]] = {"model": "claude"}
_HELLO: Final = {"role": "user", "content": "Hello"}
_WEATHER: Final = {
    "name": "weather",
    "description": "The weather in a place.",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
_MESSAGES: Final[Mapping[str, Any]] = {
    "a question": {**_MODEL, "max_tokens": 1000, "system": "Be brief.", "messages": [_HELLO]},
    "streamed": {**_MODEL, "max_tokens": 1000, "messages": [_HELLO], "stream": True},
    "with a tool": {
        **_MODEL,
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is the weather in Rome?"}]}],
        "tools": [_WEATHER],
    },
}
_COUNTED: Final[Mapping[str, Any]] = {"a question": {**_MODEL, "system": "Be brief.", "messages": [_HELLO]}}
_ERROR: Final = "AnthropicError"
PAGING: Final = ("anthropic-version", "limit", "after_id", "before_id")
"""The parameters of the list of models."""

ANTHROPIC_OPERATIONS: Final = (
    Operation(
        "/v1/messages",
        "post",
        "createMessage",
        "Answer a conversation, whole or as a stream of records.",
        "AnthropicAnswer",
        _STREAM,
        "AnthropicRequest",
        _MESSAGES,
        ("provider", "chat_id"),
        error=_ERROR,
        refused=(404, 502, 504, 529),
        asks_model=True,
    ),
    Operation(
        "/v1/messages/count_tokens",
        "post",
        "countTokens",
        "About how many tokens such a conversation takes.",
        "AnthropicCount",
        body="AnthropicCountRequest",
        examples=_COUNTED,
        error=_ERROR,
        told=("X-Chatmock-Estimate",),
    ),
)


def paging_parameters() -> dict[str, Any]:
    """The shared parameters of :data:`PAGING`, which count where the first is sent."""
    names: dict[str, tuple[str, Any, str]] = {
        "anthropic-version": ("header", STRING, "Asks for Anthropic's form, whichever version it names."),
        "limit": (
            "query",
            {"type": "integer", "minimum": 1, "maximum": MOST},
            "Models on a page, in Anthropic's form.",
        ),
        "after_id": ("query", STRING, "The model to go on after, in Anthropic's form."),
        "before_id": ("query", STRING, "The model to go back from, in Anthropic's form."),
    }
    return {
        name: {"name": name, "in": place, "description": words, "schema": schema}
        for name, (place, schema, words) in names.items()
    }
