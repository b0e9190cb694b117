r"""Regular expressions of JSON Schema, as far as the demo makes and checks texts for them.

Patterns come from clients, and Python's own matcher can be kept busy for ever by a short one. This one is
small: literals, classes, ``\d \w \s .``, groups, ``|``, ``* + ? {m,n}`` (greedy or not), ``^`` and ``$``. Its work
grows with the length of pattern and text only, and is counted.
"""

from __future__ import annotations

from collections.abc import Iterator

from chatmock.providers.demo.effort import Effort
from chatmock.providers.demo.pattern_nodes import Chars, Edge, Either, Node, Repeat, Row, read

_MOST_TEXT_CHARS = 300


class Pattern:
    """A pattern that has been read.

    :raises ImpossibleError: when it is written in ways the demo does not know.
    """

    def __init__(self, pattern: str, effort: Effort) -> None:
        self._effort = effort
        self._node = read(pattern)

    def matches(self, text: str) -> bool:
        """Whether the pattern is found anywhere in *text*. A very long text counts as not matching."""
        if len(text) > _MOST_TEXT_CHARS:
            return False
        matcher = _Matcher(text, self._effort)
        return any(matcher.ends(self._node, start) for start in range(len(text) + 1))

    def samples(self) -> Iterator[str]:
        """Texts that match, the shortest first; not all there are."""
        seen = set()
        for extra in (0, 1, 3, 7, 15, 31, 63):
            for variant in range(10):
                text = self._sample(self._node, variant, extra)
                if text not in seen and self.matches(text):
                    seen.add(text)
                    yield text

    def _sample(self, node: Node, variant: int, extra: int) -> str:
        self._effort.spend()
        match node:
            case Chars():
                return node.sample(variant)
            case Row(nodes):
                return "".join([self._sample(inner, variant, extra) for inner in nodes])
            case Either(nodes):
                return self._sample(nodes[variant % len(nodes)], variant, extra)
            case Repeat(inner, least, most):
                times = least + extra if most is None else min(least + extra, most)
                # Only the outermost repeats many times: nested ones would multiply.
                return "".join([self._sample(inner, variant, min(extra, 1)) for _ in range(times)])
            case Edge():
                return ""


class _Matcher:
    """Finds every place where a node may end: each node is looked at once a start, however it is nested."""

    def __init__(self, text: str, effort: Effort) -> None:
        self._text = text
        self._effort = effort
        self._known: dict[tuple[int, int], frozenset[int]] = {}

    def ends(self, node: Node, start: int) -> frozenset[int]:
        key = (id(node), start)
        if key not in self._known:
            self._effort.spend()
            self._known[key] = self._find(node, start)
        return self._known[key]

    def _find(self, node: Node, start: int) -> frozenset[int]:
        match node:
            case Chars(ranges):
                self._effort.spend(len(ranges) // 8)
                within = start < len(self._text) and node.holds(self._text[start])
                return frozenset({start + 1} if within else ())
            case Edge(at_start):
                return frozenset({start} if start == (0 if at_start else len(self._text)) else ())
            case Row(nodes):
                places = frozenset({start})
                for inner in nodes:
                    places = self._step(inner, places)
                return places
            case Either(nodes):
                return frozenset().union(*(self.ends(inner, start) for inner in nodes))
            case Repeat():
                return self._repeat(node, start)

    def _repeat(self, node: Repeat, start: int) -> frozenset[int]:
        places = frozenset({start})
        for _ in range(node.least):
            after = self._step(node.node, places)
            if after == places:
                break
            places = after
        found = places
        more = 0
        while places and (node.most is None or more < node.most - node.least):
            places = self._step(node.node, places) - found
            found |= places
            more += 1
        return found

    def _step(self, node: Node, places: frozenset[int]) -> frozenset[int]:
        self._effort.spend(1 + len(places))
        return frozenset().union(*(self.ends(node, place) for place in places))
