"""Shortens a conversation to a model's window: whole turns, oldest first, never a tool call without its result."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from chatmock.conversation import Message, ToolCall, ToolResult

_ASCII_CHARS_A_TOKEN = 4.0
_OTHER_CHARS_A_TOKEN = 1.5
_TOKENS_A_MESSAGE = 4


@attrs.frozen
class Truncation:
    """What is left of a conversation."""

    kept: tuple[int, ...]
    """Positions of the messages that stay, in order."""
    dropped_turns: int
    dropped_messages: int
    estimated_tokens: int
    """Of what is left."""

    @property
    def note(self) -> str:
        """For the response header that tells the client."""
        return (
            f"dropped {self.dropped_turns} oldest turns ({self.dropped_messages} messages); "
            f"about {self.estimated_tokens} tokens left"
        )


def estimate_tokens(message: Message) -> int:
    """About how many tokens the text of *message* takes. Pictures and files are not counted: nobody can know."""
    tokens = 0.0
    for text in message.texts():
        plain = len(text.encode("ascii", "ignore"))
        tokens += plain / _ASCII_CHARS_A_TOKEN + (len(text) - plain) / _OTHER_CHARS_A_TOKEN
    return _TOKENS_A_MESSAGE + int(tokens)


def truncate(messages: Sequence[Message], budget: float) -> Truncation | None:
    """Drop the oldest whole turns until the estimate fits *budget* (tokens); None when nothing need or can go.

    System and developer messages stay wherever they stand, and so does the newest turn. A turn begins with a
    user message and ends before the next one, so that a tool call and its result always go together.
    """
    sizes = [estimate_tokens(message) for message in messages]
    total = sum(sizes)
    turns = _turns(messages)
    dropped: set[int] = set()
    dropped_turns = 0
    for turn in turns[:-1]:
        if total <= budget:
            break
        dropped.update(turn)
        dropped_turns += 1
        total -= sum(sizes[position] for position in turn)
    if not dropped:
        return None
    kept = tuple(position for position in range(len(messages)) if position not in dropped)
    return Truncation(kept, dropped_turns, len(dropped), total)


def _turns(messages: Sequence[Message]) -> list[list[int]]:
    turns: list[list[int]] = []
    open_calls: set[str] = set()
    for position, message in enumerate(messages):
        if message.role in ("system", "developer"):
            continue
        if not turns or (message.role == "user" and not open_calls):
            turns.append([])
        turns[-1].append(position)
        for part in message.parts:
            if isinstance(part, ToolCall):
                open_calls.add(part.id)
            elif isinstance(part, ToolResult):
                open_calls.discard(part.id)
    return turns
