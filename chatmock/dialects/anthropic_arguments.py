"""Where the arguments of a call end, read piece by piece and kept nowhere."""

from __future__ import annotations

import re
from typing import Final

_BETWEEN_STRINGS: Final = re.compile(r'["{}\[\]]')
_IN_STRING: Final = re.compile(r'["\\]')


class ArgumentsEnd:
    """Finds the end of a JSON object by its brackets: after it there can be nothing but white space."""

    __slots__ = ("_depth", "_escaped", "_quoted", "reached")

    def __init__(self) -> None:
        self.reached = False
        """Whether the object has ended."""
        self._depth = 0
        self._quoted = False
        self._escaped = False
        """Whether the last piece ended in a backslash, which the next character belongs to."""

    def feed(self, text: str) -> None:
        """Take the next piece, cut anywhere."""
        if self.reached or not text:
            return
        at = 1 if self._escaped else 0
        self._escaped = False
        while found := (_IN_STRING if self._quoted else _BETWEEN_STRINGS).search(text, at):
            at = found.end()
            match found[0]:
                case '"':
                    self._quoted = not self._quoted
                case "\\":
                    self._escaped = at == len(text)
                    at += 1
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    if self._depth == 0:
                        self.reached = True
                        return
