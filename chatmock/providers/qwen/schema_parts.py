"""The keywords of JSON Schema about what is in an object or an array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock.providers.qwen.schema_verdicts import (
    CHARS_A_STEP,
    UNSURE,
    Fault,
    Judge,
    Keyword,
    Place,
    Schema,
    Verdict,
    each_of,
    is_object,
)


def _required(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    names = schema["required"]
    if not isinstance(names, list):
        return UNSURE
    if not is_object(value):
        return None
    for name in names:
        if not isinstance(name, str):
            return UNSURE
        check.spend(1 + len(name) // CHARS_A_STEP)
        if name not in value:
            return Fault(place, "required", name)
    return None


def _properties(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    known = schema["properties"]
    if not is_object(known):
        return UNSURE
    if not is_object(value):
        return None
    shared = known if len(known) < len(value) else value
    check.spend(len(shared))
    return each_of(
        check,
        ((known[key], value[key], Place(key, place)) for key in shared if key in known and key in value),
    )


def _additional(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    known, more = schema.get("properties", {}), schema["additionalProperties"]
    if "patternProperties" in schema or not is_object(known):
        return UNSURE
    if not is_object(value) or more is True:
        return None
    check.spend(len(value))
    others = (key for key in value if key not in known)
    if more is False:
        other = next(others, None)
        return None if other is None else Fault(place, "additionalProperties", other)
    return each_of(check, ((more, value[key], Place(key, place)) for key in others))


def _items(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    wanted, first = schema["items"], schema.get("prefixItems", [])
    if isinstance(wanted, list):
        return _first_items(check, wanted, value, place)
    if not isinstance(value, list):
        return None
    start = len(first) if isinstance(first, list) else 0
    return each_of(check, ((wanted, value[at], Place(at, place)) for at in range(start, len(value))))


def _prefix_items(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    return _first_items(check, schema["prefixItems"], value, place)


def _first_items(check: Judge, wanted: Any, value: Any, place: Place) -> Verdict:
    if not isinstance(wanted, list):
        return UNSURE
    if not isinstance(value, list):
        return None
    pairs = enumerate(zip(wanted, value, strict=False))
    return each_of(check, ((part, each, Place(at, place)) for at, (part, each) in pairs))


KEYWORDS: Final[Mapping[str, Keyword]] = {
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "prefixItems": _prefix_items,
}
"""Those of this kind, by their names."""
