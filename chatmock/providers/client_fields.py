"""The client's extra fields, read one by one. What nobody reads is what the upstream cannot take (spec chatgpt.md, 2.12)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from chatmock.errors import bad_request

_MOST_NAMES = 32
_MOST_NAME_CHARS = 64
_ODD = re.compile(r"[^A-Za-z0-9_.\-]")


class ClientFields:
    """A request's ``extras``: who reads a field makes use of it, and the rest is told to the client as ignored."""

    __slots__ = ("_extras", "_ignored", "_read", "notes")

    def __init__(self, extras: Mapping[str, Any]) -> None:
        self._extras = extras
        self._read: set[str] = set()
        self._ignored: set[str] = set()
        self.notes: dict[str, str] = {}
        """Response headers that tell what was changed, by name in lower case."""

    def take(self, name: str) -> Any:
        """The value of the field *name*; None where the client did not send it."""
        self._read.add(name)
        return self._extras.get(name)

    def take_text(self, name: str) -> str | None:
        """The string in the field *name*; None where the client sent none.

        :raises Refusal: bad request, when it is no string.
        """
        value = self.take(name)
        if value is not None and not isinstance(value, str):
            raise bad_request(f"{name!r} must be a string.", param=name)
        return value

    def take_word(self, name: str, words: tuple[str, ...]) -> str | None:
        """The one of *words* in the field *name*; None where the client sent none.

        :raises Refusal: bad request that names *words*, when it is none of them.
        """
        value = self.take(name)
        return None if value is None else one_of(value, words, name)

    def take_object(self, name: str) -> Mapping[str, Any] | None:
        """The object in the field *name*; None where the client sent none.

        :raises Refusal: bad request, when it is no object.
        """
        value = self.take(name)
        if value is not None and not isinstance(value, Mapping):
            raise bad_request(f"{name!r} must be an object.", param=name)
        return value

    def ignore(self, name: str) -> None:
        """Tell the client that the field *name* (or ``field.key``) has no effect, although it was read."""
        self._ignored.add(name)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The names of the fields without effect, sorted; at most 32, in characters that may stand in a header."""
        unread = (
            name for name, value in self._extras.items() if name not in self._read and value is not None
        )
        names = {_ODD.sub("?", name[:_MOST_NAME_CHARS]) for name in (*self._ignored, *unread)}
        return tuple(sorted(names)[:_MOST_NAMES])


def with_ignored(note: str, names: Iterable[str]) -> str:
    """The header's *note* of ignored fields, which may be empty, with *names* besides, as bounded as any."""
    told = [name for name in note.split(", ") if name]
    more = ClientFields(dict.fromkeys(names, True)).ignored
    return ", ".join([*told, *(name for name in more if name not in told)])


def one_of(value: object, words: tuple[str, ...], param: str) -> str:
    """*value*, which must be one of *words*.

    :raises Refusal: bad request for the field *param* that names *words*.
    """
    if not isinstance(value, str) or value not in words:
        raise bad_request(f"{param!r} is {quoted(value)}; it can be {', '.join(words)}.", param=param)
    return value


def quoted(value: object) -> str:
    """A client's value in a message, cut to a readable length."""
    if isinstance(value, str):
        return repr(value if len(value) <= _MOST_NAME_CHARS else value[:_MOST_NAME_CHARS] + "…")
    return "an object or a list" if isinstance(value, Mapping | list) else repr(value)
