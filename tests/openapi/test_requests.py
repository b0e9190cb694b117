"""The schemas of requests and the dialects agree on what is a request and what is none, whatever is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock import jsontext
from chatmock.dialects import OpenAIChat, OpenAICompletions
from chatmock.dialects.openai_completions import CompletionBody
from chatmock.dialects.openai_parse import ChatBody
from chatmock.errors import Refusal
from tests.openapi.described import described, validator

DOC = described()
CHAT = validator(DOC, {"$ref": "#/components/schemas/ChatRequest"})
TEXT = validator(DOC, {"$ref": "#/components/schemas/CompletionRequest"})

FUNCTION = {"name": "f"}
PLAIN: list[Any] = [
    None,
    True,
    0,
    1,
    -1,
    128,
    129,
    1.5,
    2.0,
    "",
    "a",
    "auto",
    "none",
    [],
    ["a"],
    ["a"] * 5,
    [1],
    [None],
]
NESTED: list[Any] = [
    {},
    FUNCTION,
    {"name": 1},
    {"name": "f", "parameters": {"type": "object"}, "strict": True, "description": None},
    {"name": "f", "parameters": []},
    {"type": "function", "function": FUNCTION},
    {"type": "function", "function": {}},
    {"type": "function"},
    {"function": FUNCTION},
    {"type": "custom", "custom": FUNCTION},
    {"type": "custom", "custom": {"name": 1}},
    {"type": "custom"},
    {"type": "allowed_tools"},
    {"type": "allowed_tools", "allowed_tools": {"mode": "required"}},
    {"type": "web_search"},
    {"type": []},
    {"type": None},
    {"type": "text"},
    {"type": "text", "text": "a"},
    {"type": "text", "text": 1},
    {"type": "json_object", "json_schema": {}},
    {"type": "json_schema", "json_schema": {"schema": {}}},
    {"type": "json_schema", "json_schema": {}},
    {"type": "json_schema"},
    {"type": "refusal", "refusal": "no"},
    {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": 1}},
    {"type": "image_url", "image_url": "https://example.org/a.png"},
    {"type": "input_audio", "input_audio": {}},
    {"include_usage": True},
    {"include_usage": "yes"},
    {"a": 1.5},
    {"a": "b"},
    {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    {"id": "1", "function": {"name": "f"}},
    {"id": "1", "function": {"name": "f", "arguments": {}}},
    {"id": "1", "type": "custom", "custom": {"name": "f", "input": None}},
    {"id": "1", "type": "custom", "custom": {"name": "f", "input": 1}},
    {"type": "function", "function": {"name": "f"}},
]
ANY = st.sampled_from([*PLAIN, *NESTED]) | st.lists(st.sampled_from(NESTED), max_size=2)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool", "function", "nobody", None])
MESSAGE = st.fixed_dictionaries(
    {"role": ROLES},
    optional={
        "content": ANY,
        "name": st.sampled_from([None, "", "n", 1]),
        "refusal": st.sampled_from([None, "", "no", 1]),
        "tool_calls": ANY,
        "function_call": st.sampled_from([None, {}, FUNCTION, "f"]),
        "tool_call_id": st.sampled_from([None, "", "1", 1]),
        "other": ANY,
    },
)
HELLO = [{"role": "user", "content": "Hi"}]


def takes(dialect: Any, body: Any) -> str:
    """Empty when *dialect* takes *body*, else why it does not."""
    try:
        dialect.parse(jsontext.dumps(body))
    except Refusal as refusal:
        return f"{refusal.status}: {refusal.message}"
    return ""


def agree(judge: Any, dialect: Any, body: Any) -> None:
    refused = takes(dialect, body)
    assert judge.is_valid(body) == (not refused), (body, refused)
    assert not refused or refused.startswith("400: "), body


@settings(max_examples=100, deadline=None)
@given(st.lists(MESSAGE, max_size=2))
def test_messages(messages: Any) -> None:
    agree(CHAT, OpenAIChat(), {"messages": messages})


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_fields_of_a_chat(data: Any) -> None:
    fields = [name for name in ChatBody.__struct_fields__ if name != "messages"]
    body = data.draw(st.dictionaries(st.sampled_from([*fields, "other"]), ANY, max_size=2))
    agree(CHAT, OpenAIChat(), {"messages": HELLO, **body})


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_fields_of_a_completion(data: Any) -> None:
    fields = {*CompletionBody.__struct_fields__, *ChatBody.__struct_fields__, "other"} - {"best_of"}
    body = data.draw(st.dictionaries(st.sampled_from(sorted(fields)), ANY, max_size=2))
    agree(TEXT, OpenAICompletions(), {"prompt": "Hi", **body})


@pytest.mark.parametrize("field", [name for name in ChatBody.__struct_fields__ if name != "messages"])
def test_each_field_of_a_chat_with_each_value(field: str) -> None:
    for value in [*PLAIN, *NESTED, *([each] for each in NESTED)]:
        agree(CHAT, OpenAIChat(), {"messages": HELLO, field: value})


@pytest.mark.parametrize(
    "value", [10**20 - 1, 10**20, -(10**20) + 1, -(10**20), 1e19, 1e20, 2.0, 2.5, 1e300, "5", True]
)
def test_integers_are_those_of_json_schema_and_bounded(value: Any) -> None:
    for field in ("seed", "top_logprobs"):
        agree(CHAT, OpenAIChat(), {"messages": HELLO, field: value})


@pytest.mark.parametrize(
    ("best_of", "n"), [(1, None), (1, 1), (None, 3), (1, 3), (3, 1), (3, None), (0, None)]
)
def test_best_of(best_of: int | None, n: int | None) -> None:
    agree(TEXT, OpenAICompletions(), {"prompt": "Hi", "best_of": best_of, "n": n})


def test_best_of_as_much_as_n_is_taken_though_it_is_not_described() -> None:
    assert takes(OpenAICompletions(), {"prompt": "Hi", "best_of": 3, "n": 3}) == ""
