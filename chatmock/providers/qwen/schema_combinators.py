"""The keywords of JSON Schema that ask other schemas about the same value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock.providers.qwen.schema_verdicts import (
    UNSURE,
    Fault,
    Judge,
    Keyword,
    Place,
    Schema,
    Verdict,
    each_of,
)


def _all_of(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    parts = schema["allOf"]
    return each_of(check, ((part, value, place) for part in parts)) if isinstance(parts, list) else UNSURE


def _any_of(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    parts = schema["anyOf"]
    if not isinstance(parts, list) or not parts:
        return UNSURE
    sure = True
    for part in parts:
        found = check.judge(part, value, place)
        if found is None:
            return None
        sure = sure and found is not UNSURE
    return Fault(place, "anyOf") if sure else UNSURE


def _one_of(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    parts = schema["oneOf"]
    if not isinstance(parts, list) or not parts:
        return UNSURE
    fitting, unsure = 0, False
    for part in parts:
        found = check.judge(part, value, place)
        fitting += found is None
        unsure = unsure or found is UNSURE
        if fitting > 1:
            return Fault(place, "oneOf")
    if unsure:
        return UNSURE
    return None if fitting else Fault(place, "oneOf")


def _not(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    found = check.judge(schema["not"], value, place)
    if found is None:
        return Fault(place, "not")
    return UNSURE if found is UNSURE else None


def _if(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    found = check.judge(schema["if"], value, place)
    if found is UNSURE:
        return UNSURE
    return check.judge(schema.get("then" if found is None else "else", True), value, place)


KEYWORDS: Final[Mapping[str, Keyword]] = {
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
}
"""Those of this kind, by their names."""
