"""What a Responses answer has said so far, and what a further record adds to it (spec chatgpt.md 3.3; upstreams.md D3).

The same text may come up to five times: in deltas, in the ``done`` events of the text, its part and its item, and in the
final response. Each piece is told once: what is whole only adds what its deltas lacked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chatmock import jsontext
from chatmock.events import (
    Annotation,
    Content,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from chatmock.providers.responses_items import CALL_KINDS, Call, Item, Items, Part
from chatmock.providers.responses_records import (
    CallItem,
    Channel,
    ContentPart,
    Delta,
    MessageItem,
    Place,
    ReasoningItem,
)

_CHANNEL_OF_PART: Mapping[str | None, Channel] = {
    "output_text": "text",
    "refusal": "refusal",
    "summary_text": "summary",
    "reasoning_text": "reasoning",
}


class StreamedContent:
    """The content of one answer.

    :param names: names of tools as sent upstream, to those of the client.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._items = Items()
        self._chars = 0
        self._reasoning_parts = 0
        self.calls = 0
        """How many tool calls have been told."""

    @property
    def nameless(self) -> bool:
        """Whether a tool call is held back because it has no name."""
        return any(call.index is None for call in self._items.calls())

    def delta(self, channel: Channel, record: Delta, text: str) -> Content | None:
        """*text*, the delta of *record*, as an event; None while its tool call has no name."""
        item = self._items.at(record.output_index, record.item_id)
        if channel == "arguments":
            return self._add_arguments(item, text)
        part = item.part(channel, record, self._chars)
        if part.closed:
            return None
        part.add(text)
        return self._tell(channel, part, text)

    def whole_text(self, channel: Channel, place: Place, text: str) -> list[Content]:
        """What *text*, told as a whole, adds."""
        item = self._items.at(place.output_index, place.item_id)
        return self._complete(channel, item.part(channel, place, self._chars), text)

    def whole_arguments(self, place: Place, arguments: str, name: str | None) -> list[Content]:
        """What the arguments of a tool call, told as a whole, add."""
        item = self._items.at(place.output_index, place.item_id)
        if not item.may_call:
            return []
        call = item.called()
        call.name = call.name or name or ""
        call.item_id = call.item_id or place.item_id or ""
        if call.index is None and not call.id:  # the item itself, yet to come, tells the id to answer to
            call.rest(arguments)
            return []
        return self._grow(call, arguments, whole=True)

    def whole_part(self, place: Place, value: ContentPart) -> list[Content]:
        """What a part, told as a whole, adds."""
        return self._whole_part(self._items.at(place.output_index, place.item_id), place, value)

    def citation(self, place: Place, value: Mapping[str, Any]) -> list[Content]:
        """A citation, unless it has been told or is of a kind that OpenAI chat does not have."""
        item = self._items.at(place.output_index, place.item_id)
        return self._cite(item.part("text", place, self._chars), [value])

    def item(self, place: Place, value: Mapping[str, Any], *, done: bool) -> list[Content]:
        """What an output item adds: a tool call's name when it begins, all that was not told when it is done.

        :raises JSONError: when the item is not of the shape that its type has.
        """
        ids = [
            id for id in (value.get("id"), place.item_id, value.get("call_id")) if isinstance(id, str) and id
        ]
        item = self._items.at(place.output_index, ids[0] if ids else None)
        for id in ids:
            self._items.name(item, id)
        return self._settle(item, value, done)

    def output(self, values: Sequence[Mapping[str, Any]]) -> list[Content]:
        """What the output of the final response adds, and the calls whose item never came.

        :raises JSONError: when an item is not of the shape that its type has.
        """
        said: list[Content] = []
        for item, value in zip(self._items.repeated(values), values, strict=True):
            said += self._settle(item, value, done=True)
        for call in self._items.calls():
            if call.index is None:
                call.id = call.id or call.item_id
                said += self._grow(call, "", whole=True)
        return said

    def _tell(self, channel: Channel, part: Part, text: str) -> Content:
        if channel == "text":
            self._chars += len(text)
            return TextDelta(text)
        if channel == "refusal":
            return RefusalDelta(text)
        if part.number is None:
            part.number = self._reasoning_parts
            self._reasoning_parts += 1
        return ReasoningDelta(text, "summary" if channel == "summary" else "text", part.number)

    def _complete(self, channel: Channel, part: Part, whole: str) -> list[Content]:
        rest = part.rest(whole)
        part.closed = part.closed or bool(whole)
        return [self._tell(channel, part, rest)] if rest else []

    def _whole_part(self, item: Item, place: Place, value: ContentPart) -> list[Content]:
        channel = _CHANNEL_OF_PART.get(value.type)
        if channel is None:
            return []
        part = item.part(channel, place, self._chars)
        whole = value.refusal if channel == "refusal" else value.text
        said = self._complete(channel, part, whole or "")
        return said + self._cite(part, value.annotations or ()) if channel == "text" else said

    def _cite(self, part: Part, values: Iterable[Mapping[str, Any]]) -> list[Content]:
        said: list[Content] = []
        for value in values:
            url, title = value.get("url"), value.get("title")
            if value.get("type") != "url_citation" or not isinstance(url, str):
                continue
            start, end = (
                position + part.start if isinstance(position, int) else part.start
                for position in (value.get("start_index"), value.get("end_index"))
            )
            title = title if isinstance(title, str) else ""
            if (url, title, start, end) not in part.cited:
                part.cited.add((url, title, start, end))
                citation = {"url": url, "title": title, "start_index": start, "end_index": end}
                said.append(Annotation({"type": "url_citation", "url_citation": citation}))
        return said

    def _settle(self, item: Item, value: Mapping[str, Any], done: bool) -> list[Content]:
        kind = value.get("type")
        item.kind = item.kind or (kind if isinstance(kind, str) else "")
        if kind in CALL_KINDS:
            return self._settle_call(item, jsontext.convert(value, CallItem), done)
        said: list[Content] = []
        if kind == "message" and done:
            for index, part in enumerate(jsontext.convert(value, MessageItem).content or ()):
                said += self._whole_part(item, Place(content_index=index), part)
        elif kind == "reasoning" and done:
            said += self._settle_thinking(item, jsontext.convert(value, ReasoningItem))
        return said

    def _settle_thinking(self, item: Item, value: ReasoningItem) -> list[Content]:
        said: list[Content] = []
        for index, part in enumerate(value.summary or ()):
            said += self._whole_part(item, Place(summary_index=index), part)
        for index, part in enumerate(value.content or ()):
            said += self._whole_part(item, Place(content_index=index), part)
        if value.encrypted_content and not item.sealed:
            item.sealed = True
            said.append(ReasoningSeal(value.encrypted_content, value.id or ""))
        return said

    def _settle_call(self, item: Item, value: CallItem, done: bool) -> list[Content]:
        call = item.called()
        call.id = call.id or value.call_id or value.id or ""
        call.name = call.name or value.name or ""
        return self._grow(call, value.arguments or value.input or "", done)

    def _grow(self, call: Call, arguments: str, whole: bool) -> list[Content]:
        """Begin *call* if that can be done now, or add what was not told of its *arguments*."""
        began = call.index is not None
        held = bool(call.held)
        rest = call.rest(arguments) if whole or not began else ""
        call.closed = call.closed or (whole and bool(arguments))
        if call.index is not None:
            return [ToolCallDelta(call.index, arguments=rest)] if rest else []
        if not call.name:
            return []
        begun = call.begin(self.calls)
        self.calls += 1
        call.given = "" if held else rest
        name = self._names.get(call.name, call.name)
        return [ToolCallDelta(self.calls - 1, call.id or f"call_{self.calls - 1}", name, begun)]

    def _add_arguments(self, item: Item, text: str) -> Content | None:
        call = item.called()
        given, call.given = call.given, ""
        if call.closed or text == given:
            return None
        call.add(text)
        return None if call.index is None else ToolCallDelta(call.index, arguments=text)
