"""The keywords of JSON Schema about one value: its type, what it may be, how large or long it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    is_number,
    is_object,
)

_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": is_object,
    "number": is_number,
    "integer": lambda value: is_number(value) and (isinstance(value, int) or value.is_integer()),
}


def _type(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    wanted = schema["type"]
    names = wanted if isinstance(wanted, list) else [wanted]
    check.spend(len(names))
    if not all(isinstance(name, str) and name in _TYPES for name in names):
        return UNSURE
    return None if any(_TYPES[name](value) for name in names) else Fault(place, "type", wanted)


def _enum(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    wanted = schema["enum"]
    if not isinstance(wanted, list):
        return UNSURE
    return None if any(_equal(check, each, value) for each in wanted) else Fault(place, "enum", wanted)


def _const(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    return None if _equal(check, schema["const"], value) else Fault(place, "const", schema["const"])


def _equal(check: Judge, one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; true is not 1."""
    pairs = [(one, other)]
    while pairs:
        one, other = pairs.pop()
        check.spend(1)
        if is_number(one) and is_number(other):
            if one != other:
                return False
        elif type(one) is not type(other):
            return False
        elif isinstance(one, list | dict):
            if len(one) != len(other):
                return False
            check.spend(len(one))
            if is_object(one):
                check.spend(sum(len(key) // CHARS_A_STEP for key in one))
                if any(key not in other for key in one):
                    return False
                pairs += [(one[key], other[key]) for key in one]
            else:
                pairs += zip(one, other, strict=True)
        else:
            if isinstance(one, str):
                check.spend(len(one) // CHARS_A_STEP)
            if one != other:
                return False
    return True


def _bound(name: str, size: Callable[[Any], float | None], wrong: Callable[[Any, Any], bool]) -> Keyword:
    """A keyword that compares the *size* of a value, None where it has none, with its own number."""

    def keyword(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
        limit, measured = schema[name], size(value)
        if not is_number(limit):
            return UNSURE
        return Fault(place, name, limit) if measured is not None and wrong(measured, limit) else None

    return keyword


def _multiple_of(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    step = schema["multipleOf"]
    if not is_number(value):
        return None
    if not (isinstance(step, int) and isinstance(value, int)) or step is True or step <= 0:
        return UNSURE
    return Fault(place, "multipleOf", step) if value % step else None


def _number(value: Any) -> float | None:
    return value if is_number(value) else None


def _length(kind: type[Any]) -> Callable[[Any], int | None]:
    return lambda value: len(value) if isinstance(value, kind) else None


def _below(size: Any, limit: Any) -> bool:
    return bool(size < limit)


def _above(size: Any, limit: Any) -> bool:
    return bool(size > limit)


_SIZES: Final = (("Length", str), ("Items", list), ("Properties", dict))
KEYWORDS: Final[Mapping[str, Keyword]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "minimum": _bound("minimum", _number, _below),
    "maximum": _bound("maximum", _number, _above),
    "exclusiveMinimum": _bound("exclusiveMinimum", _number, lambda size, limit: bool(size <= limit)),
    "exclusiveMaximum": _bound("exclusiveMaximum", _number, lambda size, limit: bool(size >= limit)),
    "multipleOf": _multiple_of,
    **{f"min{what}": _bound(f"min{what}", _length(kind), _below) for what, kind in _SIZES},
    **{f"max{what}": _bound(f"max{what}", _length(kind), _above) for what, kind in _SIZES},
}
"""Those of this kind, by their names."""
