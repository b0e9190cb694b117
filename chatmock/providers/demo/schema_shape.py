"""The keywords of JSON Schema that the demo reads, and where a reference leads."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any
from urllib.parse import unquote

from chatmock import jsontext
from chatmock.jsontext import JSONError, Struct
from chatmock.providers.demo.effort import ImpossibleError

Schema = Mapping[str, Any] | bool
_Inner = dict[str, Any] | bool
_Number = int | float
_RENAMED = {"ref": "$ref", "negation": "not", "condition": "if", "otherwise": "else"}


class Keywords(Struct, rename=_RENAMED, omit_defaults=True):
    """The types of the keywords' values; what a schema does not say is None."""

    ref: str | None = None
    type: str | list[str] | None = None
    enum: list[Any] | None = None
    examples: list[Any] | None = None
    properties: dict[str, _Inner] | None = None
    patternProperties: dict[str, _Inner] | None = None
    additionalProperties: _Inner | None = None
    propertyNames: _Inner | None = None
    required: list[str] | None = None
    dependentRequired: dict[str, list[str]] | None = None
    minProperties: int | None = None
    maxProperties: int | None = None
    prefixItems: list[_Inner] | None = None
    items: _Inner | None = None
    contains: _Inner | None = None
    minContains: int | None = None
    maxContains: int | None = None
    minItems: int | None = None
    maxItems: int | None = None
    uniqueItems: bool | None = None
    minimum: _Number | None = None
    maximum: _Number | None = None
    exclusiveMinimum: _Number | None = None
    exclusiveMaximum: _Number | None = None
    multipleOf: _Number | None = None
    minLength: int | None = None
    maxLength: int | None = None
    pattern: str | None = None
    format: str | None = None
    allOf: list[_Inner] | None = None
    anyOf: list[_Inner] | None = None
    oneOf: list[_Inner] | None = None
    negation: _Inner | None = None
    condition: _Inner | None = None
    then: _Inner | None = None
    otherwise: _Inner | None = None


def keywords(schema: Mapping[str, Any]) -> Keywords:
    """Check the types of what *schema* says.

    :raises ImpossibleError: when it is no JSON Schema.
    """
    if isinstance(schema.get("items"), list):
        # Before 2020 this was how the first items were described.
        schema = {**schema, "prefixItems": schema["items"], "items": schema.get("additionalItems", True)}
    try:
        return jsontext.convert(schema, Keywords)
    except JSONError as error:
        raise ImpossibleError(f"it is no JSON Schema ({error})") from None


def look_up(root: Schema, ref: str) -> Schema:
    """Follow *ref*, a JSON pointer into *root*: ``#``, ``#/$defs/name``, ``#/properties/a/items``.

    :raises ImpossibleError: when it leads nowhere, or out of the schema.
    """
    path, pointer, steps = ref.partition("#")
    if path or not pointer or (steps and not steps.startswith("/")):
        raise ImpossibleError(f"the reference {ref[:100]!r} leads out of it")
    found: Any = root
    for step in steps.split("/")[1:]:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise ImpossibleError(f"the reference {ref[:100]!r} leads nowhere") from None
    if not isinstance(found, Mapping | bool):
        raise ImpossibleError(f"the reference {ref[:100]!r} leads to no schema")
    return found


def exact(number: float) -> Fraction:
    """Take *number* as it is written in decimals."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal: ``1`` and ``1.0`` are, ``1`` and ``true`` are not."""
    return one == other and _same_kinds(one, other)


def _same_kinds(one: Any, other: Any) -> bool:
    """Whether values that Python finds equal have truth values in the same places."""
    if isinstance(one, list):
        return all(map(_same_kinds, one, other))
    if isinstance(one, dict):
        return all(_same_kinds(one[key], other[key]) for key in one)
    return isinstance(one, bool) == isinstance(other, bool)


def breadth(schema: Mapping[str, Any]) -> int:
    """Count the entries of *schema*'s lists and objects: how much work it is to read."""
    return sum(len(value) for value in schema.values() if isinstance(value, list | dict))
