"""Requests of the Responses API's clients, and their answers.

Answers may be an upstream's own words, passed on, which may have more fields than are named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock.dialects.responses_listing import MOST_LISTED
from chatmock.dialects.responses_parse import ResponsesBody
from chatmock.openapi.schemas import (
    INTEGER,
    NOT_EMPTY,
    NULL,
    STRING,
    Schema,
    array,
    closed,
    derived,
    nullable,
    open_object,
)

_ITEM: Final = open_object({"type": STRING})
_INPUT: Final[Schema] = {
    "description": "A text, or the items of a conversation. Not needed where previous_response_id goes on from one.",
    "anyOf": [NOT_EMPTY, array(_ITEM, minItems=1)],
}


def responses_schemas() -> dict[str, Schema]:
    """The shared schemas."""
    return {
        "ResponseRequest": _request(),
        "ResponseAnswer": open_object(
            {
                "id": STRING,
                "object": {"const": "response"},
                "created_at": {"type": "number", "description": "Unix time in seconds."},
                "model": STRING,
                "status": {"enum": ["completed", "incomplete"]},
                "output": array(open_object({"type": STRING}, ["type"])),
                "store": {"type": "boolean", "description": "Whether the answer is kept."},
                "usage": nullable(open_object({})),
            },
            ["id", "object", "created_at", "model", "status", "output"],
        ),
        "ResponseItems": closed(
            {
                "object": {"const": "list"},
                "data": array(open_object({"id": STRING, "type": STRING}, ["id", "type"])),
                "first_id": nullable(STRING),
                "last_id": nullable(STRING),
                "has_more": {"type": "boolean"},
            }
        ),
        "ResponseDeleted": closed(
            {"id": STRING, "object": {"const": "response"}, "deleted": {"const": True}}
        ),
    }


def responses_parameters() -> dict[str, Any]:
    """The shared parameters."""
    return {
        "answer": {
            "name": "name",
            "in": "path",
            "required": True,
            "description": "The id of an answer.",
            "schema": STRING,
        },
        "order": {
            "name": "order",
            "in": "query",
            "description": "The newest first unless it is asc.",
            "schema": {"enum": ["asc", "desc"]},
        },
        "limit": {
            "name": "limit",
            "in": "query",
            "description": "How many at most.",
            "schema": {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": 20},
        },
        "after": {
            "name": "after",
            "in": "query",
            "description": "The id of the item before the first.",
            "schema": STRING,
        },
    }


def _request() -> Schema:
    fields = derived(ResponsesBody)
    narrowed: Mapping[str, Schema] = {
        "input": nullable(_INPUT),
        "max_output_tokens": nullable({**INTEGER, "minimum": 1}),
        "background": {"enum": [False, None], "description": "chatmock answers while the client waits."},
        "conversation": {**NULL, "description": "There are no such objects here."},
        "prompt": {**NULL, "description": "Texts that are kept at OpenAI cannot be read."},
    }
    needed = [{"required": ["input"]}, {"required": ["previous_response_id"]}]
    return {
        "description": "A request. max_output_tokens is lowered to the server's limit, which X-Chatmock-Clamped then tells.",
        **open_object({**fields, **narrowed}),
        "anyOf": needed,
    }
