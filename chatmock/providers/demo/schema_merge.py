"""Two JSON Schemas that must both hold, as one: not always as tight as both, so that values are still checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_COMBINING = frozenset({"$ref", "allOf", "anyOf", "oneOf"})


def plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of *schema* what points at, or combines, other schemas."""
    return {keyword: value for keyword, value in schema.items() if keyword not in _COMBINING}


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """Join two plain schemas. Where a keyword has no rule, *one* has its way."""
    if not one or not other:
        return one or other
    both = {**other, **one}
    for keyword, tighter in _TIGHTER.items():
        if keyword in one and keyword in other:
            both[keyword] = tighter(one[keyword], other[keyword])
    return both


def _listed(kinds: str | list[str]) -> list[str]:
    return [kinds] if isinstance(kinds, str) else kinds


def _common_types(one: list[str], other: list[str]) -> list[str]:
    common = [kind for kind in one if kind in other or (kind == "integer" and "number" in other)]
    if "number" in one and "integer" in other and "integer" not in common:
        common.append("integer")
    return common


def _both_by_name(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    both = {**one, **other}
    both.update({name: {"allOf": [one[name], other[name]]} for name in one if name in other})
    return both


_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "multipleOf")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SCHEMAS = ("items", "additionalProperties", "propertyNames", "contains")
_TIGHTER: Mapping[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(_LOWER_BOUNDS, max),
    **dict.fromkeys(_UPPER_BOUNDS, min),
    **dict.fromkeys(_SCHEMAS, lambda one, other: {"allOf": [one, other]}),
    **dict.fromkeys(("properties", "patternProperties"), _both_by_name),
    "uniqueItems": lambda one, other: one or other,
    "required": lambda one, other: [*one, *other],
    "type": lambda one, other: _common_types(_listed(one), _listed(other)),
}
