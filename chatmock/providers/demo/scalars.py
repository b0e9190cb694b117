"""Strings and numbers within the bounds of a JSON Schema, the plainest first; a caller keeps those that fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

from chatmock.providers.demo.effort import Effort, ImpossibleError
from chatmock.providers.demo.pattern import Pattern
from chatmock.providers.demo.schema_shape import Keywords, exact

_VARIANTS = 1000
_SAFE_INTEGER = 2**53
"""Beyond it, many JSON readers lose digits of an integer."""
_FORMATS: Mapping[str, Callable[[int], str]] = {
    "date": lambda n: f"2026-01-{n:02d}",
    "date-time": lambda n: f"2026-01-{n:02d}T12:00:00Z",
    "time": lambda n: f"12:00:{n:02d}Z",
    "duration": lambda n: f"PT{n}H",
    "email": lambda n: f"user{n}@example.com",
    "idn-email": lambda n: f"user{n}@example.com",
    "hostname": lambda n: f"host{n}.example.com",
    "idn-hostname": lambda n: f"host{n}.example.com",
    "uri": lambda n: f"https://example.com/{n}",
    "url": lambda n: f"https://example.com/{n}",
    "iri": lambda n: f"https://example.com/{n}",
    "uri-reference": lambda n: f"/example/{n}",
    "iri-reference": lambda n: f"/example/{n}",
    "json-pointer": lambda n: f"/example/{n}",
    "uuid": lambda n: f"00000000-0000-4000-8000-{n:012d}",
    "ipv4": lambda n: f"192.0.2.{n}",
    "ipv6": lambda n: f"2001:db8::{n:x}",
}
_FORMAT_VARIANTS = 28
"""As many as the shortest month has days."""


def strings(rules: Keywords, pattern: Pattern | None, effort: Effort) -> Iterator[str]:
    """Texts of the right format, pattern and length."""
    formatted = _FORMATS.get(rules.format or "")
    if formatted is not None:
        yield from map(formatted, range(1, _FORMAT_VARIANTS + 1))
        return
    least, most = rules.minLength or 0, rules.maxLength
    effort.spend(least)
    for number in range(1, _VARIANTS + 1):
        text = "example" if number == 1 else f"example{number}"
        if most is not None and len(text) > most:
            text = text[:most] if number == 1 else text[len(text) - most :]
        yield text.ljust(least, "x")
        if pattern is not None:
            yield from pattern.samples()
            raise ImpossibleError(f"the demo cannot make text for the pattern {rules.pattern!r:.200}")


def numbers(rules: Keywords, whole: bool) -> Iterator[int | float]:
    """Numbers within the bounds: 1 and up where that is allowed, multiples where they are asked for.

    :param whole: whether only integers are wanted.
    """
    low = _bound(rules.minimum, rules.exclusiveMinimum, max)
    high = _bound(rules.maximum, rules.exclusiveMaximum, min)
    step = exact(rules.multipleOf) if rules.multipleOf else Fraction(1)
    if whole:
        step = Fraction(step.numerator)  # of the multiples of p/q in lowest terms, those of p are integers
    first = _first(low, high, step)
    for counts in (range(first, first + _VARIANTS), range(first - 1, first - _VARIANTS, -1)):
        for count in counts:
            value = count * step
            if (high is not None and value > high) or (low is not None and value < low):
                break
            yield _plain(value)
    if not whole and low is not None and high is not None:
        for part in range(2, 10):
            yield _plain(low + (high - low) / part)


def _first(low: Fraction | None, high: Fraction | None, step: Fraction) -> int:
    """How many *step* the first number to try is."""
    if (low is None or low <= step) and (high is None or high >= step):
        return 1
    return math.ceil(low / step) if low is not None else math.floor((high or 0) / step)


def _bound(
    inclusive: float | None, exclusive: float | None, tighter: Callable[[Fraction, Fraction], Fraction]
) -> Fraction | None:
    bounds = [exact(bound) for bound in (inclusive, exclusive) if bound is not None]
    if len(bounds) == 2:
        return tighter(*bounds)
    return bounds[0] if bounds else None


def _plain(value: Fraction) -> int | float:
    if value.denominator == 1 and abs(value) <= _SAFE_INTEGER:
        return int(value)
    return float(value)
