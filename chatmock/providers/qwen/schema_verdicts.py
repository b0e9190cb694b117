"""What the keywords of JSON Schema say of a value, and what they say it about; used by :mod:`.argument_schemas`.

A keyword is a function of the check, the schema it stands in, the value, and the value's place. It returns what it
found; where its own value is broken, that it is unsure. A fault is put into words when it is told, and never repeats the
value, which may be large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, Protocol, TypeGuard

import attrs

from chatmock.jsontext import dumps

_MOST_CHARS: Final = 200
CHARS_A_STEP: Final = 256
"""How many characters of a text are looked at in one step."""
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


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a JSON number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def each_of(check: Judge, parts: Iterator[tuple[Any, Any, Place]]) -> Verdict:
    """The first fault of *parts*: schema, value and place."""
    sure = True
    for schema, value, place in parts:
        found = check.judge(schema, value, place)
        if isinstance(found, Fault):
            return found
        sure = sure and found is None
    return None if sure else UNSURE


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else text[:_MOST_CHARS] + "…"
