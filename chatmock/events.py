"""What an upstream says while it answers, in words no dialect owns, and the order it may say it in.

The order, which every decoder keeps and :class:`EventOrder` enforces:

1. :class:`Opened` comes first, once.
2. Content follows in any mix: text, reasoning and its seals, refusal, tool calls, annotations.
3. A tool call's first delta names its id and its tool; its later ones carry arguments only. Indices of a
   choice's calls count up from 0.
4. :class:`Usage` comes at most once, after all content.
5. Exactly one of :class:`Finished` and :class:`Failed` ends it. Only ``Failed`` may come without ``Opened``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from chatmock.errors import Refusal

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
FINISH_REASONS: tuple[FinishReason, ...] = ("stop", "length", "tool_calls", "content_filter")


@attrs.frozen
class Opened:
    """The upstream has begun to answer. Fields are empty (or 0) where it does not say."""

    id: str = ""
    created: int = 0
    """Unix time in seconds."""
    model: str = ""


@attrs.frozen
class TextDelta:
    """More text of one choice."""

    text: str
    choice: int = 0
    logprobs: Sequence[Mapping[str, Any]] | None = None
    """Token log probabilities of this text as OpenAI chat has them, where asked for."""


@attrs.frozen
class ReasoningDelta:
    """More of the model's thinking."""

    text: str
    kind: Literal["text", "summary"] = "text"
    part: int = 0
    choice: int = 0


@attrs.frozen
class ReasoningSeal:
    """The thinking before it, or some that is not shown, in a form that only its upstream can read."""

    value: str = attrs.field(repr=False)
    id: str = ""
    """The upstream's name of it, where it has one."""
    choice: int = 0


@attrs.frozen
class RefusalDelta:
    """More of a text in which the model declines."""

    text: str
    choice: int = 0


@attrs.frozen
class ToolCallDelta:
    """A tool call begins (id and name are set) or its arguments go on (both are empty)."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    choice: int = 0


@attrs.frozen
class Annotation:
    """A citation of the answer, as OpenAI chat has it."""

    value: Mapping[str, Any]
    choice: int = 0


@attrs.frozen
class Usage:
    """Token counts as OpenAI counts them: completion tokens include reasoning. None where not known."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@attrs.frozen
class Finished:
    """The answer is complete; *reasons* has one entry a choice, in the order of the choices."""

    reasons: tuple[FinishReason, ...]
    cut: bool = False
    """Whether the answer was ended here, while its upstream had more to say."""
    stop: str | None = attrs.field(default=None, repr=False)
    """The stop sequence that ended it, where that is known."""


@attrs.frozen
class Failed:
    """The answer has ended without being complete."""

    refusal: Refusal


@attrs.frozen
class Announced:
    """How far the client of an upstream of its own dialect is, where that dialect numbers its records."""

    answer: Mapping[str, Any] = attrs.field(repr=False)
    """The answer, as its first record has it."""
    records: int
    """How many numbered records the client has had: the next one's number."""


Content = TextDelta | ReasoningDelta | ReasoningSeal | RefusalDelta | ToolCallDelta | Annotation
Event = Opened | Content | Usage | Finished | Failed


class OutOfOrder(ValueError):
    """A decoder broke the order of events: a fault of chatmock, not of a client or an upstream."""


class EventOrder:
    """The state machine of the module's text: before → open → counted → ended."""

    def __init__(self) -> None:
        self._state: Literal["before", "open", "counted", "ended"] = "before"
        self._calls: dict[int, int] = {}

    @property
    def ended(self) -> bool:
        """Whether the last event has been seen."""
        return self._state == "ended"

    def check(self, events: Iterable[Event]) -> None:
        """Move on by *events*.

        :raises OutOfOrder: at the first one that may not come now.
        """
        for event in events:
            self._step(event)

    def _step(self, event: Event) -> None:
        state = self._state
        if state == "ended":
            raise OutOfOrder(f"{type(event).__name__} after the end")
        match event:
            case Failed():
                self._state = "ended"
            case Opened():
                self._expect(event, "before")
                self._state = "open"
            case Usage():
                self._expect(event, "open")
                self._state = "counted"
            case Finished():
                self._expect(event, "open", "counted")
                self._state = "ended"
            case ToolCallDelta():
                self._expect(event, "open")
                self._check_call(event)
            case _:
                self._expect(event, "open")

    def _expect(self, event: Event, *states: str) -> None:
        if self._state not in states:
            raise OutOfOrder(f"{type(event).__name__} may not come while {self._state!r}")

    def _check_call(self, event: ToolCallDelta) -> None:
        begun = self._calls.get(event.choice, 0)
        if event.id and event.name and event.index == begun:
            self._calls[event.choice] = begun + 1
        elif event.id or event.name or not 0 <= event.index < begun:
            raise OutOfOrder(f"tool call {event.index} of choice {event.choice}: {begun} have begun")
