"""A Messages stream: ``event:`` and ``data:`` for each record (spec upstreams.md, F).

Blocks never interleave: one is open at a time, and what belongs to a later one waits until it is closed. Text and
thinking end where something else begins. A call ends there too, as soon as its arguments are whole: some upstreams send the
arguments of several calls in turns. What waits is held, and counted; of what is open nothing is.

An ``error`` names no request: the head of the stream has its id.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Literal

import attrs

from chatmock import jsontext
from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects.anthropic_arguments import ArgumentsEnd
from chatmock.dialects.anthropic_content import message_head, stop_reason, usage_body
from chatmock.dialects.anthropic_errors import error_body
from chatmock.dialects.anthropic_parse import omits_thinking
from chatmock.dialects.anthropic_seals import signature_of
from chatmock.events import (
    Annotation,
    Event,
    Failed,
    Finished,
    Opened,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from chatmock.framing import sse_record
from chatmock.thinking import PARAGRAPH

_MARK: Final = "\0"
_BLOCK_BYTES: Final = 500
"""What a block takes besides its content, while it waits."""
_PIECE_BYTES: Final = 60
"""What a piece of text takes besides its characters."""
Kind = Literal["text", "refusal", "thinking", "redacted", "call"]


@attrs.define(eq=False)
class _Block:
    """A content block that is open, waits to be, or is closed."""

    kind: Kind
    id: str = ""
    name: str = ""
    pieces: list[str] = attrs.field(factory=list)
    """What has not been written yet."""
    seal: ReasoningSeal | None = None
    end: ArgumentsEnd = attrs.field(factory=ArgumentsEnd)
    """Of a call."""
    closed: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it ends where another one comes."""
        return self.kind != "call" or self.end.reached


class MessagesEncoder:
    """Events as records. What a block goes on with is put between bytes made once for it."""

    answer: None = None

    def __init__(self, chat: ChatRequest, identity: Identity) -> None:
        self._head = message_head(chat, identity)
        self._omits = omits_thinking(chat)
        self._open: _Block | None = None
        self._waiting: deque[_Block] = deque()
        self._calls: dict[int, _Block] = {}
        self._index = -1
        self._before = self._after = b""
        """Around more of the open block."""
        self._in_text = False
        """Whether text goes on with the open block."""
        self.held = 0
        """About how many bytes of the answer wait for the open block to be closed."""
        self._part: tuple[str, int] | None = None
        """The part that the thinking is at."""
        self._breaks = False
        """Whether a paragraph ends before the next text of the thinking."""
        self._refused = False
        self._usage: Usage | None = None

    def encode(self, events: Iterable[Event]) -> bytes:
        """The records for *events*."""
        return b"".join([self._encode(event) for event in events])

    def _encode(self, event: Event) -> bytes:
        match event:
            case TextDelta(text, 0, _) if text and self._in_text:
                return self._delta(text)
            case Opened():
                return self._start()
            case Usage():
                self._usage = event
                return b""
            case Finished():
                return self._finish(event)
            case Failed(refusal):
                return _record("error", error_body(refusal))
            case _ if event.choice:
                return b""  # one answer is all that was asked for
            case ReasoningDelta():
                return self._think(event)
            case ReasoningSeal():
                return self._seal(event)
            case ToolCallDelta():
                return self._call(event)
            case _:
                self._part = None
                return self._say(event)

    def _start(self) -> bytes:
        message = {**self._head, "content": [], "stop_reason": None, "stop_sequence": None}
        start = _event("message_start", message={**message, "usage": usage_body(None)})
        return start + _event("ping")

    def _finish(self, outcome: Finished) -> bytes:
        records = [self._close()]
        while self._waiting:
            records += [self._begin(self._waiting.popleft()), self._close()]
        reason = stop_reason(outcome, refused=self._refused, called=bool(self._calls))
        delta = {"stop_reason": reason, "stop_sequence": outcome.stop if reason == "stop_sequence" else None}
        records.append(_event("message_delta", delta=delta, usage=usage_body(self._usage)))
        return b"".join([*records, _event("message_stop")])

    def _say(self, event: TextDelta | RefusalDelta | Annotation) -> bytes:
        if isinstance(event, Annotation) or not event.text:
            return b""
        kind: Kind = "text"
        if isinstance(event, RefusalDelta):
            kind = "refusal"
            self._refused = True
        last = self._last
        if last is None or last.kind != kind:
            return self._append(_Block(kind, pieces=[event.text]))
        return self._add(last, event.text)

    def _think(self, event: ReasoningDelta) -> bytes:
        part = (event.kind, event.part)
        self._breaks = self._breaks or part != self._part
        self._part = part
        if self._omits or not event.text:
            return b""
        breaks, self._breaks = self._breaks, False
        last = self._last
        if last is None or last.kind != "thinking" or last.seal is not None:
            return self._append(_Block("thinking", pieces=[event.text]))
        return self._add(last, PARAGRAPH + event.text if breaks else event.text)

    def _seal(self, event: ReasoningSeal) -> bytes:
        last = self._last
        if last is not None and last.kind == "thinking" and last.seal is None:
            last.seal = event  # written when the block is closed
            self.held += 0 if last is self._open else len(event.value)
            return b""
        return self._append(_Block("thinking" if self._omits else "redacted", seal=event))

    def _call(self, event: ToolCallDelta) -> bytes:
        if event.id:
            block = _Block("call", event.id, event.name, [event.arguments] if event.arguments else [])
            block.end.feed(event.arguments)
            self._calls[event.index] = block
            return self._append(block)
        block = self._calls[event.index]
        # After a whole object there can be nothing but white space.
        if block.closed or not event.arguments:
            return b""
        block.end.feed(event.arguments)
        return self._add(block, event.arguments) + self._go_on()

    @property
    def _last(self) -> _Block | None:
        return self._waiting[-1] if self._waiting else self._open

    def _append(self, block: _Block) -> bytes:
        """Have *block* come after the last one."""
        self._waiting.append(block)
        self._in_text = False
        self.held += _size(block)
        return self._go_on()

    def _go_on(self) -> bytes:
        """Begin what may begin now."""
        if not self._waiting:
            return b""
        records = []
        while self._waiting and (self._open is None or self._open.is_whole):
            records += [self._close(), self._begin(self._waiting.popleft())]
        return b"".join(records)

    def _add(self, block: _Block, text: str) -> bytes:
        if block is self._open:
            return self._delta(text)
        block.pieces.append(text)
        self.held += _bytes(text)
        return b""

    def _begin(self, block: _Block) -> bytes:
        self.held -= _size(block)
        self._open = block
        self._index += 1
        self._before, _, self._after = self._delta_of(block.kind, _MARK).partition(jsontext.dumps(_MARK))
        records = [_event("content_block_start", index=self._index, content_block=_started(block))]
        if block.kind == "call":
            records.append(self._delta(""))  # as the real one does
        if block.pieces:
            records.append(self._delta("".join(block.pieces)))
        block.pieces.clear()
        self._in_text = block.kind == "text" and not self._waiting
        return b"".join(records)

    def _close(self) -> bytes:
        block, self._open = self._open, None
        if block is None:
            return b""
        block.closed = True
        self._in_text = False
        end = _event("content_block_stop", index=self._index)
        if block.kind != "thinking":
            return end
        signed = {"type": "signature_delta", "signature": signature_of(block.seal)}
        return _event("content_block_delta", index=self._index, delta=signed) + end

    def _delta(self, text: str) -> bytes:
        """More of the open block."""
        return b"%b%b%b" % (self._before, jsontext.dumps(text), self._after)

    def _delta_of(self, kind: Kind, text: str) -> bytes:
        match kind:
            case "thinking":
                delta = {"type": "thinking_delta", "thinking": text}
            case "call":
                delta = {"type": "input_json_delta", "partial_json": text}
            case _:
                delta = {"type": "text_delta", "text": text}
        return _event("content_block_delta", index=self._index, delta=delta)


def _size(block: _Block) -> int:
    """About how many bytes *block* takes while it waits."""
    return (
        _BLOCK_BYTES + (0 if block.seal is None else len(block.seal.value)) + sum(map(_bytes, block.pieces))
    )


def _bytes(text: str) -> int:
    return _PIECE_BYTES + (len(text) if text.isascii() else 4 * len(text))


def _started(block: _Block) -> dict[str, Any]:
    match block.kind:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "redacted":
            return {"type": "redacted_thinking", "data": signature_of(block.seal)}
        case "call":
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
        case _:
            return {"type": "text", "text": ""}


def _event(name: str, **fields: Any) -> bytes:
    return _record(name, jsontext.dumps({"type": name, **fields}))


def _record(name: str, data: bytes) -> bytes:
    return b"event: %b\n%b" % (name.encode(), sse_record(data))
