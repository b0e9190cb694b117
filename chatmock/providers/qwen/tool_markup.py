"""Tells the calls of tools in an answer from its prose, piece by piece (spec upstreams.md, A1.7; issue 4, point 4).

The grammar, and all of it::

    call = "<tool_call>" space object space "</tool_call>"

*space* is any JSON white space. *object* is strict JSON with a ``name``, a string that is not empty, and ``arguments``,
an object or a string that holds one; without ``arguments`` there are none. Other keys mean nothing. What is no call by
this grammar is prose, given as it was written, character for character: half tags, a tag that is only talked about, a
call whose JSON is broken. At the end of the text alone the closing tag may be missing, or part of it.

Text is held back only while it may still become a call. Which JSON it is, is known at each character, so a tag that is
only mentioned is let go as soon as the text after it is no object. The work is linear: two candidates of a call can
overlap, since the second begins inside a string of the first, but not three.
"""

from __future__ import annotations

from typing import Final

import attrs

from chatmock import jsontext
from chatmock.jsontext import JSONError, Struct
from chatmock.providers.qwen.object_scanner import ObjectScanner

OPEN: Final = "<tool_call>"
CLOSE: Final = "</tool_call>"
DEFAULT_LIMIT: Final = 1024 * 1024
_SPACE: Final = " \t\n\r"


class CallTooLarge(ValueError):
    """A call in an answer is longer than the limit; the answer cannot be read on."""


@attrs.frozen
class Prose:
    """Text that is no call, as it was written; never empty."""

    text: str


@attrs.frozen
class Call:
    """One call."""

    name: str
    arguments: str
    """The JSON text of an object, as the model wrote it."""
    source: str = attrs.field(repr=False)
    """The whole markup, as it was written."""


Piece = Prose | Call


class _Body(Struct):
    name: str
    arguments: jsontext.Raw = jsontext.Raw(b"{}")


_read_body = jsontext.reader(_Body)


class ToolMarkup:
    """Incremental parser of an answer.

    :param limit: the most characters that one call may take before :meth:`feed` raises.
    """

    __slots__ = ("_candidate", "_held", "_limit")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._held = ""
        """The beginning of an opening tag, outside any candidate."""
        self._candidate: _Candidate | None = None

    def feed(self, text: str) -> list[Piece]:
        """Take more text, cut anywhere, and return what has become certain.

        :raises CallTooLarge: when a call outgrows the limit.
        """
        out: list[Piece] = []
        text, self._held = self._held + text, ""
        position = 0
        while position < len(text):
            if self._candidate is None:
                position = self._prose(text, position, out)
            else:
                text, position = self._call(self._candidate, text, position, out)
        return out

    def close(self) -> list[Piece]:
        """End of the text: what was held back, as the call it nearly is, or as prose."""
        out: list[Piece] = []
        candidate, self._candidate = self._candidate, None
        if candidate is not None:  # no whole call stands inside: it would have broken this one
            out.append(candidate.call() or Prose(OPEN + candidate.text))
        if self._held:
            out.append(Prose(self._held))
            self._held = ""
        return out

    def _prose(self, text: str, start: int, out: list[Piece]) -> int:
        found = text.find(OPEN, start)
        if found >= 0:
            end = found
            self._candidate = _Candidate()
        else:
            end = len(text) - _may_begin(OPEN, text, start)
            self._held = text[end:]
        if end > start:
            out.append(Prose(text[start:end]))
        return len(text) if found < 0 else found + len(OPEN)

    def _call(self, candidate: _Candidate, text: str, start: int, out: list[Piece]) -> tuple[str, int]:
        """Read on in *candidate*: the text that goes on after it, and the position there."""
        end = candidate.feed(text, start)
        if candidate.size > self._limit:
            raise CallTooLarge(f"a call of a tool is longer than {self._limit} characters")
        if candidate.broken:
            self._candidate = None
            out.append(Prose(OPEN))
            before = candidate.text_before
            return (before + text[start:], 0) if before else (text, start)
        if candidate.closed:
            self._candidate = None
            out.append(candidate.call() or Prose(OPEN + candidate.text))
        return text, end


class _Candidate:
    """What stands behind an opening tag, and may be a call."""

    __slots__ = ("_closing", "_pieces", "_scanner", "broken", "size")

    def __init__(self) -> None:
        self._scanner = ObjectScanner()
        self._pieces: list[str] = []
        self._closing: int | None = None
        """How much of the closing tag has been read; None before its first character."""
        self.size = 0
        self.broken = False

    @property
    def closed(self) -> bool:
        return self._closing == len(CLOSE)

    @property
    def text(self) -> str:
        """All that was read."""
        return "".join(self._pieces)

    @property
    def text_before(self) -> str:
        """All that was read before the latest piece."""
        return "".join(self._pieces[:-1])

    def feed(self, text: str, start: int) -> int:
        """Read on, and return the position after what belongs here."""
        position = self._scanner.feed(text, start)
        self.broken = self._scanner.state == "broken"
        while position < len(text) and self._scanner.state == "complete" and not (self.closed or self.broken):
            char = text[position]
            if char == CLOSE[self._closing or 0]:
                self._closing = (self._closing or 0) + 1
            elif self._closing is not None or char not in _SPACE:
                self.broken = True
            position += 1
        self._pieces.append(text[start:position])
        self.size += position - start
        return position

    def call(self) -> Call | None:
        """The call that this is, closed or not; None when it is none."""
        if self._scanner.state != "complete":
            return None
        source = self.text
        end = source.rfind("}") + 1
        try:
            body = _read_body(source[:end].encode())
            arguments = bytes(body.arguments).decode()
            if arguments.startswith('"'):
                arguments = jsontext.loads(arguments)
            jsontext.loads_object(arguments)
        except (JSONError, UnicodeError):
            return None
        return Call(body.name, arguments, OPEN + source) if body.name else None


def _may_begin(tag: str, text: str, start: int) -> int:
    """How many characters at the end of *text*, from *start* on, are the beginning of *tag*."""
    for length in range(min(len(tag) - 1, len(text) - start), 0, -1):
        if text.endswith(tag[:length]):
            return length
    return 0
