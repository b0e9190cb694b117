"""Checks the arguments of a call against the JSON Schema of its tool, in bounded time (issue 4, point 4).

The schema is the client's and may be hostile, so it is judged only as far as that is cheap and safe:

* nothing is fetched: a reference that leads out of the schema (but to the drafts themselves) ends the check;
* regular expressions are not run (``pattern``, ``patternProperties`` and what depends on these), since Python's matcher
  may take exponential time;
* every keyword costs, by the size of what it looks at, and a check that has spent :data:`MOST_COST` ends. This bounds
  references that branch and ``uniqueItems`` as well; recursion without end is caught.

A check that ends like this, or that fails on a broken schema, finds no fault: the client looks at the arguments again
anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

MOST_COST: Final = 200_000
"""In steps of about a microsecond."""
_KEYWORD_COST: Final = 10
_UNSAFE: Final = ("pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems")
_MOST_MESSAGE_CHARS: Final = 300


class _TooCostly(Exception):
    """The check has spent what it may."""


def fault(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with *arguments*, as a text that names the place; None when nothing is, or none can tell."""
    try:
        return _first_fault(schema, arguments)
    except Exception:  # noqa: BLE001  # the library stumbles over broken schemas in many ways; none is a fault here
        return None


def _first_fault(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str | None:
    import jsonschema  # type: ignore[import-untyped]  # takes a tenth of a second: loaded when a tool is called
    import referencing
    from jsonschema import validators

    root = {key: value for key, value in schema.items() if key != "$schema"}
    if _changes_draft(root):
        return None
    kind = validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    budget = _Budget(MOST_COST)
    keywords = {name: budget.bounded(name, judge) for name, judge in kind.VALIDATORS.items()}
    registry: Any = referencing.Registry()
    bounded = validators.extend(kind, keywords)(root, registry=registry)
    error = next(bounded.iter_errors(arguments), None)
    return None if error is None else _described(error)


class _Budget:
    def __init__(self, most: int) -> None:
        self._left = most

    def bounded(self, name: str, judge: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
        """The keyword *name*, at a cost."""

        def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
            self._spend(name, value, instance)
            if name in _UNSAFE or (name == "additionalProperties" and "patternProperties" in schema):
                return
            yield from judge(validator, value, instance, schema) or ()

        return check

    def _spend(self, name: str, value: Any, instance: Any) -> None:
        size = len(instance) if isinstance(instance, list | dict | str) else 1
        cost = (
            size * size
            if name == "uniqueItems"
            else size + (len(value) if isinstance(value, list | dict) else 1)
        )
        self._left -= cost + _KEYWORD_COST
        if self._left < 0:
            raise _TooCostly


def _changes_draft(schema: object) -> bool:
    """Whether a part of *schema* names a draft of its own: such a part would be judged without bounds."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$schema"), str):
                return True
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return False


def _described(error: Any) -> str:
    message = str(error.message)
    if len(message) > _MOST_MESSAGE_CHARS:
        message = message[:_MOST_MESSAGE_CHARS] + "…"
    return f"{error.json_path}: {message}"
