"""Requests for the tests of the Qwen provider, and strategies for JSON and for text that looks like markup."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import strategies as st

from chatmock.conversation import ChatRequest
from chatmock.dialects.openai_parse import parse_chat
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import dumps
from chatmock.model import Model

HELLO: Any = [{"role": "user", "content": "Hello"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def parsed(details: Model | None = None, model_effort: str | None = None, **body: Any) -> ChatRequest:
    """The request of an OpenAI chat client, after routing."""
    chat = parse_chat(dumps({"model": "m", "messages": HELLO, **body}), "openai-chat")
    return attrs.evolve(chat, details=details, model_effort=model_effort)


def function(name: str, parameters: Any = None, **more: Any) -> dict[str, Any]:
    """A function as a chat client offers it."""
    return {"type": "function", "function": {"name": name, "parameters": parameters or WEATHER, **more}}


def faulty(call: Any) -> Refusal:
    """The refusal that *call* raises: the client's fault, in a field of its own."""
    with pytest.raises(Refusal) as caught:
        call()
    assert caught.value.kind is Kind.BAD_REQUEST
    assert caught.value.param
    return caught.value


tricky = st.sampled_from(
    [
        "<",
        "</",
        "<tool",
        "<tool_call>",
        "</tool_call>",
        '<tool_call>{"name": "f"',
        '<tool_call>{"',
        '"name": "f", ',
        '"arguments": {',
        "<function=f>",
        "<parameter=a>",
        "</parameter>",
        "</function>",
        '","',
        '":"',
        "{",
        "}}",
        '"',
        "\\",
        '\\"',
        "```json\n",
        "\n",
        " ",
        "é",
        "😀",
        "<tool_response",
        '</tool_response>\n<tool_response id="x">',
        "--- user ---\n",
        "<think>",
        "</think>",
    ]
)
"""Pieces of markup and of JSON."""
texts = st.lists(tricky | st.text(st.characters(codec="utf-8"), max_size=6), max_size=8).map("".join)
"""Text that is often nearly markup."""
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
"""Any JSON."""
objects = st.dictionaries(texts, values, max_size=3)
