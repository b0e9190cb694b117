"""The output items of a Responses answer: what each has told so far, found by whatever a record names it by.

Items may overlap, so they are kept by ``output_index`` and never as "the current item" (spec upstreams.md, D3).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from chatmock.providers.responses_records import Channel, Place

CALL_KINDS = ("function_call", "custom_tool_call")
"""Types of items that are calls of the client's tools; calls of tools that run upstream are not."""


class Told:
    """A text as told so far: its length and checksum, since all of it would grow with the answer."""

    __slots__ = (
        "_checksum",
        "_length",
        "closed",
    )

    def __init__(self) -> None:
        self._length = 0
        self._checksum = 0
        self.closed = False
        """Whether the text has come as a whole; what deltas come after that only repeat it."""

    def add(self, text: str) -> None:
        """Take more of the text, which has been told."""
        self._length += len(text)
        self._checksum = zlib.crc32(text.encode(), self._checksum)

    def rest(self, whole: str) -> str:
        """What *whole* has beyond what was told, now counted as told; nothing when it is another text."""
        if len(whole) < self._length or zlib.crc32(whole[: self._length].encode()) != self._checksum:
            return ""
        rest = whole[self._length :]
        self.add(rest)
        return rest


class Part(Told):
    """One part of an item: a text, a refusal, a piece of thinking."""

    __slots__ = (
        "cited",
        "number",
        "start",
    )

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start
        """How many characters of the answer came before it: citations count from the part's own start."""
        self.number: int | None = None
        """Of thinking: how many parts of it began before this one."""
        self.cited: set[tuple[str, str, int, int]] = set()
        """URL, title, start and end of the citations told."""


class Call(Told):
    """A tool call, held back until it has a name; its text is its arguments."""

    __slots__ = (
        "given",
        "held",
        "id",
        "index",
        "item_id",
        "name",
    )

    def __init__(self) -> None:
        super().__init__()
        self.index: int | None = None
        """Its place among the calls told; None while it is held back."""
        self.id = ""
        """The id that the tool's result answers to."""
        self.item_id = ""
        self.name = ""
        self.held: list[str] = []
        """The pieces of its arguments while it is held back."""
        self.given = ""
        """The arguments that came with the call's beginning; an upstream may repeat them as a delta."""

    def add(self, text: str) -> None:
        """Take more of the arguments."""
        super().add(text)
        if self.index is None and text:
            self.held.append(text)

    def begin(self, index: int) -> str:
        """Hold it back no longer: the call *index*. Returns the arguments so far."""
        self.index = index
        held, self.held = self.held, []
        return "".join(held)


class Item:
    """One output item."""

    __slots__ = (
        "call",
        "kind",
        "output_index",
        "parts",
        "sealed",
    )

    def __init__(self) -> None:
        self.kind = ""
        """The item's type; empty while only its deltas are known."""
        self.output_index: int | None = None
        self.parts: dict[tuple[Channel, int], Part] = {}
        self.call: Call | None = None
        self.sealed = False
        """Of thinking: whether its seal has been told."""

    @property
    def may_call(self) -> bool:
        """Whether the item is a call of a tool of the client's, or may yet turn out to be one."""
        return self.kind in ("", *CALL_KINDS)

    def may_be(self, kind: object) -> bool:
        """Whether the item is of the type *kind*, as far as is known."""
        if self.kind:
            return self.kind == kind
        if self.call is not None:
            return kind in CALL_KINDS
        channels = {channel for channel, _ in self.parts}
        return not channels or (kind == "message") == bool(channels & {"text", "refusal"})

    def called(self) -> Call:
        """The item's call, begun now if it is the first time."""
        if self.call is None:
            self.call = Call()
        return self.call

    def part(self, channel: Channel, place: Place, start: int) -> Part:
        """The part of the item at *place*; a new one comes *start* characters after the answer's beginning."""
        index = (place.summary_index if channel == "summary" else place.content_index) or 0
        part = self.parts.get((channel, index))
        if part is None:
            part = self.parts[channel, index] = Part(start)
        return part


class Items:
    """The items of one answer."""

    __slots__ = (
        "_all",
        "_found",
    )

    def __init__(self) -> None:
        self._found: dict[int | str | None, Item] = {}
        """By output index, and by id for records that lack one."""
        self._all: list[Item] = []

    def at(self, output_index: int | None, item_id: str | None) -> Item:
        """The item a record is about, a new one if need be."""
        item = self._found.get(output_index)
        if item is not None:
            return item
        key = item_id or "" if output_index is None else output_index
        item = self._found.get(item_id or "") if item_id or output_index is None else None
        if item is None or (output_index is not None and item.output_index is not None):
            item = self._new()
        if output_index is not None:
            item.output_index = output_index
        self._found[key] = item
        self.name(item, item_id)
        return item

    def name(self, item: Item, item_id: str | None) -> None:
        """Let *item* be found by *item_id* too, unless another is."""
        if item_id:
            self._found.setdefault(item_id, item)

    def repeated(self, values: Sequence[Mapping[str, Any]]) -> list[Item]:
        """The items that *values*, the output of the final response, repeat; new ones for those never heard of.

        Some upstreams make up new ids, and some leave items out. So an item is found by its id, else by its position
        if that fits all along, else as the next one of its type that nothing else repeats.
        """
        found = [self._named_in(value) for value in values]
        taken = {item for item in found if item is not None}
        there = [self._found.get(position) for position in range(len(values))]
        if all(
            item is None or item.may_be(value.get("type")) for item, value in zip(there, values, strict=True)
        ):
            for position, item in enumerate(there):
                if found[position] is None and item is not None and item not in taken:
                    found[position] = item
                    taken.add(item)
        return [
            item or self._next(value.get("type"), taken) for item, value in zip(found, values, strict=True)
        ]

    def _next(self, kind: object, taken: set[Item]) -> Item:
        """The first item of the type *kind* that is not *taken*, which it is then; a new one if there is none."""
        left = (item for item in self._all if item not in taken and item.may_be(kind))
        item = next(left, None) or self._new()
        taken.add(item)
        return item

    def _named_in(self, value: Mapping[str, Any]) -> Item | None:
        id, call_id = value.get("id"), value.get("call_id")
        if isinstance(id, str) and id in self._found:
            return self._found[id]
        calls = (item for item in self._all if item.call is not None and item.call.id == call_id)
        return next(calls, None) if call_id else None

    def calls(self) -> list[Call]:
        """The tool calls, those held back included, in the order their items were first heard of."""
        return [item.call for item in self._all if item.call is not None and item.may_call]

    def _new(self) -> Item:
        item = Item()
        self._all.append(item)
        return item
