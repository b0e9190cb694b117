"""Calls in the form with tags: where they end, and what their values are by the tool's schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.providers.qwen.argument_schemas import fault
from chatmock.providers.qwen.tool_tags import TagScanner, arguments_text, read_tags
from tests.providers.qwen.asking import texts, values

STRING, INTEGER = {"type": "string"}, {"type": "integer"}


@pytest.mark.parametrize(
    ("part", "text", "value"),
    [
        (STRING, "Rome", "Rome"),
        (STRING, "5", "5"),
        (STRING, '{"a": 1}', '{"a": 1}'),
        (STRING, "null", "null"),
        (STRING, "", ""),
        (INTEGER, "5", 5),
        (INTEGER, " 5\n", 5),
        (INTEGER, "five", "five"),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "boolean"}, "true", True),
        ({"type": "null"}, "null", None),
        ({"type": ["integer", "null"]}, "null", None),
        ({"type": ["integer", "string"]}, "5", "5"),
        ({"type": "array", "items": STRING}, '["a", "b"]', ["a", "b"]),
        ({"type": "object"}, '{"a": [1]}', {"a": [1]}),
        ({"type": "object"}, "{'a': 1}", "{'a': 1}"),
        ({"enum": ["1", "2"]}, "1", "1"),
        ({"enum": [1, 2]}, "1", 1),
        ({"anyOf": [INTEGER, {"type": "boolean"}]}, "false", False),
        ({"$ref": "#/$defs/count"}, "7", 7),
        ({}, "7", "7"),
    ],
)
def test_a_value_is_what_its_schema_takes(part: Any, text: str, value: Any) -> None:
    schema = {"type": "object", "properties": {"a": part}, "$defs": {"count": INTEGER}}
    assert json.loads(arguments_text([("a", text)], schema)) == {"a": value}


def test_parameters_that_the_schema_does_not_name() -> None:
    told = [("a", "1")]
    assert json.loads(arguments_text(told, {"additionalProperties": INTEGER})) == {"a": 1}
    assert json.loads(arguments_text(told, {})) == {"a": "1"}
    assert json.loads(arguments_text(told, {"properties": 7})) == {"a": "1"}
    assert json.loads(arguments_text([], {})) == {}
    assert fault(
        {"additionalProperties": False}, json.loads(arguments_text(told, {"additionalProperties": False}))
    )


@settings(max_examples=80)
@given(st.dictionaries(texts, values, max_size=4))
def test_what_was_meant_comes_back(arguments: dict[str, Any]) -> None:
    written = [
        (key, value if isinstance(value, str) else json.dumps(value)) for key, value in arguments.items()
    ]
    kinds = {key: STRING if isinstance(value, str) else {"not": STRING} for key, value in arguments.items()}
    assert json.loads(arguments_text(written, {"properties": kinds})) == arguments


@settings(max_examples=100)
@given(texts, st.lists(st.integers(1, 9), max_size=9))
def test_the_end_is_found_alike_at_any_split(value: str, sizes: list[int]) -> None:
    text = f"<function=f><parameter=a>{value}</parameter></function> and more"
    scanner, start, end = TagScanner(), 0, 0
    for size in [*sizes, len(text)]:
        end += scanner.feed(text[start : start + size])
        start += size
    whole = TagScanner()
    assert end == whole.feed(text)
    assert scanner.state == whole.state == "complete"
    name, parameters = read_tags(text[:end])
    assert name == "f"
    if "</parameter>" not in value:
        assert end == len(text) - len(" and more")
        assert parameters == [("a", value.removeprefix("\n").removesuffix("\n"))]
