"""The table of what the daemon answers, as :mod:`chatmock.routes` has it: one row for each path and method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock.openapi.anthropic_operations import ANTHROPIC_OPERATIONS, PAGING
from chatmock.openapi.embedding_operations import EMBEDDING_OPERATIONS
from chatmock.openapi.ollama_operations import OLLAMA_OPERATIONS
from chatmock.openapi.operation import Operation
from chatmock.openapi.responses_operations import RESPONSES_OPERATIONS

_STREAM: Final[Mapping[str, Any]] = {"text/event-stream": {}}
"""Records of the dialect, in server-sent events, and comments: their schema is not one of a whole body."""


_HELLO: Final = {"role": "user", "content": "Hello"}
_FUNCTION: Final = {
    "name": "weather",
    "description": "The weather in a place.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
_CHATS: Final[Mapping[str, Any]] = {
    "a question": {"messages": [{"role": "system", "content": "Be brief."}, _HELLO]},
    "streamed": {"messages": [_HELLO], "stream": True, "stream_options": {"include_usage": True}},
    "with a tool": {
        "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
        "tools": [{"type": "function", "function": _FUNCTION}],
    },
}
_TEXTS: Final[Mapping[str, Any]] = {
    "a text": {"prompt": "Once upon a time", "max_tokens": 20},
    "streamed": {"prompt": "Once upon a time", "stream": True},
}
_ASKED: Final = (404, 502, 503, 504)
_MODEL_LINK: Final = {"operationId": "retrieveModel", "parameters": {"name": "$response.body#/data/0/id"}}

OPERATIONS: Final = (
    Operation(
        "/v1/chat/completions",
        "post",
        "createChatCompletion",
        "Answer a chat, whole or as a stream of records.",
        "ChatAnswer",
        _STREAM,
        "ChatRequest",
        _CHATS,
        ("provider", "chat_id"),
        _ASKED,
        asks_model=True,
    ),
    Operation(
        "/v1/completions",
        "post",
        "createCompletion",
        "Go on from a text, whole or as a stream of records.",
        "CompletionAnswer",
        _STREAM,
        "CompletionRequest",
        _TEXTS,
        ("provider", "chat_id"),
        _ASKED,
        asks_model=True,
    ),
    *RESPONSES_OPERATIONS,
    *EMBEDDING_OPERATIONS,
    *OLLAMA_OPERATIONS,
    *ANTHROPIC_OPERATIONS,
    Operation(
        "/v1/models",
        "get",
        "listModels",
        "Every model of every usable provider.",
        "AnyModelList",
        parameters=PAGING,
        error="AnyError",
        refused=(502, 503, 504, 529),
        links={"model": _MODEL_LINK},
    ),
    Operation(
        "/v1/models/{name}",
        "get",
        "retrieveModel",
        "One model; its name may have slashes.",
        "AnyModel",
        parameters=("model", "anthropic-version"),
        error="AnyError",
        refused=(404, 502, 503, 504, 529),
    ),
    Operation("/v1/usage", "get", "readUsage", "What is left of the owner's plans.", "PlanUsage"),
    Operation("/api/queue", "get", "readQueue", "How many wait, and where the client stands.", "Queue"),
    Operation(
        "/api/providers/{name}/heal",
        "post",
        "healProvider",
        "Have a provider asked again that is left alone; for the owner, from this machine or with an admin key.",
        "Healed",
        parameters=("account",),
        refused=(404,),
    ),
    Operation(
        "/metrics",
        "get",
        "readMetrics",
        "The daemon's figures in Prometheus' text form.",
        other_types={"text/plain": {"schema": {"type": "string"}}},
    ),
    Operation("/health", "get", "health", "The process answers.", "Health", is_open=True),
    Operation("/healthz", "get", "healthz", "The same as /health.", "Health", is_open=True),
    Operation("/", "get", "root", "The same as /health.", "Health", is_open=True),
    Operation(
        "/readyz", "get", "ready", "Which providers are usable; 503 while none is.", "Readiness", unready=True
    ),
    Operation(
        "/ca",
        "get",
        "trustPage",
        "How to trust the certificate authority of this server, where it has one.",
        other_types={"text/html": {"schema": {"type": "string"}}},
        refused=(404,),
        is_open=True,
    ),
    Operation(
        "/ca.pem",
        "get",
        "authorityCertificate",
        "The certificate of that authority.",
        other_types={"application/x-x509-ca-cert": {}},
        refused=(404,),
        is_open=True,
    ),
    Operation(
        "/openapi.json",
        "get",
        "describe",
        "This description.",
        other_types={"application/json": {"schema": {"type": "object", "required": ["openapi", "paths"]}}},
    ),
)
