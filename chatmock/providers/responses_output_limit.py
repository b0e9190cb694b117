"""The output limit of a Responses client, kept to here for an upstream that knows none (spec chatgpt.md, 4.3).

What is counted, and where an answer is cut, is as in :mod:`~chatmock.providers.output_limits`: text, refusals and the
arguments of calls, the cut before what goes beyond. Thinking and what the upstream's own tools do is not counted. What is
open at the cut is told to be incomplete; calls that have begun are told to their end first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.framing import Record
from chatmock.jsontext import JSONError
from chatmock.providers import responses_records as wire
from chatmock.providers.output_limits import BYTES_PER_TOKEN
from chatmock.providers.responses_items import CALL_KINDS
from chatmock.providers.responses_records import CallItem, Delta, FullRecord, MessageItem, Place

_PART_ADDED: Final = "response.content_part.added"
_PART_DONE: Final = "response.content_part.done"
_ENDS: Final = (wire.COMPLETED, wire.INCOMPLETE)
_TOLD: Final = ("text", "refusal")
"""Channels of what the client reads."""
_READ: Final = frozenset(
    [*wire.WHOLES, *wire.PART_DONE, _PART_ADDED, wire.ANNOTATION_ADDED, wire.ITEM_ADDED, wire.ITEM_DONE]
)


@attrs.define
class _Part:
    """A part of a message."""

    kind: str = "text"
    pieces: list[str] = attrs.field(factory=list)
    annotations: list[Any] = attrs.field(factory=list)
    done: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def value(self) -> dict[str, Any]:
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": self.text}
        return {"type": "output_text", "annotations": self.annotations, "logprobs": [], "text": self.text}


@attrs.define
class _Open:
    """An item that has begun and not ended."""

    item: dict[str, Any]
    parts: dict[int, _Part] = attrs.field(factory=dict)
    arguments: int = 0
    """The bytes of them that have been told."""

    @property
    def calls(self) -> bool:
        return self.item.get("type") in CALL_KINDS


class OutputLimit:
    """Cuts the records of one answer.

    :param max_tokens: the most tokens of text, refusals and arguments.
    """

    __slots__ = ("_leaving", "_left", "_open", "_untold", "met")

    def __init__(self, max_tokens: int) -> None:
        self._left = max_tokens * BYTES_PER_TOKEN
        self._open: dict[int, _Open] = {}
        self._untold = True
        self._leaving = False
        self.met = False
        """Whether the answer has been cut and nothing more comes of it, but for its end, which is not among the records."""

    def take(self, data: bytes, event: bytes) -> list[Record]:
        """The records to go on with in place of an upstream's."""
        record = Record(data, event)
        try:
            delta = _read(data, event)
            kind = "" if delta is None else delta.type or event.decode("ascii", "replace")
            if delta is None:
                return [record]
            if self._leaving:
                return self._leave_calls(kind, delta, record)
            channel = wire.DELTAS.get(kind)
            if channel in _TOLD:
                return self._text(channel, delta, record)
            if channel == "arguments":
                self._arguments(_index(delta), len((delta.delta or "").encode()))
            elif kind in _READ:
                return self._full(kind, wire.read_full(data), record)
            elif kind in _ENDS and self._untold:
                return self._output(wire.read_full(data), record)
        except JSONError:  # who carries it tells what is wrong with it
            return [record]
        return [record]

    def _text(self, channel: str, delta: Delta, record: Record) -> list[Record]:
        self._untold = False
        text = delta.delta or ""
        kept = self._spend(self._part(delta, channel), text)
        if kept is None:
            return [record]
        if not kept:
            return self._leave()
        value = {**wire.read_object(record.data), "delta": kept}
        if "logprobs" in value:
            value["logprobs"] = []
        return [Record(jsontext.dumps(value), record.event), *self._leave()]

    def _spend(self, part: _Part, text: str) -> str | None:
        """Add *text* to *part*: None where all of it is within the limit, else what is."""
        data = text.encode()
        left = max(self._left, 0)
        self._left -= len(data)
        if len(data) <= left:
            part.pieces.append(text)
            return None
        kept = data[:left].decode(errors="ignore")
        part.pieces.append(kept)
        return kept

    def _arguments(self, index: int, size: int) -> None:
        self._untold = False
        self._left -= size
        if index in self._open:
            self._open[index].arguments += size

    def _full(self, kind: str, full: FullRecord, record: Record) -> list[Record]:
        """A record that is no delta, but says something of what is counted."""
        channel = wire.WHOLES.get(kind)
        if kind == wire.ITEM_ADDED and full.item is not None:
            return self._begin(full, full.item, record)
        if kind == wire.ITEM_DONE and full.item is not None:
            return self._end(full, full.item, record)
        if kind == wire.ANNOTATION_ADDED:
            self._part(full, "text").annotations.append(full.annotation)
        elif kind == _PART_ADDED and full.part is not None and full.part.type in ("output_text", "refusal"):
            self._part(full, "refusal" if full.part.type == "refusal" else "text")
        elif channel in _TOLD:
            return [record] if self._whole(full, channel, full.refusal or full.text) else self._leave()
        elif kind == _PART_DONE and (open := self._open.get(_index(full))) is not None:
            part = open.parts.get(full.content_index or 0)
            if part is not None:
                part.done = True
        return [record]

    def _begin(self, place: Place, item: dict[str, Any], record: Record) -> list[Record]:
        self._untold = False
        if self._left <= 0 and item.get("type") in ("message", *CALL_KINDS):
            return self._leave()
        self._open[_index(place)] = _Open(item)
        return [record]

    def _end(self, place: Place, item: dict[str, Any], record: Record) -> list[Record]:
        self._untold = False
        kind, index = item.get("type"), _index(place)
        if kind in CALL_KINDS:
            if index not in self._open and self._left <= 0:
                return self._leave()
            call = jsontext.convert(item, CallItem)
            told = self._open[index].arguments if index in self._open else 0
            self._left -= max(len((call.arguments or call.input or "").encode()) - told, 0)
        elif kind == "message":
            self._open.setdefault(index, _Open(item))
            for position, part in enumerate(jsontext.convert(item, MessageItem).content or ()):
                channel = "refusal" if part.type == "refusal" else "text"
                at = Place(output_index=index, content_index=position)
                if not self._whole(at, channel, part.refusal or part.text):
                    return self._leave()
        self._open.pop(index, None)
        return [record]

    def _whole(self, place: Place, channel: str, whole: str | None) -> bool:
        """Count what the *whole* of a text has beyond its deltas; whether it is within the limit."""
        part = self._part(place, channel)
        told = part.text
        rest = (whole or "").removeprefix(told) if (whole or "").startswith(told) else ""
        return not rest or self._spend(part, rest) is None

    def _output(self, full: FullRecord, record: Record) -> list[Record]:
        """The end of an answer that is told in it alone."""
        out: list[Record] = []
        for index, item in enumerate((full.response and full.response.output) or ()):
            made = _made(wire.ITEM_DONE, output_index=index, item=item)
            out += self._end(Place(output_index=index), item, made)
            if self._leaving:
                return out
        return [record]

    def _leave(self) -> list[Record]:
        """The limit is met: the ends of what is open, but for calls."""
        self._leaving = True
        spoken = [index for index, each in self._open.items() if not each.calls]
        self.met = len(spoken) == len(self._open)
        return self._close(spoken)

    def _leave_calls(self, kind: str, place: Place, record: Record) -> list[Record]:
        """A record that comes while calls are told to their end."""
        if kind in _ENDS:
            self.met = True
            return self._close(list(self._open))
        if kind in wire.ERRORS or kind in wire.FAILURES or not kind.startswith("response."):
            return [record]
        if _index(place) not in self._open:
            return []
        if kind == wire.ITEM_DONE:
            del self._open[_index(place)]
            self.met = not self._open
        return [record]

    def _close(self, indices: list[int]) -> list[Record]:
        return [record for index in sorted(indices) for record in _closing(index, self._open.pop(index))]

    def _part(self, place: Place, channel: str) -> _Part:
        index = _index(place)
        if index not in self._open:
            item = {"id": place.item_id or f"msg_{index}", "type": "message", "role": "assistant"}
            self._open[index] = _Open(item)
        return self._open[index].parts.setdefault(place.content_index or 0, _Part(channel))


def _read(data: bytes, event: bytes) -> Delta | None:
    try:
        return wire.read_delta(data)
    except JSONError:
        return wire.reread(data, event.decode("ascii", "replace"))


def _index(place: Place) -> int:
    return place.output_index or 0


def _closing(index: int, open: _Open) -> Iterator[Record]:
    """The records that end an item as it is."""
    item = dict(open.item)
    if item.get("type") == "message":
        item["content"] = [part.value() for _, part in sorted(open.parts.items())]
    if "status" in item or item.get("type") == "message":
        item["status"] = "incomplete"
    for position, part in sorted(open.parts.items()):
        if part.done:
            continue
        where = {"item_id": item.get("id"), "output_index": index, "content_index": position}
        more = {"refusal": part.text} if part.kind == "refusal" else {"text": part.text, "logprobs": []}
        done = "response.refusal.done" if part.kind == "refusal" else "response.output_text.done"
        yield _made(done, **where, **more)
        yield _made(_PART_DONE, **where, part=part.value())
    yield _made(wire.ITEM_DONE, output_index=index, item=item)


def _made(kind: str, **fields: Any) -> Record:
    return Record(jsontext.dumps({"type": kind, **fields}), kind.encode())
