"""The output items of a Responses answer: what each has told so far, found by whatever a record names it by.

Items may overlap, so they are kept by ``output_index`` and never as "the current item" (spec upstreams.md, D3).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from chatmock.providers.responses_records import Channel, Place

CALL_KINDS = ("function_call", "custom_tool_call")
"""Types of items that are calls of the client's tools; calls of tools that run upstream are not."""


class Told:
    """A text as told so far."""

    __slots__ = (
        "_text",
        "add",
        "closed",
    )

    def __init__(self) -> None:
        self._text = io.StringIO()
        self.add = self._text.write
        """Takes more of the text, which has been told."""
        self.closed = False
        """Whether the text has come as a whole; what deltas come after that only repeat it."""

    @property
    def text(self) -> str:
        """All that has been told."""
        return self._text.getvalue()

    def rest(self, whole: str) -> str:
        """What *whole* has beyond what was told, now counted as told; nothing when it is another text."""
        told = self.text
        if not whole.startswith(told):
            return ""
        rest = whole[len(told) :]
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
        self.given = ""
        """The arguments that came with the call's beginning; an upstream may repeat them as a delta."""


class Item:
    """One output item."""

    __slots__ = (
        "call",
        "kind",
        "output_index",
        "parts",
    )

    def __init__(self) -> None:
        self.kind = ""
        """The item's type; empty while only its deltas are known."""
        self.output_index: int | None = None
        self.parts: dict[tuple[Channel, int], Part] = {}
        self.call: Call | None = None

    @property
    def may_call(self) -> bool:
        """Whether the item is a call of a tool of the client's, or may yet turn out to be one."""
        return self.kind in ("", *CALL_KINDS)

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

        A position in the output need not be the output index, since some upstreams leave items out; an id need not
        be the one in the stream, since some make up new ones.
        """
        named = [self._named_in(value) for value in values]
        taken = set(named)
        items: list[Item] = []
        for position, (item, value) in enumerate(zip(named, values, strict=True)):
            there = self._found.get(position)
            if (
                item is None
                and there not in taken
                and there is not None
                and there.kind in ("", value.get("type"))
            ):
                item = there  # noqa: PLW2901
            items.append(item or self._new())
            taken.add(items[-1])
        return items

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
