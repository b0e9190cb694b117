"""Tells the calls of tools in an answer from its prose, piece by piece (spec upstreams.md, A1.7; issue 4, point 4).

The grammar, and all of it::

    call = "<tool_call>" space ( object / tagged ) space "</tool_call>"

*space* is any JSON white space. *object* is strict JSON with a ``name``, a string that is not empty, and ``arguments``,
an object or a string that holds one; without ``arguments`` there are none. Other keys mean nothing. *tagged* is the
other form that models write, see :mod:`.tool_tags`. At the end of the text alone the closing tag may be missing, or
part of it.

What is no call by this grammar is prose, given as it was written, character for character: half tags, a tag that is only
talked about. But a text that breaks, or ends half-way, after it has said ``"name"`` or ``"arguments"``, or has begun a
function, was meant as a call: it is told as a broken one, and who reads the pieces knows whether it may be shown.

Text is held back only while it may still become a call. Whether it can is known at each character, so a tag that is
only mentioned is let go as soon as the text after it is none. The work is linear: two candidates of a call can
overlap, since the second begins inside a string of the first, but not three. A function that breaks is not looked
through again, since its values may hold any number of them.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from chatmock import jsontext
from chatmock.jsontext import JSONError, Struct
from chatmock.providers.qwen.object_scanner import ObjectScanner
from chatmock.providers.qwen.tool_tags import Parameters, TagScanner, read_tags

OPEN: Final = "<tool_call>"
CLOSE: Final = "</tool_call>"
DEFAULT_LIMIT: Final = 1024 * 1024
_SPACE: Final = " \t\n\r"
_KEYS: Final = ('"name"', '"arguments"')
_SAYS_KEY: Final = re.compile("|".join(_KEYS))
_HALF: Final = "it ends half-way"
_NOT_JSON: Final = "it is not strict JSON"
_NOT_TAGS: Final = "its tags are not as they should be"
_NOT_CLOSED: Final = f"{CLOSE} does not follow right behind it"
_NO_CALL: Final = 'it needs a "name" and an object as its "arguments"'


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
    arguments: str | Parameters
    """The JSON text of an object, or texts for :func:`.tool_tags.arguments_text`, as the model wrote them."""
    source: str = attrs.field(repr=False)
    """The whole markup, as it was written."""


@attrs.frozen
class Broken:
    """A call was meant here, and is none. What follows its opening tag may be told as further pieces."""

    text: str = attrs.field(repr=False)
    """The opening tag, maybe with what follows, as it was written."""
    fault: str
    """What is wrong with it, for the model to read."""


Piece = Prose | Call | Broken


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
            out.append(candidate.piece())
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
        if candidate.broken and candidate.begun_function:
            self._candidate = None
            out.append(candidate.piece())
        elif candidate.broken:
            self._candidate = None
            out.append(Prose(OPEN) if candidate.fault is None else Broken(OPEN, candidate.fault))
            before = candidate.text_before
            return (before + text[start:], 0) if before else (text, start)
        elif candidate.closed:
            self._candidate = None
            out.append(candidate.piece())
        return text, end


class _Candidate:
    """What stands behind an opening tag, and may be a call."""

    __slots__ = ("_closing", "_pieces", "_scanner", "broken", "size")

    def __init__(self) -> None:
        self._scanner: ObjectScanner | TagScanner | None = None
        """None before the first character that is no space: it tells the form."""
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

    @property
    def complete(self) -> bool:
        """Whether all but the closing tag is there."""
        return self._scanner is not None and self._scanner.state == "complete"

    @property
    def begun_function(self) -> bool:
        """Whether it is of the form with tags, for sure."""
        return isinstance(self._scanner, TagScanner) and self._scanner.meant

    def feed(self, text: str, start: int) -> int:
        """Read on, and return the position after what belongs here."""
        position = start
        if self._scanner is None:
            position = _after_space(text, position)
            if position < len(text):
                self._scanner = TagScanner() if text[position] == "<" else ObjectScanner()
        if self._scanner is not None:
            position = self._scanner.feed(text, position)
            self.broken = self._scanner.state == "broken"
        while position < len(text) and self.complete and not (self.closed or self.broken):
            char = text[position]
            if char == CLOSE[self._closing or 0]:
                self._closing = (self._closing or 0) + 1
            elif self._closing is not None or char not in _SPACE:
                self.broken = True
            position += 1
        self._pieces.append(text[start:position])
        self.size += position - start
        return position

    def piece(self) -> Piece:
        """What this is, closed or at the end of all text."""
        call = self._call() if self.complete and not self.broken else None
        if call is not None:
            return call
        text, fault = OPEN + self.text, self.fault
        return Prose(text) if fault is None else Broken(text, fault)

    @property
    def fault(self) -> str | None:
        """What is wrong with it, which is no call; None where none was meant."""
        if isinstance(self._scanner, TagScanner):
            meant, broken, whole = self._scanner.meant or not self.broken, _NOT_TAGS, ""
        else:
            meant, broken, whole = self._says_key(), _NOT_JSON, _NO_CALL
        if not meant:
            return None
        if self.complete:
            return _NOT_CLOSED if self.broken else whole
        return broken if self.broken else _HALF

    def _says_key(self) -> bool:
        """Whether the object names a call's keys; where it just ends, whether it may have been about to."""
        text = self.text
        if _SAYS_KEY.search(text):
            return True
        start = text.lstrip(_SPACE)
        first = start[1:].lstrip(_SPACE)
        half = not (self.broken or self.complete) and bool(start)
        return half and any(key.startswith(first) for key in _KEYS)

    def _call(self) -> Call | None:
        """The call that this is; None when it is none."""
        source = self.text
        if isinstance(self._scanner, TagScanner):
            return Call(*read_tags(source), OPEN + source)
        try:
            body = _read_body(source[: source.rfind("}") + 1].encode())
            arguments = bytes(body.arguments).decode()
            if arguments.startswith('"'):
                arguments = jsontext.loads(arguments)
            jsontext.loads_object(arguments)
        except (JSONError, UnicodeError):
            return None
        return Call(body.name, arguments, OPEN + source) if body.name else None


def _after_space(text: str, start: int) -> int:
    while start < len(text) and text[start] in _SPACE:
        start += 1
    return start


def _may_begin(tag: str, text: str, start: int) -> int:
    """How many characters at the end of *text*, from *start* on, are the beginning of *tag*."""
    for length in range(min(len(tag) - 1, len(text) - start), 0, -1):
        if text.endswith(tag[:length]):
            return length
    return 0
