"""Anthropic's routes are as they are described: what is a request and what is none, whatever is sent, and the answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock import jsontext
from chatmock.dialects import Anthropic
from chatmock.dialects.anthropic_parse import NO_MESSAGES, NOTHING_SAID, CountBody
from chatmock.errors import Refusal
from tests.conftest import Daemon, Start
from tests.openapi.described import checked, described, validator

DOC = described()
JUDGE = validator(DOC, {"$ref": "#/components/schemas/AnthropicRequest"})
COUNT = validator(DOC, {"$ref": "#/components/schemas/AnthropicCountRequest"})
HELLO = [{"role": "user", "content": "Hi"}]
PLAIN: list[Any] = [None, True, 0, 1, -1, 1.5, 2.0, "", "a", [], ["a"], [1], ["a"] * 65, {}]
SOURCES: list[Any] = [
    {"type": "base64", "media_type": "image/png", "data": "QQ=="},
    {"type": "base64", "media_type": "image png", "data": "QQ=="},
    {"type": "base64", "media_type": "image/png", "data": ""},
    {"type": "base64", "media_type": "image/png", "data": "QQ"},
    {"type": "base64", "media_type": "image/tiff", "data": "QQ=="},
    {"type": "base64", "data": "QQ=="},
    {"type": "url", "url": "HTTPS://example.org/a"},
    {"type": "url", "url": "data:,a"},
    {"type": "url", "url": "https://example.org/a", "data": 1},
    {"type": "text", "media_type": "text/plain", "data": "word"},
    {"type": "text"},
    {"type": "content", "content": "word"},
    {"type": "content", "content": [{"type": "text", "text": "word"}]},
    {"type": "content", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
    {"type": "content"},
    {"type": "file", "file_id": "1"},
    {},
]
BLOCKS: list[Any] = [
    *({"type": kind, "source": source} for kind in ("image", "document") for source in SOURCES),
    {"type": "text", "text": "a", "cache_control": {}},
    {"type": "text", "text": None},
    {"type": "text"},
    {"type": "image"},
    {"type": "document", "source": SOURCES[9], "title": 1},
    {"type": "search_result", "source": "a", "title": "b", "content": [{"type": "text", "text": "c"}]},
    {"type": "search_result", "source": "a", "title": "b", "content": [{"type": "image"}]},
    {"type": "search_result", "source": "a"},
    {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
    {"type": "tool_use", "id": "1", "name": "f", "input": "a"},
    {"type": "tool_result", "tool_use_id": "1"},
    {"type": "tool_result", "tool_use_id": "1", "content": "a", "is_error": True},
    {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "image", "source": SOURCES[0]}]},
    {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "tool_result", "tool_use_id": "1"}]},
    {"type": "tool_result", "content": "a"},
    {"type": "thinking", "thinking": "a", "signature": "b"},
    {"type": "thinking", "signature": "b"},
    {"type": "redacted_thinking", "data": "a"},
    {"type": "redacted_thinking"},
    {"type": "server_tool_use", "id": "1"},
    {"type": "web_search_tool_result", "content": [{"title": "a"}]},
    {"type": "surprise"},
    {"type": 1},
    {},
]
FIELDS: list[Any] = [
    {"user_id": "me"},
    {"user_id": 1},
    {"type": "enabled", "budget_tokens": 1024},
    {"type": "enabled", "budget_tokens": 1023},
    {"type": "enabled"},
    {"type": "adaptive", "display": "omitted"},
    {"type": "adaptive", "display": "loud"},
    {"type": "disabled"},
    {"type": "auto", "disable_parallel_tool_use": True},
    {"type": "any"},
    {"type": "none"},
    {"type": "tool", "name": "f"},
    {"type": "tool"},
    {"type": "auto", "name": 1},
    {"effort": "high"},
    {"effort": "enormous"},
    {"format": {"type": "json_schema", "schema": {}}},
    {"format": {"type": "json_schema"}},
    {"type": "json_schema", "schema": {}},
    {"name": "f", "input_schema": {}},
    {"name": "f", "input_schema": {}, "type": "custom", "description": "d", "strict": True},
    {"name": "f"},
    {"name": "", "input_schema": {}},
    {"name": "f" * 129, "input_schema": {}},
    {"name": "f", "input_schema": {}, "description": 1},
    {"type": "bash_20250124", "name": "bash"},
    {"type": "web_search_20250305", "name": 1},
]
VALUES = [*PLAIN, *BLOCKS[-24:], *FIELDS, *([each] for each in (*FIELDS, *BLOCKS[-24:]))]


def why_not(body: Any) -> str:
    """Empty when *body* is taken."""
    try:
        Anthropic().parse(jsontext.dumps(body))
    except Refusal as refusal:
        return f"{refusal.status}: {refusal.message}"
    return ""


BETWEEN_FIELDS = (
    NO_MESSAGES,
    NOTHING_SAID,
    "`tool_use` ids were found",
    "unexpected `tool_use_id`",
    "Tool names must be unique",
    "tool_choice may only be",
    "not found in provided tools",
    "Only Anthropic's servers",
)
"""What is wrong between fields that are right each by itself, which no schema tells."""


def agree(body: Any) -> None:
    refused = why_not(body)
    if any(words in refused for words in BETWEEN_FIELDS):
        return
    assert JUDGE.is_valid(body) == (not refused), (body, refused)
    assert not refused or refused.startswith("400: ")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant", "system", "tool", None])},
            optional={
                "content": st.lists(st.sampled_from(BLOCKS), max_size=2) | st.sampled_from(PLAIN),
                "other": st.sampled_from(PLAIN),
            },
        ),
        max_size=2,
    )
)
def test_messages(messages: Any) -> None:
    agree({"model": "m", "max_tokens": 1, "messages": messages})


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_each_block(role: str) -> None:
    for block in BLOCKS:
        agree({"model": "m", "max_tokens": 1, "messages": [{"role": role, "content": [block]}]})


@pytest.mark.parametrize("field", [*CountBody.__struct_fields__, "other"])
def test_each_field_with_each_value(field: str) -> None:
    for value in VALUES:
        agree({"model": "m", "max_tokens": 1, "messages": HELLO, field: value})


def test_what_is_needed() -> None:
    for missing in ("model", "max_tokens", "messages"):
        body = {"model": "m", "max_tokens": 1, "messages": HELLO}
        del body[missing]
        agree(body)
        assert COUNT.is_valid(body) is (missing == "max_tokens")


@pytest.fixture
def demo(start: Start) -> Daemon:
    return start(provider="demo", max_concurrency=4)


async def test_answers_and_refusals(demo: Daemon) -> None:
    path = "/v1/messages"
    body: dict[str, Any] = {"model": "demo-thinking", "max_tokens": 100, "messages": HELLO}
    await checked(demo, "POST", path, body={**body, "thinking": {"type": "adaptive"}})
    clamped = await checked(demo, "POST", path, body={**body, "max_tokens": 100_000, "surprise": 1})
    assert clamped.headers["x-chatmock-clamped"] == "max_tokens=2048"
    assert clamped.headers["x-chatmock-ignored"] == "surprise"
    await checked(demo, "POST", path, 400, {})
    await checked(demo, "POST", path, 404, {**body, "model": "nobody"})
    for status, told in ((503, 529), (500, 502), (429, 429)):
        failing = [{"role": "user", "content": f"demo: fail {status}"}]
        await checked(demo, "POST", path, told, {**body, "messages": failing})
    await checked(demo, "POST", f"{path}/count_tokens", 400, {"model": "m"})
    await checked(demo, "POST", path, 403, body, Origin="https://example.org")


async def test_models(demo: Daemon) -> None:
    version = {"anthropic_version": "2023-06-01"}
    await checked(demo, "GET", "/v1/models", **version)
    await checked(demo, "GET", "/v1/models", query="?limit=1", **version)
    await checked(demo, "GET", "/v1/models", 400, query="?limit=0", **version)
    await checked(demo, "GET", "/v1/models/{name}", name="demo", **version)
    await checked(demo, "GET", "/v1/models/{name}", 404, name="nobody", **version)
