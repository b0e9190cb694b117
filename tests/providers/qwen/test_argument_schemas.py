"""Arguments against schemas: right where that is cheap, bounded where the schema is hostile."""

from __future__ import annotations

import sys
import tracemalloc
import urllib.request
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.providers.qwen import argument_schemas
from chatmock.providers.qwen.argument_schemas import Check, fault
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
        ({"additionalProperties": False}, {"a": 1}, "$: 'a' is none of the properties"),
        ({"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"enum": [1]}}}, {"a": 2}, "$.a: does not fit 'enum': [1]"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"n": {"type": "null"}}, "properties": {"a": {"items": [{"$ref": "#/definitions/n"}]}}},
            {"a": [1]},
            "$.a[0]: does not fit 'type'",
        ),
        ({"properties": {"a": {"items": {"minimum": 3}}}}, {"a": [5, 1]}, "$.a[1]: does not fit 'minimum': 3"),
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


leaves = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"enum": [1, "x"]},
        {"const": None},
        {"const": True},
        {"minimum": 2},
        {"exclusiveMaximum": 2.5},
        {"maxLength": 0},
        {"minItems": 1},
        {"maxProperties": 1},
        {"type": ["number", "null"]},
        {"multipleOf": 2},
        {},
    ]
)
schemas: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2)}, optional={"required": st.just(["a"]), "additionalProperties": st.just(False)}),
        st.fixed_dictionaries({"items": inner}, optional={"prefixItems": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"if": inner}, optional={"then": inner, "else": inner}),
        st.fixed_dictionaries({"additionalProperties": inner}, optional={"properties": st.just({"a": True})}),
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


@settings(max_examples=100, deadline=None)
@given(schemas, st.dictionaries(st.sampled_from("abc"), instances, max_size=2))
def test_judges_as_the_library_does(schema: Any, arguments: Any) -> None:
    """But for fractions in ``multipleOf``, which are not judged."""
    found = fault(schema, arguments)
    if found is None and "multipleOf" in repr(schema) and "2.5" in repr(arguments):
        return
    assert (found is None) == jsonschema.Draft202012Validator(schema).is_valid(arguments)


def test_a_check_costs_more_the_more_it_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"properties": {"a": {"items": {"type": "integer"}}}}
    arguments = {"a": [1] * 100 + ["x"]}
    assert fault(schema, arguments) is not None
    monkeypatch.setattr(argument_schemas, "MOST_STEPS", 50)
    assert fault(schema, arguments) is None


def _hostile() -> dict[str, tuple[Any, Any]]:
    """Schemas and arguments, each made to cost as much as can be."""
    branches = [{"type": "string", "const": f"{n}"} for n in range(2000)]
    thirty = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 30} for n in range(45)}
    many = [f"x{n}" for n in range(20_000)]
    return {
        "anchors": ({"$defs": {f"d{n}": {"$anchor": f"a{n}", "$ref": f"#a{n + 1}"} for n in range(800)}, "$ref": "#a0"}, {}),
        "branches": ({"properties": {"a": {"anyOf": branches}}}, {"a": "x" * 200_000}),
        "references": ({"properties": {"a": {"items": {"allOf": [{"$ref": "#/$defs/a"}] * 500}}}, "$defs": {"a": {}}}, {"a": many}),
        "doubling": ({"$ref": "#/$defs/d0", "$defs": {**thirty, "d45": {}}}, {}),
        "unknown keywords": ({"properties": {"a": {"items": {f"k{n}": 1 for n in range(9000)}}}}, {"a": many}),
        "comparisons": ({"properties": {"a": {"items": {"enum": [[n] * 9 for n in range(900)]}}}}, {"a": [[n] * 9 for n in range(9000)]}),
        "long texts": ({"properties": {"a": {"items": {"enum": ["x" * 50_000] * 4}}}}, {"a": ["x" * 49_999 + "y"] * 20}),
        "long names": ({"properties": {"a": {"items": {"required": ["x" * 50_000] * 4}}}}, {"a": [{"x" * 50_000: 1}] * 20}),
        "pointers": ({"properties": {"a": {"items": {"$ref": "#" + "/$defs" * 9000}}}}, {"a": many}),
        "numbers": ({"properties": {"a": {"items": {"minimum": 0, "maximum": 10**6, "multipleOf": 1}}}}, {"a": list(range(300, 50_000))}),
    }  # fmt: skip


@pytest.mark.parametrize("name", _hostile())
def test_the_work_is_bounded(name: str) -> None:
    """Lines of ours that are run, not time: a dozen a step at most."""
    schema, arguments = _hostile()[name]
    most, lines = 3000, 0

    def count(frame: Any, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    check, before = Check(schema, most), sys.gettrace()
    sys.settrace(count)
    try:
        check.fault(arguments)
    finally:
        sys.settrace(before)
    assert 0 < lines < 12 * most


@pytest.mark.parametrize("name", ["anchors", "branches", "references", "numbers"])
def test_the_memory_is_bounded(name: str) -> None:
    schema, arguments = _hostile()[name]
    tracemalloc.start()
    try:
        fault(schema, arguments)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"pattern": "a"}, {"pattern": "b"}]},
        {"not": {"uniqueItems": True}},
        {"if": {"pattern": "a"}, "then": False},
        {"anyOf": [{"type": "null"}, {"$dynamicRef": "#a"}]},
        {"$id": "https://example.com/x", "type": "null"},
        {"$ref": "#/properties/n/inner"},
    ],
)
def test_what_is_not_judged_is_no_fault_whatever_stands_around_it(schema: Any) -> None:
    nested = {"$id": "n", "inner": {"type": "null"}}
    assert fault({"properties": {"a": schema, "n": nested}}, {"a": ["x", "x"]}) is None


def test_beside_what_is_not_judged_the_rest_is() -> None:
    assert fault({"$id": "https://example.com/x", "required": ["b"], "pattern": "a"}, {}) is not None
    ref = {"$ref": "#/$defs/any", "type": "null"}
    assert fault({"properties": {"a": ref}, "$defs": {"any": {}}}, {"a": 1}) is not None
    draft = "http://json-schema.org/draft-07/schema#"
    assert fault({"$schema": draft, "properties": {"a": ref}, "$defs": {"any": {}}}, {"a": 1}) is None


def test_pointers_are_unescaped() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/x~1y~0%20z/anyOf/1"}},
        "$defs": {"x/y~ z": {"anyOf": [True, {"type": "null"}]}},
    }
    assert fault(schema, {"a": 1}) == "$.a: does not fit 'type': \"null\""


def test_equal_values_at_other_places_have_their_own() -> None:
    schema = {
        "properties": {"a": {"not": {"$ref": "#/$defs/n"}}, "b": {"$ref": "#/$defs/n"}},
        "$defs": {"n": {"const": 2}},
    }
    assert fault(schema, {"a": 1, "b": 1}) == "$.b: does not fit 'const': 2"


def test_a_fault_repeats_no_value() -> None:
    for schema in ({"type": "null"}, {"enum": [1]}, {"maxLength": 1}, {"anyOf": [{"type": "null"}]}):
        assert "secret" not in (fault({"properties": {"a": schema}}, {"a": "secret"}) or "secret")
