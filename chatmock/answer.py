"""Folds the events of a stream into one complete answer, for clients that did not ask to see it grow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from chatmock.events import (
    Annotation,
    Event,
    Failed,
    Finished,
    FinishReason,
    Opened,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)


@attrs.define
class CompleteCall:
    """A whole tool call."""

    id: str
    name: str
    arguments: list[str] = attrs.field(factory=list)
    """Pieces of the argument text, to be joined."""


@attrs.define
class Block:
    """A stretch of one kind: clients of some dialects are told in which order the model has thought, said and called."""

    kind: Literal["text", "thinking", "refusal", "call"]
    pieces: list[str] = attrs.field(factory=list)
    """Of text, thinking and refusal; to be joined."""
    part: tuple[str, int] = ("", 0)
    """Of thinking: whether it is ``text`` or a ``summary``, and which part of it."""
    seal: ReasoningSeal | None = None
    """Of thinking: what proves it, and all thinking right before it, to its upstream."""
    call: CompleteCall | None = None
    annotations: list[Mapping[str, Any]] = attrs.field(factory=list)
    """Of text."""


@attrs.define
class AnswerChoice:
    """One of the answers side by side; pieces are to be joined."""

    text: list[str] = attrs.field(factory=list)
    reasoning: list[str] = attrs.field(factory=list)
    summary: list[str] = attrs.field(factory=list)
    """The part of the reasoning that is a summary of it."""
    refusal: list[str] = attrs.field(factory=list)
    calls: list[CompleteCall] = attrs.field(factory=list)
    annotations: list[Mapping[str, Any]] = attrs.field(factory=list)
    logprobs: list[Mapping[str, Any]] | None = None
    finish_reason: FinishReason = "stop"
    blocks: list[Block] = attrs.field(factory=list)
    """The same, in the order in which it was told."""

    def block(self, kind: Literal["text", "thinking", "refusal"], part: tuple[str, int] = ("", 0)) -> Block:
        """The block that more of *kind* belongs to: the last one, or a new one."""
        last = self.blocks[-1] if self.blocks else None
        if last is None or last.kind != kind or last.part != part or last.seal is not None:
            last = Block(kind, part=part)
            self.blocks.append(last)
        return last


@attrs.define
class Answer:
    """A complete answer, or one on its way to be."""

    opened: Opened = attrs.field(factory=Opened)
    choices: list[AnswerChoice] = attrs.field(factory=list)
    usage: Usage | None = None
    outcome: Finished | Failed | None = None
    opened_after: int = 0
    """Nanoseconds from the request's coming to the upstream's first word of any kind."""
    spoke_after: int = 0
    """Nanoseconds from the request's coming to the first content."""

    def fold(self, events: Iterable[Event]) -> None:
        """Take in *events*, in their order."""
        for event in events:
            self._take(event)

    def choice(self, index: int) -> AnswerChoice:
        """The choice *index*, made (with those before it) where it has not spoken yet."""
        while len(self.choices) <= index:
            self.choices.append(AnswerChoice())
        return self.choices[index]

    def _take(self, event: Event) -> None:
        match event:
            case Opened():
                self.opened = event
            case TextDelta(text, choice, logprobs):
                spoken = self.choice(choice)
                spoken.text.append(text)
                spoken.block("text").pieces.append(text)
                if logprobs is not None:
                    spoken.logprobs = spoken.logprobs or []
                    spoken.logprobs += logprobs
            case ReasoningDelta(text, kind, part, choice):
                self.choice(choice).reasoning.append(text)
                self.choice(choice).block("thinking", (kind, part)).pieces.append(text)
                if kind == "summary":
                    self.choice(choice).summary.append(text)
            case ReasoningSeal():
                self._seal(event)
            case RefusalDelta(text, choice):
                self.choice(choice).refusal.append(text)
                self.choice(choice).block("refusal").pieces.append(text)
            case ToolCallDelta():
                self._take_call(event)
            case Annotation(value, choice):
                self.choice(choice).annotations.append(value)
                self.choice(choice).block("text").annotations.append(value)
            case Usage():
                self.usage = event
            case Finished(reasons):
                for index, reason in enumerate(reasons):
                    self.choice(index).finish_reason = reason
                self.outcome = event
            case Failed():
                self.outcome = event

    def _seal(self, event: ReasoningSeal) -> None:
        blocks = self.choice(event.choice).blocks
        if not blocks or blocks[-1].kind != "thinking" or blocks[-1].seal is not None:
            blocks.append(Block("thinking"))
        blocks[-1].seal = event

    def _take_call(self, event: ToolCallDelta) -> None:
        calls = self.choice(event.choice).calls
        if event.id:
            calls.append(CompleteCall(event.id, event.name))
            self.choice(event.choice).blocks.append(Block("call", call=calls[-1]))
        calls[event.index].arguments.append(event.arguments)
