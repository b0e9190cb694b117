"""Checks the arguments of a call against the JSON Schema of its tool, in bounded time and memory (issue 4, point 4).

The schema is the client's and may be hostile, so only what is cheap and safe is judged: ``type``, ``enum``, ``const``,
``required``, ``properties``, ``additionalProperties``, ``items``, ``prefixItems``, the smallest and largest of numbers
and sizes, ``multipleOf`` of whole numbers, ``allOf``, ``anyOf``, ``oneOf``, ``not``, ``if``, and ``$ref`` to ``#`` or a
pointer (``#/…``). Not judged are:

* regular expressions (``pattern``, ``patternProperties``, and ``additionalProperties`` beside it), since Python's matcher
  may take exponential time; ``propertyNames``, ``uniqueItems``, ``contains``, ``dependent…``, ``unevaluated…``;
* references by name or out of the schema, and parts with a base or a draft of their own (``$id``, ``$schema``);
* what is broken, such as a ``type`` that does not exist.

What is not judged is neither right nor wrong: a ``oneOf`` or a ``not`` around it finds no fault for it. ``format``,
``title`` and the like say nothing about what fits.

Every step costs, by the size of what it looks at, and a check that has spent :data:`MOST_STEPS`, or is too deep, ends
without a fault: the client looks at the arguments again anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import attrs

from chatmock.providers.qwen import schema_combinators, schema_parts, schema_values
from chatmock.providers.qwen.schema_verdicts import (
    UNSURE,
    Fault,
    GivenUp,
    Keyword,
    Place,
    Verdict,
    is_object,
)

MOST_STEPS: Final = 100_000
"""In steps that take about a microsecond and 30 bytes each."""
_MOST_DEPTH: Final = 100
_OWN_DRAFT: Final = ("$schema", "$id", "id")
_REF_ALONE: Final = ("draft-03", "draft-04", "draft-06", "draft-07")
"""Drafts in which nothing beside a ``$ref`` counts."""
_JUDGED: Final[Mapping[str, Keyword]] = {
    **schema_values.KEYWORDS,
    **schema_parts.KEYWORDS,
    **schema_combinators.KEYWORDS,
}
_NOT_JUDGED: Final = frozenset(
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


def fault(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with *arguments*, as a text that names the place; None when nothing is, or none can tell."""
    return Check(schema, MOST_STEPS).fault(arguments)


class Check:
    """One check.

    :param most: the steps that it may take.
    """

    def __init__(self, schema: Mapping[str, Any], most: int) -> None:
        self._root = schema
        self._most = most
        draft = schema.get("$schema", "")
        self._ref_alone = isinstance(draft, str) and any(name in draft for name in _REF_ALONE)
        self._seen: dict[tuple[int, int], Verdict] = {}
        """What was found, by schema and value: both live as long as the check."""
        self._depth = 0
        self.steps = 0
        """How many have been taken."""

    def fault(self, arguments: Mapping[str, Any]) -> str | None:
        """See :func:`fault`."""
        try:
            found = self.judge(self._root, arguments, Place())
        except GivenUp:
            return None
        return found.told() if isinstance(found, Fault) else None

    def fits(self, part: Any, value: Any) -> bool:
        """Whether nothing is wrong with *value* by *part* of the schema, as far as that is judged.

        *value* must live as long as the check.
        """
        try:
            return not isinstance(self.judge(part, value, Place()), Fault)
        except GivenUp:
            return True

    def spend(self, steps: int) -> None:
        """Go on by *steps*.

        :raises GivenUp: when there are no more.
        """
        self.steps += steps
        if self.steps > self._most:
            raise GivenUp

    def judge(self, schema: Any, value: Any, place: Place) -> Verdict:
        """What *schema* says of *value*, which stands at *place*."""
        self.spend(4)
        if isinstance(schema, bool):
            return None if schema else Fault(place, "false")
        if not is_object(schema) or (schema is not self._root and _has_own_draft(schema)):
            return UNSURE
        key = id(schema), id(value)
        found = self._seen.get(key)
        if found is None and key not in self._seen:
            found = self._seen[key] = self._deeper(schema, value, place)
        elif isinstance(found, Fault) and not isinstance(value, list | dict):
            found = attrs.evolve(found, place=place)  # equal numbers may be one object at many places
        return found

    def _deeper(self, schema: Mapping[str, Any], value: Any, place: Place) -> Verdict:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise GivenUp
        try:
            return self._all_keywords(schema, value, place)
        finally:
            self._depth -= 1

    def _all_keywords(self, schema: Mapping[str, Any], value: Any, place: Place) -> Verdict:
        self.spend(len(schema))
        if "$ref" in schema and self._ref_alone:
            return self._reference(schema["$ref"], value, place)
        sure = True
        for name in schema:
            if name == "$ref":
                found = self._reference(schema[name], value, place)
            else:
                keyword = _JUDGED.get(name)
                if keyword is not None:
                    found = keyword(self, schema, value, place)
                else:
                    found = UNSURE if name in _NOT_JUDGED else None
            if isinstance(found, Fault):
                return found
            sure = sure and found is None
        return None if sure else UNSURE

    def _reference(self, pointer: Any, value: Any, place: Place) -> Verdict:
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            return UNSURE
        self.spend(len(pointer))
        part: Any = self._root
        for step in pointer[2:].split("/") if pointer != "#" else ():
            if part is not self._root and is_object(part) and _has_own_draft(part):
                return UNSURE
            name = _unescaped(step)
            if is_object(part) and name in part:
                part = part[name]
            elif isinstance(part, list) and name.isdecimal() and len(name) < 9 and int(name) < len(part):
                part = part[int(name)]
            else:
                return UNSURE
        return self.judge(part, value, place)


def _has_own_draft(schema: Mapping[str, Any]) -> bool:
    return any(isinstance(schema.get(name), str) for name in _OWN_DRAFT)


def _unescaped(step: str) -> str:
    """A step of a pointer in a ``$ref``, as the name it stands for."""
    return unquote(step).replace("~1", "/").replace("~0", "~")
