"""The records of a Responses stream: numbered from 0 without gaps, each named twice (spec upstreams.md, D3)."""

from __future__ import annotations

from typing import Any

from chatmock import jsontext


class Records:
    """Writes records and gives them away in batches.

    :param number: the first one's.
    """

    __slots__ = ("_number", "_written")

    def __init__(self, number: int = 0) -> None:
        self._number = number
        self._written: list[bytes] = []

    def add(self, kind: str, **fields: Any) -> None:
        """Write a record of the type *kind*."""
        data = jsontext.dumps({"type": kind, "sequence_number": self._number, **fields})
        self._written.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))
        self._number += 1

    def add_text(self, form: TextForm, text: str) -> None:
        """Write a record that differs from others of its *form* in its number and *text* only."""
        self._written.append(
            b"%b%d%b%b%b" % (form.head, self._number, form.middle, jsontext.dumps(text), form.tail)
        )
        self._number += 1

    def take(self) -> bytes:
        """What has been written since the last time."""
        written = b"".join(self._written)
        self._written.clear()
        return written


class NoRecords(Records):
    """For an answer that is written whole."""

    __slots__ = ()

    def add(self, kind: str, **fields: Any) -> None:
        """Write nothing."""

    def add_text(self, form: TextForm, text: str) -> None:
        """Write nothing."""


class TextForm:
    """The bytes that ``delta`` records of one part of an item have in common."""

    __slots__ = ("head", "middle", "tail")

    def __init__(self, kind: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        self.head = b'event: %b\ndata: {"type":"%b","sequence_number":' % (kind.encode(), kind.encode())
        self.middle = b',%b,"delta":' % jsontext.dumps(before)[1:-1]
        self.tail = (b",%b}\n\n" % jsontext.dumps(after)[1:-1]) if after else b"}\n\n"
