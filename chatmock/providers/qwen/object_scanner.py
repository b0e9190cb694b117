"""Finds the end of a JSON object in text that comes piece by piece, and the first character that cannot belong to one.

Strict JSON (RFC 8259), read once, in constant memory but for the nesting, whose depth is bounded. A fault shows at once,
so text that only begins like an object is not held back for long.
"""

from __future__ import annotations

import re
from typing import Final, Literal

State = Literal["open", "complete", "broken"]

MOST_DEPTH: Final = 128
"""Objects and lists inside each other."""
MOST_SCALAR_CHARS: Final = 512
"""Characters of one number."""

_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_SCALAR = re.compile(r"[-+.0-9A-Za-z]*")
_WHOLE_SCALAR = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_ESCAPES = frozenset('"\\/bfnrt')
_HEX = frozenset("0123456789abcdefABCDEF")
_CLOSERS = {"{": "}", "[": "]"}

_Expected = Literal["start", "key", "first key", "colon", "value", "first value", "next"]


class ObjectScanner:
    """Reads one object, which may have space before it. To be fed until :attr:`state` is no longer ``open``."""

    __slots__ = ("_closers", "_expected", "_hex_left", "_in", "_is_key", "_scalar", "state")

    def __init__(self) -> None:
        self.state: State = "open"
        self._expected: _Expected = "start"
        self._in: Literal["structure", "string", "escape", "hex", "scalar"] = "structure"
        self._closers: list[str] = []
        self._is_key = False
        self._hex_left = 0
        self._scalar = ""

    def feed(self, text: str, start: int = 0) -> int:
        """Read *text* from *start* on, and return the position after what was read: after the object's last
        character when it is complete, at the fault when it is broken."""
        position = start
        while position < len(text) and self.state == "open":
            match self._in:
                case "structure":
                    position = self._structure(text, position)
                case "string":
                    position = self._string(text, position)
                case "scalar":
                    position = self._scalars(text, position)
                case "escape":
                    position += self._escape(text[position])
                case "hex":
                    position += self._hex(text[position])
        return position

    def _structure(self, text: str, position: int) -> int:
        position = _end(_SPACE, text, position)
        if position == len(text):
            return position
        char, expected = text[position], self._expected
        if char == "{" and expected in ("start", "value", "first value"):
            self._begin(char, "first key")
        elif expected == "start":
            self.state = "broken"
        elif char == "[" and expected in ("value", "first value"):
            self._begin(char, "first value")
        elif char == '"' and expected not in ("colon", "next"):
            self._in, self._is_key = "string", expected in ("key", "first key")
        elif char == ":" and expected == "colon":
            self._expected = "value"
        elif char == "," and expected == "next":
            self._expected = "key" if self._closers[-1] == "}" else "value"
        elif char == self._closers[-1] and expected in ("next", "first key", "first value"):
            self._closers.pop()
            self._value_ends()
        elif expected in ("value", "first value"):
            self._in, self._scalar = "scalar", ""
            return position
        else:
            self.state = "broken"
        return position if self.state == "broken" else position + 1

    def _begin(self, char: str, expected: _Expected) -> None:
        if len(self._closers) == MOST_DEPTH:
            self.state = "broken"
            return
        self._closers.append(_CLOSERS[char])
        self._expected = expected

    def _value_ends(self) -> None:
        self._in, self._expected = "structure", "next"
        if not self._closers:
            self.state = "complete"

    def _string(self, text: str, position: int) -> int:
        position = _end(_PLAIN, text, position)
        if position == len(text):
            return position
        if text[position] == "\\":
            self._in = "escape"
        elif text[position] != '"':
            self.state = "broken"
            return position
        elif self._is_key:
            self._in, self._expected = "structure", "colon"
        else:
            self._value_ends()
        return position + 1

    def _escape(self, char: str) -> int:
        if char in _ESCAPES:
            self._in = "string"
        elif char == "u":
            self._in, self._hex_left = "hex", 4
        else:
            self.state = "broken"
        return self.state != "broken"

    def _hex(self, char: str) -> int:
        self._hex_left -= 1
        if char not in _HEX:
            self.state = "broken"
        elif not self._hex_left:
            self._in = "string"
        return self.state != "broken"

    def _scalars(self, text: str, position: int) -> int:
        """Read on in a number or a literal; it ends at the first character that can be in neither."""
        end = _end(_SCALAR, text, position)
        if len(self._scalar) + end - position > MOST_SCALAR_CHARS:
            self.state = "broken"
            return position
        self._scalar += text[position:end]
        if end < len(text):
            if _WHOLE_SCALAR.fullmatch(self._scalar):
                self._value_ends()
            else:
                self.state = "broken"
        return end


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Where a match of *pattern*, which matches nothing as well, ends."""
    match = pattern.match(text, position)
    return position if match is None else match.end()
