"""The form in which models trained to code write calls of their own accord, and what its values are (spec upstreams.md, A1.7).

Grammar, inside of the tags that :mod:`.tool_markup` knows::

    tagged = "<function=" name ">" *( space "<parameter=" key ">" value "</parameter>" ) space "</function>"

A *value* is any text. It ends at the first closing tag behind which another parameter or the function's end follows, so
that a file which talks of such tags can be an argument. A line break right behind the opening and before the closing
tag is not part of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from chatmock import jsontext
from chatmock.jsontext import JSONError
from chatmock.providers.qwen.argument_schemas import MOST_STEPS, Check
from chatmock.providers.qwen.object_scanner import State

MOST_NAME_CHARS: Final = 256
_FUNCTION: Final = "<function="
_FUNCTION_END: Final = "</function>"
_PARAMETER: Final = "<parameter="
_PARAMETER_END: Final = "</parameter>"
_SPACE: Final = " \t\r\n"
_NO_NAME: Final = "<\r\n"
_READ_FUNCTION: Final = re.compile(r"[ \t\r\n]*<function=([^<>\r\n]+)>")
_READ_PARAMETER: Final = re.compile(
    r"[ \t\r\n]*<parameter=([^<>\r\n]+)>(?:\r?\n)?(.*?)(?:\r?\n)?</parameter>"
    r"(?=[ \t\r\n]*(?:<parameter=|</function>))",
    re.DOTALL,
)

Parameters = Sequence[tuple[str, str]]
"""Name and text of each argument, as they were written."""


class TagScanner:
    """Finds the end of such a call in text that comes piece by piece, and the first character that cannot belong to one.

    To be fed until :attr:`state` is no longer ``open``, as :class:`.object_scanner.ObjectScanner` is.
    """

    __slots__ = ("_ends_value", "_in", "_read", "meant", "state")

    def __init__(self) -> None:
        self.state: State = "open"
        self.meant = False
        """Whether a function has been begun: nobody writes that who does not mean a call."""
        self._in: Literal["begin", "function", "key", "between", "value"] = "begin"
        self._read = ""
        """What has been read of the tag or the name that comes."""
        self._ends_value = False
        """Whether a value has just been closed, which goes on after all unless the right tag follows."""

    def feed(self, text: str, start: int = 0) -> int:
        """Read *text* from *start* on, and return the position after what was read, at the fault when it is broken."""
        position = start
        while position < len(text) and self.state == "open":
            if self._in == "value" and not self._read:
                found = text.find("<", position)
                if found < 0:
                    return len(text)
                position = found
            self._take(text[position])
            position += 1
        return position - 1 if self.state == "broken" else position

    def _take(self, char: str) -> None:
        match self._in:
            case "begin":
                self._begin(char)
            case "function" | "key":
                self._name(char)
            case "between":
                self._between(char)
            case "value":
                self._value(char)

    def _begin(self, char: str) -> None:
        self._read += char
        if not _FUNCTION.startswith(self._read):
            self.state = "broken"
        elif self._read == _FUNCTION:
            self.meant = True
            self._go("function")

    def _name(self, char: str) -> None:
        if char == ">" and self._read:
            self._go("between" if self._in == "function" else "value")
        elif char in _NO_NAME or char == ">" or len(self._read) == MOST_NAME_CHARS:
            self.state = "broken"
        else:
            self._read += char

    def _between(self, char: str) -> None:
        """Behind the function's name, or behind what may be a value's end."""
        if not self._read and char in _SPACE:
            return
        self._read += char
        if self._read == _PARAMETER:
            self._go("key")
        elif self._read == _FUNCTION_END:
            self.state = "complete"
        elif not (_PARAMETER.startswith(self._read) or _FUNCTION_END.startswith(self._read)):
            if self._ends_value:
                self._in = "value"
                self._keep_end(char)
            else:
                self.state = "broken"

    def _value(self, char: str) -> None:
        self._read += char
        if self._read == _PARAMETER_END:
            self._go("between")
            self._ends_value = True
        else:
            self._keep_end(char)

    def _keep_end(self, char: str) -> None:
        """In a value, keep of what was read only what may begin its closing tag, in which only the first character is
        a bracket."""
        if not _PARAMETER_END.startswith(self._read):
            self._read = char if char == "<" else ""

    def _go(self, to: Literal["function", "key", "between", "value"]) -> None:
        self._in, self._read, self._ends_value = to, "", False


def read_tags(text: str) -> tuple[str, Parameters]:
    """The function's name and the parameters of *text*, which a :class:`TagScanner` has found complete."""
    function = _READ_FUNCTION.match(text)
    assert function is not None, "the text is no complete call"
    parameters, found = [], _READ_PARAMETER.match(text, function.end())
    while found is not None:
        parameters.append((found[1].strip(), found[2]))
        found = _READ_PARAMETER.match(text, found.end())
    return function[1].strip(), parameters


def arguments_text(parameters: Parameters, schema: Mapping[str, Any]) -> str:
    """*parameters* as the JSON text of an object: where the tool's *schema* takes a string, the text as it stands; else
    what it says as JSON, if it is any."""
    known, others = schema.get("properties"), schema.get("additionalProperties", True)
    parts = known if isinstance(known, Mapping) else {}
    check = Check(schema, MOST_STEPS)
    return jsontext.dumps(
        {
            key: text if check.fits(parts.get(key, others), text) else _as_json(text)
            for key, text in parameters
        }
    ).decode()


def _as_json(text: str) -> Any:
    try:
        return jsontext.loads(text)
    except JSONError:
        return text
