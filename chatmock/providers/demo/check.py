"""Whether a value fits a JSON Schema: the demo's own proof that what it made is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatmock.providers.demo.effort import Effort, ImpossibleError
from chatmock.providers.demo.pattern import Pattern
from chatmock.providers.demo.schema_shape import Keywords, Schema, breadth, exact, keywords, look_up, same

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
KINDS = tuple(_TYPES)
"""The types of JSON Schema."""


def is_kind(value: object, kind: str) -> bool:
    """Whether *value* is of the JSON Schema type *kind*.

    :raises ImpossibleError: when there is no such type.
    """
    if kind not in _TYPES:
        raise ImpossibleError(f"it has the type {kind[:50]!r}, which does not exist")
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


class Checker:
    """Checks values against one schema and its parts.

    Formats are not checked. Every method raises :exc:`ImpossibleError` for what is no JSON Schema, and
    :exc:`ExhaustedError` when *effort* is spent.
    """

    def __init__(self, root: Schema, effort: Effort) -> None:
        self._root = root
        self._effort = effort
        self._patterns: dict[str, Pattern] = {}
        self._read: dict[int, tuple[Mapping[str, Any], Keywords]] = {}

    def pattern(self, text: str) -> Pattern:
        """Read a pattern, once."""
        if text not in self._patterns:
            try:
                self._patterns[text] = Pattern(text, self._effort)
            except ImpossibleError as error:
                raise ImpossibleError(
                    f"the demo cannot make text for the pattern {text!r:.200}: {error}"
                ) from None
        return self._patterns[text]

    def fits(self, value: Any, schema: Schema) -> bool:
        """Whether *value* fits *schema*."""
        self._effort.spend(3)
        if isinstance(schema, bool):
            return schema
        rules = self._keywords(schema)
        self._effort.spend(len(rules.enum or ()) // 4)
        if "const" in schema and not same(value, schema["const"]):
            return False
        if rules.enum is not None and not any(same(value, allowed) for allowed in rules.enum):
            return False
        if rules.type is not None:
            kinds = [rules.type] if isinstance(rules.type, str) else rules.type
            if not any(is_kind(value, kind) for kind in kinds):
                return False
        return self._fits_by_kind(value, rules) and self._fits_combined(value, rules)

    def _keywords(self, schema: Mapping[str, Any]) -> Keywords:
        known = self._read.get(id(schema))
        if known is None:
            self._effort.spend(breadth(schema))
            # The schema is kept with it, so that its id stays its own.
            known = self._read[id(schema)] = (schema, keywords(schema))
        return known[1]

    def _fits_by_kind(self, value: Any, rules: Keywords) -> bool:
        match value:
            case bool() | None:
                return True
            case int() | float():
                return _fits_number(value, rules)
            case str():
                return self._fits_string(value, rules)
            case list():
                return self._fits_array(value, rules)
            case _:
                return self._fits_object(value, rules)

    def _fits_string(self, value: str, rules: Keywords) -> bool:
        if not (rules.minLength or 0) <= len(value) <= _most(rules.maxLength):
            return False
        return rules.pattern is None or self.pattern(rules.pattern).matches(value)

    def _fits_array(self, value: list[Any], rules: Keywords) -> bool:
        if not (rules.minItems or 0) <= len(value) <= _most(rules.maxItems):
            return False
        if rules.uniqueItems and self._repeats(value):
            return False
        prefix = rules.prefixItems or []
        rest = True if rules.items is None else rules.items
        for index, item in enumerate(value):
            if not self.fits(item, prefix[index] if index < len(prefix) else rest):
                return False
        if rules.contains is None:
            return True
        found = sum(self.fits(item, rules.contains) for item in value)
        least = 1 if rules.minContains is None else rules.minContains
        return least <= found <= _most(rules.maxContains)

    def _repeats(self, value: list[Any]) -> bool:
        for index, item in enumerate(value):
            self._effort.spend(index)
            if any(same(item, other) for other in value[:index]):
                return True
        return False

    def _fits_object(self, value: dict[str, Any], rules: Keywords) -> bool:
        if not (rules.minProperties or 0) <= len(value) <= _most(rules.maxProperties):
            return False
        needed = set(rules.required or ())
        for name, others in (rules.dependentRequired or {}).items():
            needed |= set(others) if name in value else set()
        if not needed <= value.keys():
            return False
        names = True if rules.propertyNames is None else rules.propertyNames
        if not all(self.fits(name, names) for name in value):
            return False
        named = [(name, schema) for name in value for schema in self.of_property(name, rules)]
        return all(self.fits(value[name], schema) for name, schema in named)

    def of_property(self, name: str, rules: Keywords) -> list[Schema]:
        """Find the schemas that hold for the property *name*."""
        schemas: list[Schema] = []
        if rules.properties and name in rules.properties:
            schemas.append(rules.properties[name])
        for pattern, schema in (rules.patternProperties or {}).items():
            if self.pattern(pattern).matches(name):
                schemas.append(schema)
        if not schemas and rules.additionalProperties is not None:
            schemas.append(rules.additionalProperties)
        return schemas

    def _fits_combined(self, value: Any, rules: Keywords) -> bool:
        if rules.ref is not None and not self.fits(value, look_up(self._root, rules.ref)):
            return False
        if not all(self.fits(value, schema) for schema in rules.allOf or ()):
            return False
        if rules.anyOf is not None and not any(self.fits(value, schema) for schema in rules.anyOf):
            return False
        if rules.oneOf is not None and sum(self.fits(value, schema) for schema in rules.oneOf) != 1:
            return False
        if rules.negation is not None and self.fits(value, rules.negation):
            return False
        if rules.condition is not None:
            branch = rules.then if self.fits(value, rules.condition) else rules.otherwise
            return branch is None or self.fits(value, branch)
        return True


def _most(limit: int | None) -> float:
    return float("inf") if limit is None else limit


def _fits_number(value: float, rules: Keywords) -> bool:
    if rules.minimum is not None and value < rules.minimum:
        return False
    if rules.maximum is not None and value > rules.maximum:
        return False
    if rules.exclusiveMinimum is not None and value <= rules.exclusiveMinimum:
        return False
    if rules.exclusiveMaximum is not None and value >= rules.exclusiveMaximum:
        return False
    if rules.multipleOf is None:
        return True
    if rules.multipleOf <= 0:
        raise ImpossibleError("its 'multipleOf' is not above 0")
    # Exactly, and in floating point too: validators do either.
    whole = exact(value) % exact(rules.multipleOf) == 0
    return whole and (value / rules.multipleOf) % 1 == 0
