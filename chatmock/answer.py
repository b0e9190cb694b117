"""Folds the events of a stream into one complete answer, for clients that did not ask to see it grow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

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


@attrs.define
class CompleteCall:
    """A whole tool call."""

    id: str
    name: str
    arguments: list[str] = attrs.field(factory=list)
    """Pieces of the argument text, to be joined."""


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


@attrs.define
class Answer:
    """A complete answer, or one on its way to be."""

    opened: Opened = attrs.field(factory=Opened)
    choices: list[AnswerChoice] = attrs.field(factory=list)
    usage: Usage | None = None
    outcome: Finished | Failed | None = None

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
                if logprobs is not None:
                    spoken.logprobs = [*(spoken.logprobs or ()), *logprobs]
            case ReasoningDelta(text, kind, _, choice):
                self.choice(choice).reasoning.append(text)
                if kind == "summary":
                    self.choice(choice).summary.append(text)
            case RefusalDelta(text, choice):
                self.choice(choice).refusal.append(text)
            case ToolCallDelta():
                self._take_call(event)
            case Annotation(value, choice):
                self.choice(choice).annotations.append(value)
            case Usage():
                self.usage = event
            case Finished(reasons):
                for index, reason in enumerate(reasons):
                    self.choice(index).finish_reason = reason
                self.outcome = event
            case Failed():
                self.outcome = event

    def _take_call(self, event: ToolCallDelta) -> None:
        calls = self.choice(event.choice).calls
        if event.id:
            calls.append(CompleteCall(event.id, event.name))
        calls[event.index].arguments.append(event.arguments)
