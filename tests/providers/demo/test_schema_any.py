"""Examples for schemas of any kind, sense or none: what the demo makes fits, and all else it refuses."""

from __future__ import annotations

from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.errors import Kind, Refusal
from chatmock.providers.demo.effort import Effort
from chatmock.providers.demo.schema import example

_names = st.sampled_from(["a", "b", "größe"])
_kinds = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
_values = st.sampled_from([None, True, False, 0, 1, 1.0, "", "a", [], {}, [1], {"a": 1}])
_patterns = st.sampled_from(["^a", r"\d", "^[^a-z]*$", "^.{3}$", "e$", "^(foo|bar)+$"])
_plain: dict[str, st.SearchStrategy[Any]] = {
    "type": _kinds | st.lists(_kinds, min_size=1, max_size=2, unique=True),
    "minimum": st.integers(-5, 5),
    "exclusiveMaximum": st.integers(-5, 5),
    "multipleOf": st.sampled_from([1, 2, 0.5, 0.3, 1.1]),
    "minLength": st.integers(0, 8),
    "maxLength": st.integers(0, 8),
    "pattern": _patterns,
    "enum": st.lists(_values),
    "const": _values,
    "default": _values,
    "required": st.lists(_names, unique=True, max_size=2),
    "minItems": st.integers(0, 3),
    "maxItems": st.integers(0, 3),
    "uniqueItems": st.booleans(),
    "minProperties": st.integers(0, 3),
    "maxProperties": st.integers(0, 3),
    "dependentRequired": st.dictionaries(_names, st.lists(_names, unique=True, max_size=2), max_size=2),
}


def _some_of(keywords: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    pair = st.sampled_from(sorted(keywords)).flatmap(lambda name: st.tuples(st.just(name), keywords[name]))
    return st.lists(pair, max_size=3).map(dict)


def _schemas(*refs: str) -> st.SearchStrategy[Any]:
    leaves = {**_plain, **({"$ref": st.sampled_from(refs)} if refs else {})}

    def extend(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(inner, min_size=1, max_size=2)
        further = {
            "properties": st.dictionaries(_names, inner, max_size=2),
            "patternProperties": st.dictionaries(_patterns, inner, max_size=1),
            **dict.fromkeys(["additionalProperties", "propertyNames", "items", "contains"], inner),
            **dict.fromkeys(["not", "if", "then", "else"], inner),
            **dict.fromkeys(["prefixItems", "allOf", "anyOf", "oneOf"], several),
        }
        return _some_of({**leaves, **further})

    return st.recursive(_some_of(leaves) | st.booleans(), extend, max_leaves=10)


# No definition leads back to itself: the judge would follow it until its stack is full.
_whole = st.tuples(_schemas("#/$defs/one", "#/$defs/two"), _schemas("#/$defs/two"), _schemas())


@settings(deadline=None, max_examples=150)
@given(_whole)
def test_an_answer_is_right_or_refused(parts: tuple[Any, Any, Any]) -> None:
    schema, one, two = parts
    if isinstance(schema, dict):
        schema = {**schema, "$defs": {"one": one, "two": two}}
    try:
        made = example(schema, "field", Effort())
    except Refusal as refusal:
        assert refusal.kind is Kind.BAD_REQUEST  # noqa: PT017
    else:
        jsonschema.Draft202012Validator(schema).validate(made)
