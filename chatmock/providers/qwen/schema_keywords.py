"""The keywords of JSON Schema that :mod:`.argument_schemas` judges, each in as many steps as it looks at things.

A keyword is a function of the check, the schema it stands in, the value, and the value's place. It returns what it
found; where its own value is broken, that it is unsure. A fault is put into words when it is told, and never repeats the
value, which may be large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, Protocol, TypeGuard
from urllib.parse import unquote

import attrs

from chatmock.jsontext import dumps

_MOST_CHARS: Final = 200
_CHARS_A_STEP: Final = 256
UNSURE: Final = "unsure"
"""Neither right nor wrong: something was not judged."""


class GivenUp(Exception):
    """The check takes too many steps."""


@attrs.frozen
class Place:
    """Where a value stands; without a parent it is the arguments."""

    key: str | int = ""
    parent: Place | None = attrs.field(default=None, repr=False)

    def told(self) -> str:
        """It as a path, ``$.city[0]``, cut to a readable length."""
        keys: list[str | int] = []
        place = self
        while place.parent is not None:
            keys.append(place.key)
            place = place.parent
        path = "$"
        for key in reversed(keys):
            path += f"[{key}]" if isinstance(key, int) else f".{key[:_MOST_CHARS]}"
        return _cut(path)


@attrs.frozen
class Fault:
    """A value does not fit."""

    place: Place
    keyword: str
    wanted: Any = attrs.field(default=None, repr=False)
    """The keyword's value, or the name that it is about; None for what says nothing in few words."""

    def told(self) -> str:
        """It in words."""
        if self.keyword == "required":
            why = f"{_cut(repr(self.wanted[:_MOST_CHARS]))} is required and missing"
        elif self.keyword == "additionalProperties":
            why = f"{_cut(repr(self.wanted[:_MOST_CHARS]))} is none of the properties it may have"
        elif self.wanted is None:
            why = f"does not fit {self.keyword!r}"
        else:
            why = f"does not fit {self.keyword!r}: {_cut(dumps(self.wanted).decode())}"
        return f"{self.place.told()}: {why}"


Verdict = Fault | Literal["unsure"] | None
"""None: it fits."""


class Judge(Protocol):
    """The check, as keywords see it."""

    def spend(self, steps: int) -> None:
        """Go on by *steps*.

        :raises GivenUp: when there are no more.
        """

    def judge(self, schema: Any, value: Any, place: Place) -> Verdict:
        """What *schema* says of *value*, which stands at *place*."""


Schema = Mapping[str, Any]
Keyword = Callable[[Judge, Schema, Any, Place], Verdict]


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def unescaped(step: str) -> str:
    """A step of a pointer in a ``$ref``, as the name it stands for."""
    return unquote(step).replace("~1", "/").replace("~0", "~")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": is_object,
    "number": _is_number,
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
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
        if _is_number(one) and _is_number(other):
            if one != other:
                return False
        elif type(one) is not type(other):
            return False
        elif isinstance(one, list | dict):
            if len(one) != len(other):
                return False
            check.spend(len(one))
            if is_object(one):
                check.spend(sum(len(key) // _CHARS_A_STEP for key in one))
                if any(key not in other for key in one):
                    return False
                pairs += [(one[key], other[key]) for key in one]
            else:
                pairs += zip(one, other, strict=True)
        else:
            if isinstance(one, str):
                check.spend(len(one) // _CHARS_A_STEP)
            if one != other:
                return False
    return True


def _required(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    names = schema["required"]
    if not isinstance(names, list):
        return UNSURE
    if not is_object(value):
        return None
    for name in names:
        if not isinstance(name, str):
            return UNSURE
        check.spend(1 + len(name) // _CHARS_A_STEP)
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
    return _each(
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
    return _each(check, ((more, value[key], Place(key, place)) for key in others))


def _items(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    wanted, first = schema["items"], schema.get("prefixItems", [])
    if isinstance(wanted, list):
        return _first_items(check, wanted, value, place)
    if not isinstance(value, list):
        return None
    start = len(first) if isinstance(first, list) else 0
    return _each(check, ((wanted, value[at], Place(at, place)) for at in range(start, len(value))))


def _prefix_items(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    return _first_items(check, schema["prefixItems"], value, place)


def _first_items(check: Judge, wanted: Any, value: Any, place: Place) -> Verdict:
    if not isinstance(wanted, list):
        return UNSURE
    if not isinstance(value, list):
        return None
    pairs = enumerate(zip(wanted, value, strict=False))
    return _each(check, ((part, each, Place(at, place)) for at, (part, each) in pairs))


def _each(check: Judge, parts: Iterator[tuple[Any, Any, Place]]) -> Verdict:
    """The first fault of *parts*: schema, value and place."""
    sure = True
    for schema, value, place in parts:
        found = check.judge(schema, value, place)
        if isinstance(found, Fault):
            return found
        sure = sure and found is None
    return None if sure else UNSURE


def _all_of(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    parts = schema["allOf"]
    return _each(check, ((part, value, place) for part in parts)) if isinstance(parts, list) else UNSURE


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


def _bound(name: str, size: Callable[[Any], float | None], wrong: Callable[[Any, Any], bool]) -> Keyword:
    """A keyword that compares the *size* of a value, None where it has none, with its own number."""

    def keyword(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
        limit, measured = schema[name], size(value)
        if not _is_number(limit):
            return UNSURE
        return Fault(place, name, limit) if measured is not None and wrong(measured, limit) else None

    return keyword


def _multiple_of(check: Judge, schema: Schema, value: Any, place: Place) -> Verdict:
    step = schema["multipleOf"]
    if not _is_number(value):
        return None
    if not (isinstance(step, int) and isinstance(value, int)) or step is True or step <= 0:
        return UNSURE
    return Fault(place, "multipleOf", step) if value % step else None


def _number(value: Any) -> float | None:
    return value if _is_number(value) else None


def _length(kind: type[Any]) -> Callable[[Any], int | None]:
    return lambda value: len(value) if isinstance(value, kind) else None


def _below(size: Any, limit: Any) -> bool:
    return bool(size < limit)


def _above(size: Any, limit: Any) -> bool:
    return bool(size > limit)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else text[:_MOST_CHARS] + "…"


JUDGED: Final[Mapping[str, Keyword]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "prefixItems": _prefix_items,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
    "minimum": _bound("minimum", _number, _below),
    "maximum": _bound("maximum", _number, _above),
    "exclusiveMinimum": _bound("exclusiveMinimum", _number, lambda size, limit: bool(size <= limit)),
    "exclusiveMaximum": _bound("exclusiveMaximum", _number, lambda size, limit: bool(size >= limit)),
    "multipleOf": _multiple_of,
    **{
        f"min{what}": _bound(f"min{what}", _length(kind), _below)
        for what, kind in (("Length", str), ("Items", list), ("Properties", dict))
    },
    **{
        f"max{what}": _bound(f"max{what}", _length(kind), _above)
        for what, kind in (("Length", str), ("Items", list), ("Properties", dict))
    },
}
NOT_JUDGED: Final = frozenset(
    [
        "pattern",
        "patternProperties",
        "propertyNames",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "additionalItems",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedItems",
        "unevaluatedProperties",
        "$dynamicRef",
        "$recursiveRef",
    ]
)
"""Keywords that say what fits, and are not looked at."""
