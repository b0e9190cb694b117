"""Arguments against schemas: right where that is cheap, bounded where the schema is hostile."""

from __future__ import annotations

import sys
import urllib.request
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.providers.qwen import argument_schemas
from chatmock.providers.qwen.argument_schemas import fault
from tests.providers.qwen.asking import WEATHER

BACKTRACKING = "^(a+)+$"
LONG = "a" * 60 + "!"


@pytest.mark.parametrize(
    ("schema", "arguments", "told"),
    [
        (WEATHER, {"city": "Rome"}, None),
        (WEATHER, {}, "$: 'city' is required and missing"),
        (WEATHER, {"city": 5}, "$.city: does not fit 'type'"),
        ({}, {"a": 1}, None),
        ({"additionalProperties": False}, {"a": 1}, "$"),
        ({"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"enum": [1]}}}, {"a": 2}, "$.a: "),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"n": {"type": "null"}}, "properties": {"a": {"items": [{"$ref": "#/definitions/n"}]}}},
            {"a": [1]},
            "$.a[0]: does not fit 'type'",
        ),
        ({"properties": {"a": {"items": {"minimum": 3}}}}, {"a": [5, 1]}, "$.a[1]: "),
    ],
)  # fmt: skip
def test_faults_name_the_place(schema: Any, arguments: Any, told: str | None) -> None:
    found = fault(schema, arguments)
    assert found is None if told is None else found is not None and found.startswith(told)


def test_a_fault_is_told_in_few_words() -> None:
    assert len(fault({"properties": {"a": {"type": "null"}}}, {"a": "x" * 10_000}) or "") < 400


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"},
        {"required": True},
        {"$ref": 5},
        {"$ref": "#/nowhere"},
        {"$ref": "#/$defs/n/enum", "$defs": {"n": {"enum": ["x"]}}},
        {"properties": []},
        {"minimum": "x", "properties": {"a": {"minimum": "x"}}},
    ],
)
def test_a_broken_schema_finds_no_fault(schema: Any) -> None:
    assert fault(schema, {"a": 1}) is None


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Any] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: fetched.append(a))
    assert fault({"$ref": "http://127.0.0.1:1/schema.json"}, {}) is None
    assert fault({"$id": "http://127.0.0.1:1/", "$ref": "other.json"}, {}) is None
    assert fetched == []


@pytest.mark.parametrize(
    "inner",
    [
        {"pattern": BACKTRACKING},
        {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": BACKTRACKING},
        {"propertyNames": {"pattern": BACKTRACKING}},
        {"patternProperties": {BACKTRACKING: {}}, "additionalProperties": False},
        {"patternProperties": {BACKTRACKING: {}}, "unevaluatedProperties": False},
        {"allOf": [{"patternProperties": {BACKTRACKING: {}}}], "unevaluatedProperties": False},
    ],
)
@pytest.mark.parametrize(
    "draft", ["https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"]
)
def test_regular_expressions_are_not_run(inner: Any, draft: str) -> None:
    for schema in (
        {"properties": {"a": inner}},
        {"$schema": draft, "properties": {"a": {"$ref": "#/x"}}, "x": inner},
    ):
        for value in (LONG, {LONG: 1}):
            assert fault(schema, {"a": value}) is None


def test_what_branches_or_never_ends_is_given_up() -> None:
    doubling: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    assert fault({"$ref": "#/$defs/d0", "$defs": {**doubling, "d60": {}}}, {}) is None
    assert fault({"$ref": "#"}, {}) is None
    assert fault({"properties": {"a": {"uniqueItems": True}}}, {"a": [{}] * 50_000}) is None


def test_the_library_is_loaded_when_it_is_needed() -> None:
    import subprocess

    code = "import sys, chatmock.providers.qwen.tool_calling; print('jsonschema' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


leaves = st.sampled_from(
    [{"type": "string"}, {"type": "integer"}, {"enum": [1, "x"]}, {"const": None}, {"minimum": 2}, {}]
)
schemas: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2)}, optional={"required": st.just(["a"]), "additionalProperties": st.just(False)}),
        st.fixed_dictionaries({"items": inner}),
        st.builds(lambda word, parts: {word: parts}, st.sampled_from(["anyOf", "allOf", "oneOf"]), st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=6,
)  # fmt: skip
instances: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, 1, 2.5, "x", True]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(schemas, st.dictionaries(st.sampled_from("abc"), instances, max_size=2))
def test_judges_as_the_library_does(schema: Any, arguments: Any) -> None:
    assert (fault(schema, arguments) is None) == jsonschema.Draft202012Validator(schema).is_valid(arguments)


def test_a_check_costs_more_the_more_it_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"properties": {"a": {"items": {"type": "integer"}}}}
    arguments = {"a": [1] * 100 + ["x"]}
    assert fault(schema, arguments) is not None
    monkeypatch.setattr(argument_schemas, "MOST_STEPS", 50)
    assert fault(schema, arguments) is None


def test_a_schema_that_refers_to_itself_everywhere_is_bounded() -> None:
    """Each reference by name made the whole schema be read again; by count, not by time: it ends."""
    anchors = {f"d{i}": {"$anchor": f"a{i}", "$ref": f"#a{i + 1}"} for i in range(2000)}
    assert fault({"$defs": anchors, "$ref": "#a0"}, {"a": 1}) is None
    branches = [{"type": "string", "const": f"{i}"} for i in range(5000)]
    assert fault({"properties": {"a": {"anyOf": branches}}}, {"a": "x" * 200_000}) in (
        None,
        "$.a: does not fit 'anyOf'",
    )
