"""Examples for JSON Schemas, proved by another validator."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock import jsontext
from chatmock.errors import Kind, Refusal
from chatmock.providers.demo.effort import Effort
from chatmock.providers.demo.schema import example

_formats_checked = jsonschema.FormatChecker(["date", "email", "ipv4", "ipv6", "uuid"])
for _name, _form in {  # these are checked by jsonschema with further packages only
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "time": r"\d\d:\d\d:\d\dZ",
    "uri": r"https://[a-z.]+/\d+",
    "hostname": r"[a-z0-9]+(\.[a-z]+)+",
}.items():
    _formats_checked.checks(_name)(
        lambda value, form=re.compile(_form): not isinstance(value, str) or bool(form.fullmatch(value))
    )

PARAM = "response_format.json_schema.schema"


def proved(schema: Any) -> Any:
    """The example for *schema*, which the other validator takes too."""
    made = jsontext.loads(jsontext.dumps(example(schema, PARAM, Effort())))
    jsonschema.Draft202012Validator(schema, format_checker=_formats_checked).validate(made)
    return made


def refused(schema: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        example(schema, PARAM, Effort())
    assert caught.value.kind is Kind.BAD_REQUEST
    assert caught.value.param == PARAM
    return caught.value


# --- schemas that have an instance by the way they are built, so that a refusal is a fault ---

_names = st.sampled_from(["a", "b", "name", "größe", "with space", "$x"])
_formats = st.sampled_from(["date", "date-time", "time", "email", "uri", "uuid", "ipv4", "ipv6", "hostname"])
_patterns = st.sampled_from(
    [
        r"^[A-Z]{3}-\d{4}$",
        r"^(foo|bar)+$",
        r"\d",
        r"^[^a-z]*$",
        r"^\w+@\w+\.(com|org)$",
        r"^(?:[01]\d|2[0-3]):[0-5]\d$",
        r"^#[0-9a-fA-F]{6}$",
        r"^v\d+\.\d+\.\d+$",
        r"^[\w.-]{2,8}?$",
        r"^\+?[1-9]\d{1,14}$",
        r"^\S+\s\S+$",
        r"^.{3}$",
        r"^\x41\u0042[\]\\]$",
    ]
)


@st.composite
def integers(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    low = draw(st.none() | st.integers(-(10**6), 10**6))
    if low is not None:
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        high = (low if low is not None else draw(st.integers(-100, 100))) + draw(st.integers(20, 100))
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = high
    if draw(st.booleans()):
        schema["multipleOf"] = draw(st.integers(1, 9))
    return schema


@st.composite
def reals(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "number"}
    finite = st.floats(-1000, 1000, allow_nan=False)
    low = draw(st.none() | finite)
    if low is not None:
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        base = low if low is not None else draw(finite)
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = base + draw(st.floats(0.01, 3))
    elif draw(st.booleans()):
        schema["multipleOf"] = draw(st.sampled_from([0.5, 0.25, 0.1, 0.01, 3]))
    return schema


@st.composite
def texts(draw: st.DrawFn) -> dict[str, Any]:
    least = draw(st.integers(0, 40))
    bounds = draw(
        st.sampled_from(
            [{}, {"minLength": least}, {"maxLength": least}, {"minLength": least, "maxLength": least}]
        )
    )
    return {"type": "string", **bounds}


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array"}
    least = draw(st.integers(0, 4))
    if draw(st.booleans()):
        schema["minItems"] = least
    if draw(st.booleans()):
        schema["maxItems"] = least + draw(st.integers(0, 2))
    if draw(st.booleans()):
        schema["uniqueItems"] = True
        schema["items"] = draw(
            st.sampled_from([{"type": "integer", "minimum": -1}, {"type": "string"}, {"type": "number"}])
        )
        return schema
    schema["items"] = draw(inner)
    if draw(st.booleans()):
        schema["prefixItems"] = draw(st.lists(inner, max_size=2))
    return schema


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(_names, inner, max_size=3))
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if properties:
        schema["required"] = draw(st.lists(st.sampled_from(sorted(properties)), unique=True))
    extra = draw(st.sampled_from(["absent", "false", "schema"]))
    if extra == "false":
        schema["additionalProperties"] = False
    elif extra == "schema":
        schema["additionalProperties"] = draw(inner)
        schema["minProperties"] = len(properties) + draw(st.integers(0, 2))
    return schema


_leaves = st.one_of(
    integers(),
    reals(),
    texts(),
    st.builds(lambda f: {"type": "string", "format": f}, _formats),
    st.builds(lambda p: {"type": "string", "pattern": p}, _patterns),
    st.sampled_from(
        [{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {"type": ["null", "integer"]}]
    ),
    st.builds(
        lambda v: {"enum": v}, st.lists(st.none() | st.booleans() | st.integers() | st.text(), min_size=1)
    ),
    st.builds(lambda v: {"const": v}, st.none() | st.integers() | st.text() | st.lists(st.integers())),
    st.just({}),
    st.just(True),
    st.builds(lambda d: {"type": "integer", "default": d}, st.integers() | st.text() | st.none()),
    st.builds(lambda e: {"type": "string", "examples": e}, st.lists(st.text() | st.integers())),
)


def _combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    branches = st.lists(inner, min_size=1, max_size=3)
    named = st.fixed_dictionaries({"k": st.builds(lambda n: {"const": n}, st.integers(0, 10**6)), "v": inner})
    one_of = st.lists(named, min_size=1, max_size=3, unique_by=lambda p: p["k"]["const"])
    return st.one_of(
        arrays(inner),
        objects(inner),
        st.builds(lambda b: {"anyOf": b}, branches),
        st.builds(lambda b: {"anyOf": [False, *b]}, branches),
        st.builds(
            lambda b: {"oneOf": [{"type": "object", "properties": p, "required": ["k"]} for p in b]}, one_of
        ),
        st.builds(lambda s: {"allOf": [s, {}]}, inner),
        st.builds(
            lambda p: {"allOf": [{"properties": {n: s}, "required": [n]} for n, s in p.items()]},
            st.dictionaries(_names, inner, min_size=1, max_size=3),
        ),
    )


possible = st.recursive(_leaves, _combined, max_leaves=8)


@settings(deadline=None, max_examples=60)
@given(possible)
def test_every_schema_that_has_an_instance_gets_one(schema: Any) -> None:
    proved(schema)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(_names, possible, min_size=1, max_size=3), st.data())
def test_references_are_followed(definitions: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(definitions)))
    where = data.draw(st.sampled_from(["$defs", "definitions"]))
    quoted = name.replace(" ", "%20")
    schema = {
        where: definitions,
        "type": "object",
        "properties": {
            "it": {"$ref": f"#/{where}/{quoted}"},
            "many": {"items": {"$ref": f"#/{where}/{quoted}"}},
        },
        "required": ["it"],
    }
    assert "it" in proved(schema)


# --- single cases ---


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"type": "string"}, "example"),
        ({"type": "string", "minLength": 10}, "examplexxx"),
        ({"type": "string", "maxLength": 3}, "exa"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "minimum": 0, "maximum": 0}, 0),
        ({"type": "integer", "multipleOf": 7, "minimum": 8}, 14),
        ({"type": "integer", "multipleOf": 2.5}, 5),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number", "minimum": 1e300}, 1e300),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True}, [1, 2, 3]),
        (
            {
                "type": "array",
                "items": {"type": "integer", "minimum": 0, "maximum": 1},
                "minItems": 2,
                "uniqueItems": True,
            },
            [1, 0],
        ),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2, "uniqueItems": True}, [True, False]),
        ({"type": "array", "maxItems": 0}, []),
        ({"prefixItems": [{"const": 1}, {"const": "b"}], "items": False}, [1, "b"]),
        ({"contains": {"const": "needle"}, "items": {"type": "string"}, "type": "array"}, ["needle"]),
        ({"properties": {"a": {"type": "null"}}}, {"a": None}),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"example": 1}),
        (
            {
                "type": "object",
                "patternProperties": {"^x-": {"type": "integer"}},
                "additionalProperties": False,
            },
            {"x-": 1},
        ),
        (
            {"type": "object", "propertyNames": {"enum": ["red", "blue"]}, "minProperties": 2},
            {"red": "example", "blue": "example"},
        ),
        (
            {
                "type": "object",
                "properties": {"a": {}, "b": {}, "c": {}},
                "required": ["c"],
                "maxProperties": 2,
            },
            {"a": "example", "c": "example"},
        ),
        ({"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}, "example"),
        ({"type": "string", "default": "here"}, "here"),
        ({"type": "integer", "default": "wrong"}, 1),
        ({"enum": ["b", "a"], "type": "string"}, "b"),
        ({"not": {"type": "string"}, "type": ["string", "integer"]}, 1),
        ({"if": {"type": "integer"}, "then": {"minimum": 10}, "type": "integer"}, 10),
    ],
)
def test_the_example_is_the_plain_one(schema: Any, made: Any) -> None:
    assert proved(schema) == made


NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        "twin": {"$ref": "#/$defs/Node"},
    },
    "required": ["value", "next", "children"],
    "additionalProperties": False,
}


def test_what_would_contain_itself_is_left_out() -> None:
    assert proved({"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}) == {
        "value": 1,
        "next": None,
        "children": [],
    }
    assert proved({**NODE, "$defs": {"Node": NODE}})["twin"] == {"value": 1, "next": None, "children": []}


def test_what_must_contain_itself_is_refused() -> None:
    endless = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
    assert "no example" in refused(endless).message


@pytest.mark.parametrize(
    ("schema", "part"),
    [
        ({"type": "string", "pattern": "^(?=x)y$"}, "the pattern '^(?=x)y$'"),
        ({"type": "string", "pattern": r"^(\w)\1$"}, "pattern"),
        ({"type": "string", "pattern": "^a$", "minLength": 2}, "the pattern '^a$'"),
        ({"type": "string", "minLength": 2, "maxLength": 1}, "no value fits"),
        ({"type": "strin"}, "no value fits"),
        ({"type": 5}, "$.type"),
        ({"properties": []}, "$.properties"),
        ({"$ref": "https://example.com/schema"}, "leads out"),
        ({"$ref": "#/$defs/gone"}, "leads nowhere"),
        ({"$ref": "#/$defs/a", "$defs": {"a": 5}}, "leads to no schema"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "too large or too deep"),
        ({"enum": []}, "no value fits"),
        ({"enum": [1], "const": 2}, "no value fits"),
        (False, "no value fits"),
        ({"type": "integer", "multipleOf": 0}, "multipleOf"),
        (
            {"type": "array", "items": {"type": "boolean"}, "minItems": 3, "uniqueItems": True},
            "more different items",
        ),
        ({"type": "object", "minProperties": 1, "additionalProperties": False}, "more properties"),
        ({"required": ["a"], "properties": {"a": {"type": "string", "pattern": "^(?!x)"}}}, "'^(?!x)'"),
    ],
)
def test_a_schema_without_an_example_is_refused_with_the_reason(schema: Any, part: str) -> None:
    assert part in refused(schema).message


def test_an_optional_part_that_cannot_be_made_is_left_out() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "(?=x)"}, "b": {"type": "null"}},
    }
    assert proved(schema) == {"b": None}


def _doubling(depth: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {
        f"d{i}": {"type": "object", "properties": {k: {"$ref": f"#/$defs/d{i + 1}"} for k in "ab"}}
        for i in range(depth)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{depth}": {"type": "integer"}}}


def _nested(keyword: str, depth: int) -> Any:
    schema: Any = {"type": "integer"}
    for _ in range(depth):
        schema = {keyword: [schema] if keyword == "allOf" else schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        _doubling(60),
        _nested("allOf", 5000),
        {"type": "string", "minLength": 10**12},
        {"type": "array", "minItems": 10**12},
        {"type": "string", "pattern": "^(((a{9999}){9999}){9999})$"},
        {"type": "string", "minLength": 250, "pattern": "^(x+x+)+y$"},
        {"type": "number", "minimum": 10**400},
        {"enum": list(range(50_000)), "not": {}},
        {"allOf": [{"anyOf": [{"minimum": i} for i in range(10)]} for _ in range(30)], "not": {}},
    ],
)
def test_work_has_a_bound(schema: Any) -> None:
    refused(schema)  # without a bound this would take years


def test_what_is_spent_is_spent_for_the_whole_request() -> None:
    effort = Effort()
    with pytest.raises(Refusal):
        example(_doubling(60), PARAM, effort)
    with pytest.raises(Refusal, match="too large"):
        example({"type": "integer"}, PARAM, effort)
