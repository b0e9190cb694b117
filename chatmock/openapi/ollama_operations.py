"""Ollama's routes, as ``/openapi.json`` tells of them.

A model must be named in their requests: the examples name the demo's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock.openapi.operation import Operation

_LINES: Final[Mapping[str, Any]] = {"application/x-ndjson": {}}
"""An object a line, all of the form of a whole answer but for the last ones' fields."""
_MODEL: Final[Mapping[str, Any]] = {"model": "demo"}
_HELLO: Final = {"role": "user", "content": "Hello"}
_FUNCTION: Final = {
    "name": "weather",
    "description": "The weather in a place.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
_CHATS: Final[Mapping[str, Any]] = {
    "streamed": {**_MODEL, "messages": [_HELLO]},
    "whole": {**_MODEL, "messages": [_HELLO], "stream": False, "options": {"temperature": 0.5}},
    "with a tool": {
        **_MODEL,
        "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
        "tools": [{"type": "function", "function": _FUNCTION}],
    },
    "load the model": _MODEL,
}
_TEXTS: Final[Mapping[str, Any]] = {
    "streamed": {**_MODEL, "prompt": "Once upon a time"},
    "whole": {**_MODEL, "prompt": "Once upon a time", "stream": False, "think": False},
}
_NAMED: Final[Mapping[str, Any]] = {"by its name": _MODEL}
_FETCHED: Final[Mapping[str, Any]] = {"streamed": _MODEL, "whole": {**_MODEL, "stream": False}}
_ERROR: Final = "OllamaError"
_READ: Final = (502, 503, 504)
_ASKED: Final = (404, *_READ)


def _read(path: str, id: str, summary: str, answers: str, *refused: int) -> Operation:
    return Operation(path, "get", id, summary, answers, error=_ERROR, refused=refused)


def _never(path: str, id: str, method: str = "post") -> Operation:
    summary = "Refused: chatmock keeps no models of its own."
    return Operation(path, method, id, summary, error=_ERROR, never_done=True, refused=(501,))


OLLAMA_OPERATIONS: Final = (
    Operation(
        "/api/chat",
        "post",
        "ollamaChat",
        "Answer a chat, as a stream of lines unless stream is false.",
        "OllamaChatAnswer",
        _LINES,
        "OllamaChatRequest",
        _CHATS,
        ("provider", "chat_id"),
        error=_ERROR,
        refused=_ASKED,
        asks_model=True,
    ),
    Operation(
        "/api/generate",
        "post",
        "ollamaGenerate",
        "Answer a prompt, as a stream of lines unless stream is false.",
        "OllamaTextAnswer",
        _LINES,
        "OllamaTextRequest",
        _TEXTS,
        ("provider", "chat_id"),
        error=_ERROR,
        refused=_ASKED,
        asks_model=True,
    ),
    Operation(
        "/api/show",
        "post",
        "ollamaShow",
        "What is known of a model.",
        "OllamaShown",
        body="OllamaNamed",
        examples=_NAMED,
        parameters=("provider",),
        error=_ERROR,
        refused=_ASKED,
    ),
    Operation(
        "/api/pull",
        "post",
        "ollamaPull",
        "Fetch a model: at once where it is listed; a moved Ollama is asked for others, by the owner only.",
        "OllamaStatus",
        _LINES,
        "OllamaNamed",
        _FETCHED,
        ("provider",),
        error=_ERROR,
        refused=_ASKED,
    ),
    _read("/api/version", "ollamaVersion", "Which Ollama's API this is.", "OllamaVersion"),
    _read("/api/tags", "ollamaTags", "Every model of every usable provider.", "OllamaTags", *_READ),
    _read("/api/ps", "ollamaLoaded", "The models in memory, of an Ollama.", "OllamaLoaded"),
    _read("/api/status", "ollamaStatus", "Whether Ollama's cloud is to be had.", "OllamaState"),
    Operation(
        "/api/me",
        "post",
        "ollamaMe",
        "Refused: chatmock is signed in at no ollama.com.",
        error=_ERROR,
        never_done=True,
        refused=(401,),
    ),
    Operation(
        "/api/signout",
        "post",
        "ollamaSignout",
        "Sign out of ollama.com, where nobody is signed in.",
        "OllamaNothing",
        error=_ERROR,
    ),
    _never("/api/create", "ollamaCreate"),
    _never("/api/copy", "ollamaCopy"),
    _never("/api/push", "ollamaPush"),
    _never("/api/delete", "ollamaDelete", "delete"),
    Operation(
        "/api/blobs/{digest}",
        "post",
        "ollamaBlob",
        "Refused: chatmock keeps no models of its own.",
        parameters=("digest",),
        error=_ERROR,
        never_done=True,
        refused=(501,),
    ),
)
