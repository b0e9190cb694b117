"""The Responses API's routes, as ``/openapi.json`` tells of them; paths that begin like others come before those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock.openapi.operation import Operation

_STREAM: Final[Mapping[str, Any]] = {"text/event-stream": {}}
"""Records of the dialect, in server-sent events, and comments."""
_TOOL: Final = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a place.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
_ASKED: Final[Mapping[str, Any]] = {
    "a question": {"instructions": "Be brief.", "input": "Hello"},
    "streamed": {"input": [{"role": "user", "content": "Hello"}], "stream": True, "store": False},
    "with a tool": {"input": "What is the weather in Rome?", "tools": [_TOOL]},
}
_KEPT: Final = {"operationId": "retrieveResponse", "parameters": {"name": "$response.body#/id"}}


def _never(path: str, id: str, summary: str, refused: tuple[int, ...], method: str = "post") -> Operation:
    parameters = ("answer",) if "{" in path else ()
    return Operation(path, method, id, summary, parameters=parameters, never_done=True, refused=refused)


RESPONSES_OPERATIONS: Final = (
    Operation(
        "/v1/responses",
        "post",
        "createResponse",
        "Answer, whole or as a stream of records, perhaps going on from an earlier answer.",
        "ResponseAnswer",
        _STREAM,
        "ResponseRequest",
        _ASKED,
        ("provider", "chat_id"),
        (404, 502, 503, 504),
        asks_model=True,
        links={"kept": _KEPT},
    ),
    _never(
        "/v1/responses",
        "connectResponses",
        "Open a WebSocket (Upgrade: websocket, answered with 101), in which each frame {'type': 'response.create', …} is a"
        " request and each record of its answer a frame. Refused in any other form.",
        (),
        "get",
    ),
    _never(
        "/v1/responses/input_tokens", "countResponseTokens", "Refused: tokens are counted upstream.", (501,)
    ),
    _never("/v1/responses/compact", "compactResponse", "Refused: conversations are not compacted.", (501,)),
    _never(
        "/v1/responses/{name}/cancel",
        "cancelResponse",
        "Refused: there are no answers in the background.",
        (404,),
    ),
    Operation(
        "/v1/responses/{name}/input_items",
        "get",
        "listResponseInput",
        "What a kept answer of the client's was given to.",
        "ResponseItems",
        parameters=("answer", "order", "limit", "after"),
        refused=(404,),
    ),
    Operation(
        "/v1/responses/{name}",
        "get",
        "retrieveResponse",
        "A kept answer of the client's.",
        "ResponseAnswer",
        parameters=("answer",),
        refused=(404,),
    ),
    Operation(
        "/v1/responses/{name}",
        "delete",
        "deleteResponse",
        "Forget a kept answer of the client's.",
        "ResponseDeleted",
        parameters=("answer",),
        refused=(404,),
    ),
)
