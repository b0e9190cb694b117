"""A Messages stream: ``event:`` and ``data:`` for each record (spec upstreams.md, F).

Blocks never interleave: one is open at a time, and what belongs to a later one waits until it is closed. Text and
thinking end where something else begins. A call ends there too when its arguments are whole by then; else only the
answer's end tells, for some upstreams send the arguments of several calls in turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Literal

import attrs

from chatmock import jsontext
from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects.anthropic_content import is_complete, message_head, stop_reason, usage_body
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
Kind = Literal["text", "refusal", "thinking", "redacted", "call"]


@attrs.define(eq=False)
class _Block:
    """A content block that is open, waits to be, or is closed."""

    kind: Kind
    id: str = ""
    name: str = ""
    pieces: list[str] = attrs.field(factory=list)
    """What has not been written yet; of an open call everything, since it has to be known when it is whole."""
    seal: ReasoningSeal | None = None
    tried: bool = False
    """Whether it has been looked whether the call is whole: once, since that reads all of it."""
    closed: bool = False


class MessagesEncoder:
    """Events as records. Text is put between bytes made once for its block."""

    answer: None = None

    def __init__(self, chat: ChatRequest, identity: Identity) -> None:
        self._head = message_head(chat, identity)
        self._omits = omits_thinking(chat)
        self._open: _Block | None = None
        self._waiting: deque[_Block] = deque()
        self._calls: dict[int, _Block] = {}
        self._index = -1
        self._text_head = b""
        """Before more text of the open block; empty where text would begin another one."""
        self._text_tail = b""
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
            case TextDelta(text, 0, _) if text and self._text_head:
                return b"%b%b%b" % (self._text_head, jsontext.dumps(text), self._text_tail)
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
            return b""
        return self._append(_Block("thinking" if self._omits else "redacted", seal=event))

    def _call(self, event: ToolCallDelta) -> bytes:
        if event.id:
            block = _Block("call", event.id, event.name, [event.arguments] if event.arguments else [])
            self._calls[event.index] = block
            return self._append(block)
        block = self._calls[event.index]
        # After a whole object there can be nothing but white space.
        return b"" if block.closed or not event.arguments else self._add(block, event.arguments)

    @property
    def _last(self) -> _Block | None:
        return self._waiting[-1] if self._waiting else self._open

    def _append(self, block: _Block) -> bytes:
        """Have *block* come after the last one, and begin what may begin now."""
        self._waiting.append(block)
        records = []
        while self._waiting and (self._open is None or _is_whole(self._open)):
            records += [self._close(), self._begin(self._waiting.popleft())]
        return b"".join(records)

    def _add(self, block: _Block, text: str) -> bytes:
        if block is not self._open or block.kind == "call":
            block.pieces.append(text)
        return self._delta(block.kind, text) if block is self._open else b""

    def _begin(self, block: _Block) -> bytes:
        self._open = block
        self._index += 1
        records = [_event("content_block_start", index=self._index, content_block=_started(block))]
        if block.kind == "call":
            records.append(self._delta("call", ""))  # as the real one does
        if block.pieces:
            records.append(self._delta(block.kind, "".join(block.pieces)))
        if block.kind != "call":
            block.pieces.clear()
        if block.kind == "text" and not self._waiting:
            self._text_head, _, self._text_tail = self._delta("text", _MARK).partition(jsontext.dumps(_MARK))
        return b"".join(records)

    def _close(self) -> bytes:
        block, self._open = self._open, None
        if block is None:
            return b""
        block.closed = True
        self._text_head = b""
        end = _event("content_block_stop", index=self._index)
        if block.kind != "thinking":
            return end
        return self._delta_of(type="signature_delta", signature=signature_of(block.seal)) + end

    def _delta(self, kind: Kind, text: str) -> bytes:
        match kind:
            case "thinking":
                return self._delta_of(type="thinking_delta", thinking=text)
            case "call":
                return self._delta_of(type="input_json_delta", partial_json=text)
            case _:
                return self._delta_of(type="text_delta", text=text)

    def _delta_of(self, **delta: str) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)


def _is_whole(block: _Block) -> bool:
    """Whether *block*, which is open, has ended now that another one comes."""
    if block.kind != "call":
        return True
    tried, block.tried = block.tried, True
    return not tried and is_complete("".join(block.pieces))


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
