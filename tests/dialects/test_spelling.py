"""No field of a client is spelled so that some reader takes it for another one than chatmock does (security.md, P24)."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chatmock.dialects
from chatmock.dialects import DIALECTS
from chatmock.dialects.reading import read_object
from chatmock.dialects.spelling import FIELDS, check_spelling
from chatmock.errors import Kind, Refusal
from tests.security.verdicts import ASKING

OTHERS = {"k": "kK\u212a", "s": "sS\u017f"}
"""Letters that stand for others where the case does not count."""


@st.composite
def misspelled(draw: st.DrawFn) -> tuple[str, str]:
    """A field, and how else it may be written."""
    name = draw(st.sampled_from(sorted(FIELDS)))
    written = "".join(draw(st.sampled_from(OTHERS.get(letter, letter + letter.upper()))) for letter in name)
    return name, written


@settings(max_examples=100, deadline=None)
@given(misspelled())
def test_only_one_spelling_of_a_field_is_taken(case: tuple[str, str]) -> None:
    name, written = case
    check_spelling({name: 1})
    if name == written:
        return
    with pytest.raises(Refusal) as caught:
        check_spelling({name: 1, written: 2})
    assert caught.value.kind is Kind.BAD_REQUEST
    assert caught.value.message == f"unknown field {written!r}: it is spelled {name!r}"
    assert caught.value.param == written


REFUSED: dict[str, dict[str, Any]] = {
    "Model": {"Model": "x"},
    "me\u017f\u017fages": {"me\u017f\u017fages": []},
    "Content": {"messages": [{"role": "user", "Content": "x"}]},
    "Images": {"messages": [{"role": "user", "content": "x", "Images": ["x"]}]},
    "Text": {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "Text": "y"}]}]},
    "Arguments": {"messages": [{"role": "assistant", "tool_calls": [{"function": {"Arguments": "x"}}]}]},
    "Num_Predict": {"options": {"Num_Predict": 1}},
    "Include_Usage": {"stream_options": {"Include_Usage": True}},
    "Parameters": {"tools": [{"type": "function", "function": {"Parameters": {}}}]},
    "ROLE": {"input": [{"ROLE": "user", "content": "x"}]},
    "Effort": {"reasoning": {"Effort": "high"}},
    "URL": {"messages": [{"content": [{"type": "image_url", "image_url": {"URL": "x"}}]}]},
    "\u212aeep_alive": {"\u212aeep_alive": 1},
}


@pytest.mark.parametrize(("name", "body"), REFUSED.items(), ids=REFUSED.keys())
def test_wherever_it_stands(name: str, body: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="unknown field") as caught:
        read_object(json.dumps(body).encode())
    assert caught.value.param == name


TAKEN: dict[str, dict[str, Any]] = {
    "schemas of tools": {
        "tools": [{"function": {"name": "f", "parameters": {"properties": {"Name": {}, "Model": {}}}}}]
    },
    "schemas of Anthropic's": {"tools": [{"name": "f", "input_schema": {"properties": {"Text": {}}}}]},
    "arguments": {"messages": [{"tool_calls": [{"function": {"name": "f", "arguments": {"Name": 1}}}]}]},
    "arguments of Anthropic's": {"messages": [{"content": [{"type": "tool_use", "input": {"Name": 1}}]}]},
    "a schema of the answer": {"format": {"properties": {"Content": {}}}},
    "a schema of OpenAI's": {
        "response_format": {"json_schema": {"name": "s", "schema": {"properties": {"ID": {}}}}}
    },
    "metadata": {"metadata": {"User": "x", "Model": "y"}},
    "others": {"Top-Secret": 1, "topK": 2, "": 3},
}


@pytest.mark.parametrize("body", TAKEN.values(), ids=TAKEN.keys())
def test_names_of_the_clients_own_are_theirs(body: dict[str, Any]) -> None:
    assert read_object(json.dumps(body).encode()) == body


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("name", ["Model", "MODEL", "\u017ftream"])
def test_every_dialect_refuses_it(dialect: Any, name: str) -> None:
    asked = {"model": "m", **ASKING[dialect.name].prompt}
    dialect.parse(json.dumps(asked).encode())
    with pytest.raises(Refusal, match="unknown field"):
        dialect.parse(json.dumps({**asked, name: "x"}).encode())


def shapes() -> Iterator[type[msgspec.Struct]]:
    for found in pkgutil.iter_modules(chatmock.dialects.__path__):
        module = importlib.import_module(f"chatmock.dialects.{found.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__struct_fields__:
                yield value


def test_no_field_that_is_read_is_forgotten() -> None:
    read = {name for shape in shapes() for name in shape.__struct_encode_fields__}
    assert len(read) > 50
    assert read - FIELDS == set()
    assert {name.casefold() for name in FIELDS} == FIELDS
