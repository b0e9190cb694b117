"""Anthropic's errors and its list of models."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import ModelInfo

from chatmock.dialects import Anthropic
from chatmock.dialects.anthropic_models import Page, model_body, models_page, with_aliases
from chatmock.errors import Kind, Refusal
from chatmock.model import Model
from tests.dialects.anthropic_reading import valid

ROWS: Any = [
    ("a", "p", Model("a", created=1_700_000_000, context_length=1000)),
    ("b", "p", None),
    ("c", "p", Model("c", created=10**15)),
    ("d", "p", Model("d")),
]


def page(**arguments: str) -> tuple[list[str], bool]:
    asked = Page.read(*(arguments.get(name) for name in ("limit", "after_id", "before_id")))
    told = json.loads(models_page(ROWS, asked))
    names = [entry["id"] for entry in told["data"]]
    assert (told["first_id"], told["last_id"]) == ((names[0], names[-1]) if names else (None, None))
    return names, told["has_more"]


def test_pages() -> None:
    assert page() == (["a", "b", "c", "d"], False)
    assert page(limit="4") == (["a", "b", "c", "d"], False)
    assert page(limit="3") == (["a", "b", "c"], True)
    assert page(limit="2", after_id="b") == (["c", "d"], False)
    assert page(limit="1", after_id="b") == (["c"], True)
    assert page(after_id="d") == ([], False)
    assert page(limit="2", before_id="d") == (["b", "c"], True)
    assert page(limit="2", before_id="c") == (["a", "b"], False)
    assert page(after_id="a", before_id="d") == (["b", "c"], False)
    assert page(before_id="a") == ([], False)


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "-1"},
        {"limit": "1" * 5000},
        {"limit": "١"},
        {"after_id": "x"},
    ],
)
def test_pages_that_are_none(arguments: Any) -> None:
    with pytest.raises(Refusal) as caught:
        page(**arguments)
    assert caught.value.message.startswith(f"{next(iter(arguments))}: ")


def test_entries() -> None:
    for row in ROWS:
        valid(ModelInfo.model_validate_json(model_body(row)))
    assert json.loads(model_body(ROWS[0])) == {
        "type": "model",
        "id": "a",
        "display_name": "a",
        "created_at": "2023-11-14T22:13:20Z",
        "lifecycle": "active",
        "max_input_tokens": 1000,
    }
    assert json.loads(model_body(ROWS[1]))["created_at"] == "1970-01-01T00:00:00Z"


def test_names_that_stand_for_a_model_are_listed() -> None:
    aliases = {"fast": "a", "claude-*": "b", "gone": "x", "b": "a", "q?": "a"}
    assert [row[0] for row in with_aliases(ROWS, aliases)] == ["fast", "a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("kind", "status", "type"),
    [
        (Kind.BAD_REQUEST, 400, "invalid_request_error"),
        (Kind.UNAUTHENTICATED, 401, "authentication_error"),
        (Kind.FORBIDDEN, 403, "permission_error"),
        (Kind.NOT_FOUND, 404, "not_found_error"),
        (Kind.METHOD_NOT_ALLOWED, 405, "invalid_request_error"),
        (Kind.TOO_SLOW, 408, "invalid_request_error"),
        (Kind.TOO_LARGE, 413, "request_too_large"),
        (Kind.RATE_LIMITED, 429, "rate_limit_error"),
        (Kind.USAGE_EXHAUSTED, 429, "rate_limit_error"),
        (Kind.INTERNAL, 500, "api_error"),
        (Kind.NOT_IMPLEMENTED, 501, "api_error"),
        (Kind.UPSTREAM_FAILED, 502, "api_error"),
        (Kind.OVERLOADED, 529, "overloaded_error"),
        (Kind.UPSTREAM_TIMED_OUT, 504, "timeout_error"),
    ],
)
def test_errors(kind: Kind, status: int, type: str) -> None:
    refusal = Refusal(kind, "Why.", code="c", param="p", more={"resets_at": 1})
    assert Anthropic().status(refusal) == status
    assert json.loads(Anthropic().refuse(refusal, "req_1")) == {
        "type": "error",
        "error": {"type": type, "message": "Why."},
        "request_id": "req_1",
    }


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "X answered 400: This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
            "prompt is too long: 130000 tokens > 128000 maximum",
        ),
        (
            "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens",
            "prompt is too long: 9000 tokens > 8192 maximum",
        ),
        (
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
            "prompt is too long: 537812 tokens > 131072 maximum",
        ),
        (
            "the request (9000 tokens) exceeds the available context size (8192 tokens)",
            "prompt is too long: 9000 tokens > 8192 maximum",
        ),
        ("The context window is full.", "prompt is too long: The context window is full."),
    ],
)
def test_what_is_too_long_is_told_as_claude_code_looks_for_it(said: str, told: str) -> None:
    refusal = Refusal(Kind.BAD_REQUEST, said, code="context_length_exceeded")
    assert json.loads(Anthropic().refuse(refusal))["error"]["message"] == told
    other = Refusal(Kind.BAD_REQUEST, said, code="limit_exceeded")
    assert json.loads(Anthropic().refuse(other))["error"]["message"] == said
