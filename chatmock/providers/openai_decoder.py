"""OpenAI chat records into events."""

from __future__ import annotations

from typing import Any

from chatmock import jsontext
from chatmock.durations import LATEST, bounded
from chatmock.errors import Kind, Refusal, truncated
from chatmock.events import (
    Annotation,
    Event,
    Failed,
    Finished,
    FinishReason,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from chatmock.jsontext import JSONError
from chatmock.providers.openai_chunks import (
    CallNumbering,
    CallPiece,
    ChoicePiece,
    Chunk,
    ChunkReader,
    read_usage,
    whole_usage,
)
from chatmock.providers.openai_differences import Differences


class ChatDecoder:
    """A :class:`~chatmock.providers.interface.StreamDecoder` of the OpenAI chat wire.

    The finish reason is held until the stream's end, since an upstream may still say that it failed.
    """

    def __init__(self, title: str, differences: Differences, limit: int, choices: int = 1) -> None:
        self._title = title
        self._choices = choices
        self._differences = differences
        self._reader = ChunkReader(title, differences.read_error, limit)
        self._opened = False
        self._ended = False
        self._calls: dict[int, CallNumbering] = {}
        self._reasons: dict[int, FinishReason | None] = {}
        self._usage: Usage | None = None
        self._nameless: dict[tuple[int, int], list[str]] = {}
        """Calls whose name has not come yet: id and arguments so far."""

    @property
    def records(self) -> int:
        """How many records of the stream have been read."""
        return self._reader.records

    @property
    def usage(self) -> Usage | None:
        """The token counts so far."""
        return self._usage

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes, cut anywhere."""
        events: list[Event] = []
        for _, chunk in self._reader.feed(data):
            self._read(chunk, events)
        if self._reader.done or self._reader.failure is not None:
            self._end(events)
        return events

    def close(self) -> list[Event]:
        """End of input."""
        events: list[Event] = []
        for _, chunk in self._reader.close():
            self._read(chunk, events)
        self._end(events)
        return events

    def _end(self, events: list[Event]) -> None:
        if self._ended:
            return
        self._ended = True
        reasons = [self._reasons.get(choice) for choice in range(len(self._reasons))]
        if self._reader.failure is not None:
            events.append(Failed(self._reader.failure))
        elif self._nameless:
            message = f"{self._title} called a tool without naming it. Ask again."
            events.append(Failed(Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_malformed")))
        elif not reasons or None in reasons or (len(reasons) < self._choices and not self._reader.done):
            events.append(Failed(truncated(self._title)))
        else:
            if self._usage is not None:
                events.append(self._usage)
            events.append(Finished(tuple(reason for reason in reasons if reason is not None)))

    def _read(self, chunk: Chunk, events: list[Event]) -> None:
        if not self._opened and (chunk.id or chunk.choices):
            self._opened = True
            events.append(Opened(chunk.id or "", int(bounded(chunk.created, LATEST) or 0), chunk.model or ""))
        for piece in chunk.choices or ():
            self._read_choice(piece, events)
        if chunk.usage:
            self._usage = read_usage(whole_usage(chunk.usage)) or self._usage

    def _read_choice(self, piece: ChoicePiece, events: list[Event]) -> None:
        choice, delta = piece.index, piece.delta
        self._reasons.setdefault(choice, None)
        if delta is not None:
            if reasoning := delta.reasoning_content or delta.reasoning:
                events.append(ReasoningDelta(reasoning, choice=choice))
            if delta.content:
                events.append(TextDelta(delta.content, choice, _logprobs(piece)))
            if delta.refusal:
                events.append(RefusalDelta(delta.refusal, choice))
            for call in delta.tool_calls or ():
                events.extend(self._read_call(choice, call))
            events.extend(Annotation(value, choice) for value in delta.annotations or ())
        if piece.finish_reason:
            self._reasons[choice] = self._differences.reason(piece.finish_reason, piece.native_finish_reason)

    def _read_call(self, choice: int, piece: CallPiece) -> list[ToolCallDelta]:
        numbering = self._calls.setdefault(choice, CallNumbering())
        index, first = numbering.place(piece)
        function = piece.function
        arguments = (function.arguments if function else None) or ""
        if not first and not numbering.names_now(piece, index):
            if (choice, index) in self._nameless:
                self._nameless[choice, index][1] += arguments
                return []
            return [ToolCallDelta(index, arguments=arguments, choice=choice)]
        id, held = self._nameless.pop((choice, index), [piece.id or f"call_{choice}_{index}", ""])
        name = function.name if function else None
        if not name:
            self._nameless[choice, index] = [id, held + arguments]
            return []
        return [ToolCallDelta(index, id, name, held + arguments, choice)]


def _logprobs(piece: ChoicePiece) -> list[Any] | None:
    """What is told of the text's tokens; nothing where it cannot be read."""
    try:
        told = jsontext.loads(bytes(piece.logprobs))
    except JSONError:
        return None
    tokens = told.get("content") if isinstance(told, dict) else None
    return tokens if isinstance(tokens, list) else None
