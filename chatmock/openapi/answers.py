"""What clients are answered, other than refusals.

Chat and text completions may be an upstream's own words, passed on, which may have more fields than are named here.
"""

from __future__ import annotations

from typing import Any, Final

from chatmock.openapi.schemas import (
    BOOLEAN,
    COUNT,
    NULL,
    STRING,
    Schema,
    array,
    closed,
    nullable,
    open_object,
    ref,
)

_SECONDS: Final[Schema] = {"type": "number", "minimum": 0, "description": "Seconds."}
_TIME: Final[Schema] = {"type": "number", "description": "Unix time in seconds."}
_TEXT: Final = nullable(STRING)
_NUMBER: Final = nullable({"type": "number"})
_HELD: Final[dict[str, Schema]] = {"held": COUNT, "waiting": COUNT}
_STATES: Final = ("ok", "cooling", "probing", "unready")


def answer_schemas() -> dict[str, Schema]:
    """The shared schemas of answers."""
    return {
        "Health": closed({"status": {"const": "ok"}}),
        "Readiness": closed(
            {
                "status": {"enum": ["ok", "degraded"]},
                "providers": {"type": "object", "additionalProperties": ref("Condition")},
            }
        ),
        "Condition": _condition(),
        "Model": _model(),
        "ModelList": closed({"object": {"const": "list"}, "data": array(ref("Model"))}),
        "PlanUsage": closed({"chatgpt": nullable(ref("Plan"))}),
        "Plan": _plan(),
        "Queue": _queue(),
        "Healed": _healed(),
        "TokenUsage": _token_usage(),
        "ChatAnswer": _answer(
            "chat.completion",
            {"message": _answer_message(), "logprobs": nullable({"type": "object"})},
            "message",
        ),
        "CompletionAnswer": _answer(
            "text_completion", {"text": STRING, "logprobs": nullable({"type": "object"})}, "text"
        ),
    }


def _condition() -> Schema:
    told: dict[str, Schema] = {
        "state": {"enum": [*_STATES]},
        "until": {**nullable(_SECONDS), "description": "Seconds until it is asked again."},
        "reason": _TEXT,
    }
    models = {"type": "object", "additionalProperties": closed(told)}
    return {
        "description": "Whether a provider is asked; models that are left alone by themselves stand under models.",
        **closed({**told, "models": models}, ["models"]),
    }


def _model() -> Schema:
    return closed(
        {
            "id": STRING,
            "object": {"const": "model"},
            "created": _TIME,
            "owned_by": STRING,
            "context_length": {**COUNT, "description": "Tokens."},
        },
        ["context_length"],
    )


def _plan() -> Schema:
    window = nullable(
        open_object(
            {
                "used_percent": {"type": "number", "minimum": 0},
                "window_minutes": _NUMBER,
                "resets_in_seconds": _NUMBER,
                "resets_at": _NUMBER,
            },
            ["used_percent"],
        )
    )
    both: dict[str, Schema] = {"primary": window, "secondary": window}
    credit: dict[str, Schema] = {
        "has_credits": nullable(BOOLEAN),
        "balance": _TEXT,
        "unlimited": nullable(BOOLEAN),
    }
    family = open_object({"limit_name": _TEXT, **both})
    return {
        "description": "What is left of a plan, as its upstream last told.",
        **open_object(
            {
                "captured_at": {"type": "string", "format": "date-time"},
                **both,
                "families": nullable({"type": "object", "additionalProperties": family}),
                "plan": _TEXT,
                "active_limit": _TEXT,
                "credits": nullable(open_object(credit)),
            },
            ["captured_at"],
        ),
    }


def _queue() -> Schema:
    return closed(
        {
            "permits": {**COUNT, "description": "Requests that are answered at the same time, at most."},
            **_HELD,
            "limit": {**COUNT, "description": "Requests that may wait."},
            "mean_hold_seconds": nullable(_SECONDS),
            "you": closed({"name": STRING, **_HELD}),
            "others": closed({"clients": COUNT, **_HELD}),
        }
    )


def _healed() -> Schema:
    cleared = closed({"model": _TEXT, "reason": _TEXT, "since": _SECONDS})
    return closed({"provider": STRING, "cleared": array(cleared)})


def _token_usage() -> Schema:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return open_object(dict.fromkeys(names, COUNT), names)


def _answer_message() -> Schema:
    call = open_object({"id": STRING, "type": STRING, "function": {"type": "object"}}, ["id"])
    return open_object(
        {
            "role": STRING,
            "content": {"anyOf": [STRING, {"type": "array"}, NULL]},
            "refusal": _TEXT,
            "reasoning_content": {
                **_TEXT,
                "description": "The model's thinking, in the form of the settings.",
            },
            "tool_calls": nullable(array(call)),
        },
        ["role"],
    )


def _answer(kind: str, choice: dict[str, Any], said: str) -> Schema:
    fields = {"index": COUNT, **choice, "finish_reason": _TEXT}
    return open_object(
        {
            "id": STRING,
            "object": {"const": kind},
            "created": _TIME,
            "model": STRING,
            "choices": array(open_object(fields, ["index", said])),
            "usage": nullable(ref("TokenUsage")),
        },
        ["id", "object", "created", "model", "choices"],
    )
