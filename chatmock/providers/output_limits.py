"""Stop sequences and the output limit, enforced here for upstreams that refuse both (spec chatgpt.md, 4.3).

The text is cut before the stop sequence that is complete first, whichever piece it comes in: what might be the start of one is held
back until it is certain. Tokens cannot be counted without the model's own vocabulary, so the output limit is an
estimate, :data:`BYTES_PER_TOKEN` bytes of text, refusal or arguments a token. Arguments cut short would be of no
use, so a call that has begun is told to its end: the cut comes before the next text or the next call.

The token counts of an answer that was cut are those that the upstream had told by then. Most tell them at their end only,
which is not waited for: the counts are estimates then, those of the request as :mod:`~chatmock.providers.token_count` has it
and of the answer :data:`BYTES_PER_TOKEN` bytes of what was told a token. The headers of the answer say so before it is
known how it ends: ``X-Chatmock-Estimate: usage, where a stop sequence ends the answer``, and :data:`MAX_TOKENS_NOTE`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from chatmock.conversation import ChatRequest
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
from chatmock.providers.interface import StreamDecoder
from chatmock.providers.token_count import ESTIMATE, count_tokens

BYTES_PER_TOKEN: Final = 4
MAX_TOKENS_NOTE: Final = "x-chatmock-max-tokens"
"""The response header that tells how the limit is kept to."""

_ESTIMATED: Final = "usage, where a stop sequence ends the answer"


def limit_notes(chat: ChatRequest) -> Mapping[str, str]:
    """The response headers for the client of *chat*, whose stop sequences and output limit are both kept to here."""
    notes = stop_notes(chat)
    return notes if chat.max_tokens is None else {**notes, MAX_TOKENS_NOTE: kept_to(chat.max_tokens)}


def stop_notes(chat: ChatRequest) -> Mapping[str, str]:
    """The response header for the client of *chat*, whose stop sequences are looked for here."""
    return {ESTIMATE: _ESTIMATED} if chat.stop else {}


def limited(decoder: StreamDecoder, chat: ChatRequest, max_tokens: int | None) -> StreamDecoder:
    """*decoder*, its answer to *chat* ended before the stop sequences and after *max_tokens*, where there are any."""
    if not chat.stop and max_tokens is None:
        return decoder
    return LimitedDecoder(decoder, chat.stop, max_tokens, count_tokens(chat))


def kept_to(max_tokens: int) -> str:
    """What :data:`MAX_TOKENS_NOTE` tells."""
    return f"{max_tokens}, kept to by chatmock: it takes {BYTES_PER_TOKEN} bytes for a token"


class LimitedDecoder:
    """A :class:`~chatmock.providers.interface.StreamDecoder` that ends another one's single answer where it is told to.

    :param stop: the sequences before which the text ends; empty ones must not be among them.
    :param max_tokens: the most tokens of text, refusal and arguments, None for no limit.
    :param prompt_tokens: how many tokens the request takes, by estimate, for an answer that is cut before its upstream has told;
        None to tell no counts then.
    """

    def __init__(
        self,
        decoder: StreamDecoder,
        stop: Sequence[str],
        max_tokens: int | None,
        prompt_tokens: int | None = None,
    ) -> None:
        self._decoder = decoder
        self._stop = tuple(stop)
        self._longest = max((len(sequence) for sequence in self._stop), default=0)
        self._left = None if max_tokens is None else max_tokens * BYTES_PER_TOKEN
        self._prompt_tokens = prompt_tokens
        self._told = 0
        """Bytes of text, refusal and arguments given out."""
        self._held: TextDelta | None = None
        self._ended = False

    @property
    def records(self) -> int:
        """How many records of the stream have been read."""
        return self._decoder.records

    @property
    def usage(self) -> Usage | None:
        """The token counts so far."""
        return self._decoder.usage

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
            case RefusalDelta():
                self._release(out)
                if not self._ended:
                    self._spend(event, out)
            case ToolCallDelta():
                self._release(out)
                if not self._ended:
                    self._take_call(event, out)
            case Opened() | ReasoningDelta() | ReasoningSeal() | Annotation():
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
        found = [(place, stop) for stop in self._stop if (place := event.text.find(stop)) >= 0]
        if found:
            place, stop = min(found, key=_told_first)
            self._spend(TextDelta(event.text[:place], event.choice), out)
            self._end("stop", out, stop)
            return
        kept = self._may_begin_a_stop(event.text)
        if not kept:
            self._spend(event, out)
            return
        self._held = TextDelta(event.text[-kept:], event.choice)
        self._spend(TextDelta(event.text[:-kept], event.choice), out)

    def _take_call(self, event: ToolCallDelta, out: list[Event]) -> None:
        if self._left is not None:
            if event.id and self._left <= 0:
                self._end("length", out)
                return
            self._left -= _size(event.arguments)
        self._told += _size(event.arguments)
        out.append(event)

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

    def _spend(self, event: TextDelta | RefusalDelta, out: list[Event]) -> None:
        """Give *event* out as far as the output limit allows."""
        text = event.text
        cut = False
        if self._left is not None:
            data = text.encode()
            cut = len(data) > max(self._left, 0)
            text = data[: max(self._left, 0)].decode(errors="ignore") if cut else text
            self._left -= len(data)
        if text:
            self._told += _size(text)
            out.append(type(event)(text, event.choice) if cut else event)
        if cut:
            self._end("length", out)

    def _end(self, reason: FinishReason, out: list[Event], stop: str | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        usage = self._decoder.usage
        if usage is None and self._prompt_tokens is not None:
            usage = Usage(self._prompt_tokens, -(-self._told // BYTES_PER_TOKEN))
        if usage is not None:
            out.append(usage)
        out.append(Finished((reason,), cut=True, stop=stop))


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _told_first(found: tuple[int, str]) -> tuple[int, int]:
    """The order of the stop sequences in a text, each with its place: by their ends, since that is how a stream meets them."""
    place, stop = found
    return place + len(stop), place
