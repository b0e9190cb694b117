"""Stop sequences and the output limit, enforced here for upstreams that refuse both (spec chatgpt.md, 4.3).

The text is cut before the first stop sequence, whichever piece it comes in: what might be the start of one is held
back until it is certain. Tokens cannot be counted without the model's own vocabulary, so the output limit is an
estimate, :data:`BYTES_PER_TOKEN` bytes of text or arguments a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from chatmock.events import (
    Annotation,
    Event,
    Failed,
    Finished,
    FinishReason,
    Opened,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from chatmock.providers.interface import StreamDecoder

BYTES_PER_TOKEN: Final = 4


class LimitedDecoder:
    """A :class:`~chatmock.providers.interface.StreamDecoder` that ends another one's single answer where it is told to.

    :param stop: the sequences before which the text ends; empty ones must not be among them.
    :param max_tokens: the most tokens of text and arguments, None for no limit.
    """

    def __init__(self, decoder: StreamDecoder, stop: Sequence[str], max_tokens: int | None) -> None:
        self._decoder = decoder
        self._stop = tuple(stop)
        self._longest = max((len(sequence) for sequence in self._stop), default=0)
        self._left = None if max_tokens is None else max_tokens * BYTES_PER_TOKEN
        self._held: TextDelta | None = None
        self._ended = False

    def feed(self, data: bytes) -> Sequence[Event]:
        """Take the next bytes."""
        return () if self._ended else self._limit(self._decoder.feed(data))

    def close(self) -> Sequence[Event]:
        """End of input."""
        return () if self._ended else self._limit(self._decoder.close())

    def _limit(self, events: Sequence[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            self._take(event, out)
            if self._ended:
                break
        return out

    def _take(self, event: Event, out: list[Event]) -> None:
        match event:
            case TextDelta():
                self._take_text(event, out)
            case ToolCallDelta():
                self._release(out)
                if not self._ended:
                    self._spend(event, out)
            case Opened() | ReasoningDelta() | Annotation():
                out.append(event)
            case _:
                self._release(out)
                if not self._ended:
                    out.append(event)
                    self._ended = isinstance(event, Failed | Finished)

    def _take_text(self, event: TextDelta, out: list[Event]) -> None:
        if self._held is not None:
            event = TextDelta(self._held.text + event.text, event.choice)
            self._held = None
        places = [place for sequence in self._stop if (place := event.text.find(sequence)) >= 0]
        if places:
            self._spend(TextDelta(event.text[: min(places)], event.choice), out)
            self._end("stop", out)
            return
        kept = self._may_begin_a_stop(event.text)
        if not kept:
            self._spend(event, out)
            return
        self._held = TextDelta(event.text[-kept:], event.choice)
        self._spend(TextDelta(event.text[:-kept], event.choice), out)

    def _may_begin_a_stop(self, text: str) -> int:
        """How many characters at the end of *text* are the beginning of a stop sequence."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            end = text[-length:]
            if any(sequence.startswith(end) for sequence in self._stop):
                return length
        return 0

    def _release(self, out: list[Event]) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._spend(held, out)

    def _spend(self, event: TextDelta | ToolCallDelta, out: list[Event]) -> None:
        """Give *event* out as far as the output limit allows."""
        text = event.text if isinstance(event, TextDelta) else event.arguments
        cut = False
        if self._left is not None:
            data = text.encode()
            cut = len(data) > self._left
            text = data[: self._left].decode(errors="ignore") if cut else text
            self._left -= len(data)
        if isinstance(event, ToolCallDelta):
            out.append(attrs.evolve(event, arguments=text) if cut else event)
        elif text:
            out.append(TextDelta(text, event.choice) if cut else event)
        if cut:
            self._end("length", out)

    def _end(self, reason: FinishReason, out: list[Event]) -> None:
        if not self._ended:
            self._ended = True
            out.append(Finished((reason,), cut=True))
