"""The parts a regular expression is made of, and how its text is read into them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import attrs

from chatmock.providers.demo.effort import ImpossibleError

_MOST_CHARS = 300
_MOST_GROUPS_DEEP = 20
_LAST = 0x10FFFF

Range = tuple[int, int]
"""Code points, first and last."""


def _complement(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Give the code points that are in none of *ranges*."""
    gaps = []
    start = 0
    for low, high in sorted(ranges):
        if low > start:
            gaps.append((start, low - 1))
        start = max(start, high + 1)
    if start <= _LAST:
        gaps.append((start, _LAST))
    return tuple(gaps)


def _ranges(*pairs: str) -> tuple[Range, ...]:
    return tuple((ord(pair[0]), ord(pair[-1])) for pair in pairs)


_SETS = {"d": _ranges("09"), "w": _ranges("09", "AZ", "_", "az"), "s": _ranges("\t\r", " ")}
_SETS |= {name.upper(): _complement(ranges) for name, ranges in _SETS.items()}
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_ANY = _complement(_ranges("\n", "\r", "\u2028\u2029"))
_LIKED = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_. "
_COUNT = re.compile(r"\{(\d{1,4})(,(\d{0,4}))?\}")
_CODE = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})")


@attrs.frozen
class Chars:
    """One character out of code point ranges."""

    ranges: tuple[Range, ...]

    def holds(self, char: str) -> bool:
        """Whether *char* is one of them."""
        return any(low <= ord(char) <= high for low, high in self.ranges)

    def sample(self, variant: int) -> str:
        """One of them, a letter or digit where there is one."""
        if liked := _liked(self.ranges):
            return liked[variant % len(liked)]
        if not self.ranges:
            raise ImpossibleError("it has a class of no characters")
        return chr(self.ranges[0][0])


@lru_cache(maxsize=64)
def _liked(ranges: tuple[Range, ...]) -> str:
    return "".join([char for char in _LIKED if Chars(ranges).holds(char)])


@attrs.frozen
class Edge:
    """The start of the text, or its end."""

    start: bool


@attrs.frozen
class Row:
    """One node after the other."""

    nodes: tuple[Node, ...]


@attrs.frozen
class Either:
    """One of several nodes."""

    nodes: tuple[Node, ...]


@attrs.frozen
class Repeat:
    """A node again and again; *most* is None for no limit."""

    node: Node
    least: int
    most: int | None


Node = Chars | Edge | Row | Either | Repeat


def read(pattern: str) -> Node:
    """Read the text of a pattern.

    :raises ImpossibleError: when it is written in ways the demo does not know.
    """
    return _Reader(pattern).read()


class _Reader:
    """A pattern on its way to become nodes."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > _MOST_CHARS:
            raise ImpossibleError(f"it has more than {_MOST_CHARS} characters")
        self._rest = pattern
        self._deep = 0

    def read(self) -> Node:
        node = self._either()
        if self._rest:
            raise ImpossibleError("it has a ')' too many")
        return node

    def _take(self, length: int = 1) -> str:
        taken, self._rest = self._rest[:length], self._rest[length:]
        if len(taken) < length:
            raise ImpossibleError("it ends too early")
        return taken

    def _accept(self, text: str) -> bool:
        if not self._rest.startswith(text):
            return False
        self._take(len(text))
        return True

    def _either(self) -> Node:
        rows = [self._row()]
        while self._accept("|"):
            rows.append(self._row())
        return rows[0] if len(rows) == 1 else Either(tuple(rows))

    def _row(self) -> Node:
        nodes = []
        while self._rest and self._rest[0] not in "|)":
            nodes.append(self._repeated(self._one()))
        return Row(tuple(nodes))

    def _one(self) -> Node:
        char = self._take()
        match char:
            case "^" | "$":
                return Edge(char == "^")
            case "(":
                return self._group()
            case "[":
                return Chars(self._class())
            case ".":
                return Chars(_ANY)
            case "\\":
                return Chars(self._escape())
            case "*" | "+" | "?" | "{":
                raise ImpossibleError(f"it has a {char!r} that repeats nothing")
            case _:
                return Chars(_ranges(char))

    def _group(self) -> Node:
        if self._rest.startswith("?") and not self._accept("?:"):
            raise ImpossibleError("it looks ahead or back, or has groups with names or flags")
        self._deep += 1
        if self._deep > _MOST_GROUPS_DEEP:
            raise ImpossibleError(f"its groups are nested more than {_MOST_GROUPS_DEEP} deep")
        node = self._either()
        self._deep -= 1
        if not self._accept(")"):
            raise ImpossibleError("it lacks a ')'")
        return node

    def _repeated(self, node: Node) -> Node:
        least: int
        most: int | None
        if self._accept("*"):
            least, most = 0, None
        elif self._accept("+"):
            least, most = 1, None
        elif self._accept("?"):
            least, most = 0, 1
        elif count := _COUNT.match(self._rest):
            self._take(count.end())
            least = int(count[1])
            most = least if count[2] is None else int(count[3]) if count[3] else None
        else:
            return node
        self._accept("?")
        repeated_twice = self._rest[:1] in ("*", "+", "?", "{")
        if isinstance(node, Edge) or repeated_twice or (most is not None and most < least):
            raise ImpossibleError("it repeats what cannot be repeated")
        return Repeat(node, least, most)

    def _class(self) -> tuple[Range, ...]:
        negated = self._accept("^")
        ranges: list[Range] = []
        if self._rest.startswith("]"):
            raise ImpossibleError("it has a class that is empty or begins with ']'")
        while not self._accept("]"):
            low = self._member()
            if len(low) == 1 and low[0][0] == low[0][1] and self._rest[:1] == "-" and self._rest[1:2] != "]":
                self._take()
                high = self._member()
                if len(high) != 1 or high[0][1] < low[0][0]:
                    raise ImpossibleError("it has a range that runs backwards")
                low = ((low[0][0], high[0][1]),)
            ranges.extend(low)
        return _complement(ranges) if negated else tuple(ranges)

    def _member(self) -> tuple[Range, ...]:
        char = self._take()
        return self._escape() if char == "\\" else _ranges(char)

    def _escape(self) -> tuple[Range, ...]:
        if code := _CODE.match(self._rest):
            self._take(code.end())
            return _ranges(chr(int(code[1] or code[2], 16)))
        char = self._take()
        if char in _SETS:
            return _SETS[char]
        if char in _NAMED:
            return _ranges(_NAMED[char])
        if char.isalnum():
            raise ImpossibleError(f"the demo does not know '\\{char}' in it")
        return _ranges(char)
