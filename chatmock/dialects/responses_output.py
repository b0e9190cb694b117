"""The output of a Responses answer, made of what its upstream says: for a stream and for a whole answer alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs

from chatmock.answer import AnswerChoice, Block
from chatmock.dialects.responses_items import Call, CustomCall, Ending, Item, Message, Thinking, Value
from chatmock.dialects.responses_records import NoRecords, Records
from chatmock.events import ReasoningSeal, ToolCallDelta

Opened = TypeVar("Opened", bound=Item)


@attrs.frozen
class Shown:
    """What the client gets to see, and in which form."""

    summaries: bool
    """Summaries of the thinking."""
    thinking: bool
    """Thinking that is no summary."""
    seals: bool
    """Thinking in its upstream's own form."""
    custom: frozenset[str]
    """The tools whose calls are told as free text."""


class Output:
    """The items of one answer.

    An item closes when the next one opens. A call whose arguments are not whole by then stays open to the end: some
    upstreams tell parallel calls piece by piece.

    :param suffix: what the ids of the items have in common after their prefix.
    """

    def __init__(self, records: Records, suffix: str, shown: Shown) -> None:
        self._records = records
        self._suffix = suffix
        self._shown = shown
        self._items: list[Item] = []
        self._closed: dict[int, Value] = {}
        self._calls: list[Call] = []
        self._newest: Call | None = None
        """The call that began last, until it has been asked whether it is whole."""
        self._spoken: Message | Thinking | None = None
        """The item that is open, if it is no call."""
        self._chars = 0

    @property
    def items(self) -> list[Value]:
        """The items that are whole, in their order."""
        return [self._closed[index] for index in sorted(self._closed)]

    def text(self, text: str, logprobs: Sequence[Mapping[str, Any]] | None = None) -> None:
        """The model says more."""
        if text:
            self._message().text(text, logprobs)

    def refusal(self, text: str) -> None:
        """The model declines."""
        if text:
            self._message().refusal(text)

    def cite(self, annotation: Mapping[str, Any]) -> None:
        """Something of the text has a source."""
        self._message().cite(annotation)

    def think(self, text: str, part: tuple[str, int], id: str = "") -> None:
        """The model thinks on. What is not shown leaves an item without text, as OpenAI's own do.

        :param part: whether it is ``text`` or a ``summary``, and its number.
        :param id: the upstream's name of the thinking, where it is known already.
        """
        if not text:
            return
        thinking = self._thinking(id)
        if self._shown.summaries if part[0] == "summary" else self._shown.thinking:
            thinking.think(text, part)

    def seal(self, seal: ReasoningSeal) -> None:
        """The thinking has ended, and may be told in its upstream's own form."""
        thinking = self._thinking(seal.id)
        if self._shown.seals:
            thinking.seal = seal.value
        self._close_spoken()

    def call(self, event: ToolCallDelta) -> None:
        """A call begins, or its arguments go on."""
        if event.id:
            self._make_room()
            kind = CustomCall if event.name in self._shown.custom else Call
            prefix = "ctc" if kind is CustomCall else "fc"
            call = self._open(kind(self._records, *self._place(prefix), event.id, event.name))
            self._calls.append(call)
            self._newest = call
        call = self._calls[event.index]
        if not call.closed:
            call.grow(event.arguments)

    def finish(self, ending: Ending) -> None:
        """Nothing comes any more. What is open now was cut short, where the answer was."""
        self._close_spoken(ending)
        for call in self._calls:
            if not call.closed:
                self._close(call, "completed" if call.complete else ending)

    def _message(self) -> Message:
        if isinstance(self._spoken, Message):
            return self._spoken
        self._make_room()
        message = self._open(Message(self._records, *self._place("msg"), self._chars))
        self._spoken = message
        return message

    def _thinking(self, id: str) -> Thinking:
        if isinstance(self._spoken, Thinking):
            return self._spoken
        self._make_room()
        index, own = self._place("rs")
        thinking = self._open(Thinking(self._records, index, id or own))
        self._spoken = thinking
        return thinking

    def _place(self, prefix: str) -> tuple[int, str]:
        """The next item's index and id."""
        index = len(self._items)
        return index, f"{prefix}_{self._suffix}{index:02x}"

    def _open(self, item: Opened) -> Opened:
        self._items.append(item)
        item.added()
        return item

    def _make_room(self) -> None:
        """Close what is whole before another item opens."""
        self._close_spoken()
        call, self._newest = self._newest, None
        if call is not None and call.complete:
            self._close(call, "completed")

    def _close_spoken(self, ending: Ending = "completed") -> None:
        spoken, self._spoken = self._spoken, None
        if spoken is None:
            return
        self._close(spoken, ending)
        if isinstance(spoken, Message):
            self._chars = spoken.end

    def _close(self, item: Item, ending: Ending) -> None:
        self._closed[item.index] = item.close(ending)


def whole_output(choice: AnswerChoice, suffix: str, shown: Shown, ending: Ending) -> list[Value]:
    """The items of an answer that nobody has seen grow."""
    output = Output(NoRecords(), suffix, shown)
    logprobs = deque(choice.logprobs or ())
    calls = 0
    name = ""
    for position, block in enumerate(choice.blocks):
        text = "".join(block.pieces)
        match block.kind:
            case "text":
                told = _of_text(logprobs, text) if choice.logprobs is not None else None
                output.text(text, told)
                for annotation in block.annotations:
                    output.cite(annotation)
            case "refusal":
                output.refusal(text)
            case "thinking":
                if _begins(choice.blocks, position):
                    name = _named(choice.blocks, position)
                output.think(text, block.part, name)
                if block.seal is not None:
                    output.seal(block.seal)
            case "call":
                assert block.call is not None
                arguments = "".join(block.call.arguments)
                output.call(ToolCallDelta(calls, block.call.id, block.call.name, arguments))
                calls += 1
    output.finish(ending)
    return output.items


def _begins(blocks: Sequence[Block], position: int) -> bool:
    """Whether other thinking begins at *position* than what was before."""
    before = blocks[position - 1] if position else None
    return before is None or before.kind != "thinking" or before.seal is not None


def _named(blocks: Sequence[Block], position: int) -> str:
    """The upstream's name of the thinking that begins at *position*: the seal tells it, which comes last."""
    for block in blocks[position:]:
        if block.kind != "thinking":
            break
        if block.seal is not None:
            return block.seal.id
    return ""


def _of_text(logprobs: deque[Mapping[str, Any]], text: str) -> list[Mapping[str, Any]]:
    """The first of *logprobs*, which they then no longer are: those of the tokens of *text*."""
    told: list[Mapping[str, Any]] = []
    left = len(text)
    while logprobs and left > 0:
        token = logprobs.popleft()
        left -= len(str(token.get("token", "")))
        told.append(token)
    return told
