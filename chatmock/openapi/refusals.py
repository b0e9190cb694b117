"""How clients are refused: the shared responses, one for each status, and the headers of all answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from chatmock.openapi.schemas import STRING, Schema, closed, nullable, ref

_WORDS: Final[Mapping[int, str]] = {
    400: "The request is at fault; param names the field, where it is one.",
    401: "A key of this server is needed: Authorization: Bearer, x-api-key, or the password of Basic.",
    403: "The client, or the page in whose name it asks, may not do this.",
    404: "There is no such path, model or provider.",
    405: "The path has other methods; Allow names them.",
    408: "The request did not come in time.",
    413: "The body is too large.",
    414: "The path and query are too long.",
    415: "The body is compressed, or a browser did not send JSON as such.",
    421: "This server does not have the name it was called by.",
    429: "Too many requests, too many in the queue, or the account is used up upstream.",
    431: "The header fields are too large or too many.",
    500: "A fault of chatmock.",
    501: "The provider has no such thing; another one may.",
    502: "The upstream failed.",
    503: "Nobody can answer now.",
    504: "The upstream did not answer in time.",
    529: "Nobody can answer now.",
}
ALWAYS: Final = (400, 403, 405, 408, 413, 414, 415, 421, 431, 500)
"""What any request may meet before its route is asked."""
GUARDED: Final = (401, 429)
"""What those besides may meet that need a key."""

_RETRY: Final = frozenset({429, 503, 529})


def ollama_error_schema() -> Schema:
    """The schema of Ollama's refusals."""
    return closed({"error": {**STRING, "description": "What failed, whose fault it is, what to do next."}})


def error_schema() -> Schema:
    """The schema of OpenAI's error object, the body of all other refusals."""
    error = {
        "type": "object",
        "properties": {
            "message": {"type": "string", "description": "What failed, whose fault it is, what to do next."},
            "type": STRING,
            "param": nullable(STRING),
            "code": nullable(STRING),
        },
        "required": ["message", "type", "param", "code"],
    }
    return {
        "type": "object",
        "properties": {"error": error},
        "required": ["error"],
        "additionalProperties": False,
    }


def headers() -> dict[str, Any]:
    """The shared headers."""
    notes = {
        "X-Chatmock-Clamped": "A wish that was lowered to the server's limit: max_tokens=2048.",
        "X-Chatmock-Ignored": "Fields of the request that the upstream does not take.",
        "X-Chatmock-Estimate": "Which token counts are estimates, or how they were counted.",
        "X-Chatmock-Truncated": "That messages were left out to fit the model's window.",
    }
    return {
        "X-Request-Id": {
            "description": "What the answer and its log lines are told apart by; the client's own, where it sends one.",
            "required": True,
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
        },
        "Retry-After": {
            "description": "Seconds after which another try makes sense, where that is known.",
            "schema": {"type": "integer", "minimum": 1},
        },
        "Allow": {"description": "Methods that there are.", "required": True, "schema": STRING},
        "WWW-Authenticate": {"description": "Bearer.", "required": True, "schema": STRING},
        **{name: {"description": words, "schema": STRING} for name, words in notes.items()},
    }


def header_refs(*names: str) -> dict[str, Any]:
    """The headers of an answer: its id, and those of *names*."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}


def notes() -> dict[str, Any]:
    """The headers of an answer to a request that chatmock may have changed."""
    return header_refs("X-Chatmock-Clamped", "X-Chatmock-Ignored", "X-Chatmock-Truncated")


def responses(told: Iterable[tuple[int, str]]) -> dict[str, Any]:
    """The shared responses of these statuses and error schemas, by the names of :func:`refusals`."""
    return {_name(status, error): _response(status, error) for status, error in sorted({*told})}


def refusals(statuses: Iterable[int], error: str) -> dict[str, Any]:
    """The refusals of an operation, by status.

    :param error: the shared schema of their bodies.
    """
    return {
        str(status): {"$ref": f"#/components/responses/{_name(status, error)}"}
        for status in sorted({*statuses})
    }


def _name(status: int, error: str) -> str:
    return f"{error.removesuffix('Error')}Refused{status}"


def _response(status: int, error: str) -> dict[str, Any]:
    more = {401: ("WWW-Authenticate",), 405: ("Allow",)}.get(status, ())
    retry = ("Retry-After",) if status in _RETRY else ()
    return {
        "description": _WORDS[status],
        "headers": header_refs(*more, *retry),
        "content": {"application/json": {"schema": ref(error)}},
    }
