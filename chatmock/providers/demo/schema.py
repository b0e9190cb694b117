"""An example for a JSON Schema: what the demo answers where arguments or structured output are asked for.

Parts are tried in the order in which the schema has them, and every value made is checked against it. A part
that may be missing is left out where it cannot be made, and where it would contain itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from chatmock.errors import bad_request
from chatmock.providers.demo.check import KINDS, Checker
from chatmock.providers.demo.effort import Effort, ExhaustedError, ImpossibleError
from chatmock.providers.demo.scalars import numbers, strings
from chatmock.providers.demo.schema_merge import merged, plain
from chatmock.providers.demo.schema_shape import Keywords, Schema, breadth, keywords, look_up, same


def example(schema: Schema, param: str, effort: Effort) -> Any:
    """Make a JSON value that fits *schema*.

    :param param: the request field that holds it, for the refusal.
    :param effort: what may be spent on it, and on further ones of the same request.
    :raises Refusal: bad request, when there is no such value or the demo cannot find one.
    """
    try:
        return _Examples(schema, effort).first(schema, frozenset({"#"}))
    except ImpossibleError as error:
        raise bad_request(f"The demo finds no example for the schema '{param}': {error}.", param) from None
    except (ExhaustedError, RecursionError, OverflowError):
        raise bad_request(
            f"The demo gave up on an example for the schema '{param}': it is too large or too deep.", param
        ) from None


@attrs.frozen
class _Reading:
    """One way to read a schema: references followed, branches chosen, everything in one object."""

    schema: Mapping[str, Any]
    rules: Keywords
    trail: frozenset[str]
    """The references that lead here from the root."""


class _Examples:
    def __init__(self, root: Schema, effort: Effort) -> None:
        self._root = root
        self._effort = effort
        self._checker = Checker(root, effort)
        self._makers: Mapping[str, Callable[[_Reading], Iterator[Any]]] = {
            "object": self._objects,
            "array": self._arrays,
            "string": self._strings,
            "integer": lambda reading: numbers(reading.rules, whole=True),
            "number": lambda reading: numbers(reading.rules, whole=False),
            "boolean": lambda _: iter((True, False)),
            "null": lambda _: iter((None,)),
        }

    def first(self, schema: Schema, trail: frozenset[str]) -> Any:
        """The plainest value.

        :raises ImpossibleError: when there is none.
        """
        return next(self.values(schema, trail))

    def values(self, schema: Schema, trail: frozenset[str]) -> Iterator[Any]:
        """Values that fit; raises ImpossibleError at the end when there was none."""
        reason, found = "no value fits it", False
        readings = self._readings([schema], {}, trail, frozenset())
        while True:
            try:
                reading = next(readings, None)
                if reading is None:
                    break
                for value in self._candidates(reading):
                    self._effort.spend()
                    if self._checker.fits(value, reading.schema) and self._checker.fits(value, schema):
                        found = True
                        yield value
            except ImpossibleError as error:
                reason = str(error)
        if not found:
            raise ImpossibleError(reason)

    def _readings(
        self, schemas: list[Schema], flat: Mapping[str, Any], above: frozenset[str], here: frozenset[str]
    ) -> Iterator[_Reading]:
        """Each way to read *schemas*, which must all hold, together with *flat*.

        :param above: the references that lead to this place; *here* those followed at it.
        """
        self._effort.spend(5 + breadth(flat))
        if not schemas:
            yield _Reading(flat, keywords(flat), above | here)
            return
        schema, *others = schemas
        if isinstance(schema, bool):
            if schema:
                yield from self._readings(others, flat, above, here)
            return
        rules = keywords(schema)
        if rules.ref is not None and rules.ref not in here:
            if rules.ref in above:
                return  # it would contain itself
            others = [look_up(self._root, rules.ref), *others]
            here |= {rules.ref}
        others = [*(rules.allOf or ()), *others]
        if rules.anyOf is not None and rules.oneOf is not None:
            others = [{"oneOf": rules.oneOf}, *others]
        flat = merged(flat, plain(schema))
        branches = rules.anyOf if rules.anyOf is not None else rules.oneOf
        for branch in branches if branches is not None else (True,):
            yield from self._readings([branch, *others], flat, above, here)

    def _candidates(self, reading: _Reading) -> Iterator[Any]:
        schema, rules = reading.schema, reading.rules
        if "const" in schema:
            yield schema["const"]
        elif rules.enum is not None:
            yield from rules.enum
        else:
            yield from rules.examples or ()
            if schema.get("default") is not None:
                yield schema["default"]
            for kind in _kinds(rules):
                if kind in self._makers:
                    yield from self._makers[kind](reading)

    def _strings(self, reading: _Reading) -> Iterator[str]:
        text = reading.rules.pattern
        pattern = None if text is None else self._checker.pattern(text)
        return strings(reading.rules, pattern, self._effort)

    def _objects(self, reading: _Reading) -> Iterator[dict[str, Any]]:
        yield self._object(reading, everything=True)
        yield self._object(reading, everything=False)

    def _object(self, reading: _Reading, everything: bool) -> dict[str, Any]:
        rules = reading.rules
        required = dict.fromkeys(rules.required or ())
        most = len(required) if not everything else rules.maxProperties
        spare = None if most is None else most - len(required)
        value: dict[str, Any] = {}
        for name in dict.fromkeys([*(rules.properties or ()), *required]):
            if name not in required and spare is not None and spare <= 0:
                continue
            whole: Schema = {"allOf": self._checker.of_property(name, rules)}
            try:
                value[name] = self.first(whole, reading.trail)
            except ImpossibleError:
                if name in required:
                    raise
            else:
                spare = spare if spare is None or name in required else spare - 1
        self._fill(value, reading, least=1 if everything and not rules.properties else 0)
        return value

    def _fill(self, value: dict[str, Any], reading: _Reading, least: int) -> None:
        """Add properties the schema does not name, up to what it asks for, or *least* where that is allowed."""
        rules = reading.rules
        needed = rules.minProperties or 0
        if rules.additionalProperties in (None, True, False) and not rules.patternProperties:
            least = 0
        names = self._names(reading)
        try:
            while len(value) < max(needed, least):
                name = next(name for name in names if name not in value)
                whole: Schema = {"allOf": self._checker.of_property(name, rules)}
                value[name] = self.first(whole, reading.trail)
        except (ImpossibleError, StopIteration):
            if len(value) < needed:
                raise ImpossibleError("it asks for more properties than can be made") from None

    def _names(self, reading: _Reading) -> Iterator[str]:
        rules = reading.rules
        for pattern in rules.patternProperties or ():
            yield from self._checker.pattern(pattern).samples()
        names = True if rules.propertyNames is None else rules.propertyNames
        yield from self.values({"type": "string", "allOf": [names]}, reading.trail)

    def _arrays(self, reading: _Reading) -> Iterator[list[Any]]:
        rules = reading.rules
        least, most = rules.minItems or 0, rules.maxItems
        wanted = max(least, len(rules.prefixItems or ()), 1)
        wanted = wanted if most is None else max(least, min(wanted, most))
        reason = None
        for length in dict.fromkeys((wanted, least)):
            try:
                value = self._array(reading, length)
            except ImpossibleError as error:
                reason = error
            else:
                reason = None
                yield value
        if rules.contains is not None:
            yield [self.first(rules.contains, reading.trail)] * max(least, rules.minContains or 1)
        if reason is not None:
            raise reason

    def _array(self, reading: _Reading, length: int) -> list[Any]:
        rules, trail = reading.rules, reading.trail
        self._effort.spend(length)
        prefix = (rules.prefixItems or [])[:length]
        rest: Schema = True if rules.items is None else rules.items
        if not rules.uniqueItems:
            value = [self.first(schema, trail) for schema in prefix]
            more = length - len(prefix)
            return value + [self.first(rest, trail)] * more if more else value
        value = []
        for schema in prefix:
            self._add_new(value, self.values(schema, trail))
        following = self.values(rest, trail)
        while len(value) < length:
            self._add_new(value, following)
        return value

    def _add_new(self, value: list[Any], candidates: Iterator[Any]) -> None:
        for candidate in candidates:
            self._effort.spend(1 + len(value))
            if not any(same(candidate, taken) for taken in value):
                value.append(candidate)
                return
        raise ImpossibleError("it asks for more different items than can be made")


_HINTS: Mapping[str, tuple[str, ...]] = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "uniqueItems", "contains"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def _kinds(rules: Keywords) -> list[str]:
    """The types to try: those that are named; else first the one that the other keywords speak of, or text."""
    if rules.type is not None:
        return [rules.type] if isinstance(rules.type, str) else rules.type
    said = {hint for hints in _HINTS.values() for hint in hints if getattr(rules, hint) is not None}
    hinted = [kind for kind, hints in _HINTS.items() if said.intersection(hints)]
    return list(dict.fromkeys([*hinted, "string", *KINDS]))
