"""The model's thinking on its way to a client: parts kept apart, put into the text between tags, or left out.

This works on events, before they are written or folded, so that a stream and a whole answer say the same
(spec chatgpt.md, 3.7).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from chatmock.conversation import Thinking
from chatmock.events import Event, Failed, Opened, ReasoningDelta, ReasoningSeal, TextDelta

OPEN_TAG = "<think>"
CLOSE_TAG = "</think>"
PARAGRAPH = "\n\n"
_TAG = re.compile(r"<(/?)(think>)", re.IGNORECASE)
_MAY_BECOME_TAG = re.compile(r"<(?:/?(?:t(?:h(?:i(?:nk?)?)?)?)?)\Z", re.IGNORECASE)

Reshape = Callable[[Iterable[Event]], list[Event]]


def reshaping(thinking: Thinking) -> Reshape:
    """What makes the events of one answer ready for a client that gets its thinking as *thinking* says."""
    if thinking == "none":
        return without_thinking
    if thinking == "parts":
        return list
    paragraphs = Paragraphs()
    if thinking != "think-tags":
        return paragraphs
    tags = ThinkTags()
    return lambda events: tags(paragraphs(events))


def without_thinking(events: Iterable[Event]) -> list[Event]:
    """*events* without the thinking."""
    return [event for event in events if not isinstance(event, ReasoningDelta | ReasoningSeal)]


class Paragraphs:
    """Puts an empty line between the parts of the thinking, such as the paragraphs of a summary."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[str, int]] = {}

    def __call__(self, events: Iterable[Event]) -> list[Event]:
        """The same events, a part's first one with the break before its text."""
        return [self._part(event) if isinstance(event, ReasoningDelta) else event for event in events]

    def _part(self, event: ReasoningDelta) -> ReasoningDelta:
        part = (event.kind, event.part)
        before = self._last.get(event.choice)
        if not event.text or before == part:
            return event
        self._last[event.choice] = part
        if before is None:
            return event
        return ReasoningDelta(PARAGRAPH + event.text, event.kind, event.part, event.choice)


class ThinkTags:
    """Puts the thinking before the text, between tags. What is thought after the first word of the answer is left
    out: clients look for the tags at the start only. A tag in the thinking itself gets a space: ``</ think>``."""

    def __init__(self) -> None:
        self._open: dict[int, bool] = {}
        """By choice, from its first event: whether the tag is open now."""
        self._held: dict[int, str] = {}
        """By choice: the end of the thinking so far, where a tag may begin."""

    def __call__(self, events: Iterable[Event]) -> list[Event]:
        """*events* with the thinking as text."""
        out: list[Event] = []
        for event in events:
            self._take(event, out)
        return out

    def _take(self, event: Event, out: list[Event]) -> None:
        match event:
            case ReasoningDelta(text=text, choice=choice):
                if not text or self._open.get(choice) is False:
                    return
                text = self._without_tags(text, choice)
                if choice not in self._open:
                    text = OPEN_TAG + text
                    self._open[choice] = True
                if text:
                    out.append(TextDelta(text, choice))
            case TextDelta(choice=choice) if self._open.get(choice) is False:
                out.append(event)
            case Opened() | Failed():
                out.append(event)
            case ReasoningSeal():
                pass  # has no place in the text
            case _:
                spoken = getattr(event, "choice", None)
                self._close([*self._open] if spoken is None else [spoken], out)
                out.append(event)

    def _without_tags(self, text: str, choice: int) -> str:
        """*text*, more of the thinking, with its tags broken; what may be the beginning of one is held back."""
        text = self._held.pop(choice, "") + text
        if "<" not in text:
            return text
        text = _TAG.sub(_broken, text)
        begun = _MAY_BECOME_TAG.search(text)
        if begun is None:
            return text
        self._held[choice] = begun[0]
        return text[: begun.start()]

    def _close(self, choices: Iterable[int], out: list[Event]) -> None:
        for choice in choices:
            if self._open.get(choice):
                out.append(TextDelta(self._held.pop(choice, "") + CLOSE_TAG, choice))
            self._open[choice] = False


def _broken(tag: re.Match[str]) -> str:
    return f"<{tag[1]} {tag[2]}"
