"""From the upstream's bytes to the client's: all ways, one interface for those who carry the bytes.

===============  =======================  ==========================
                 client wants a stream    client wants a whole answer
same dialect     the provider's passage   :class:`CarriedWhole`, or
                                          :class:`PutTogether` where
                                          the upstream only streams
another dialect  :class:`Translated`      :class:`Folded`
===============  =======================  ==========================
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import attrs

from chatmock.answer import Answer
from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects.interface import Dialect, StreamEncoder
from chatmock.errors import Kind, Refusal, too_long
from chatmock.events import Event, EventOrder, Failed, Finished, OutOfOrder, Usage
from chatmock.framing import WHOLE_ANSWER_LIMIT
from chatmock.providers.interface import Passage, Provider, StreamDecoder, passes
from chatmock.thinking import Reshape, reshaping


class Transcoder(Protocol):
    """Turns an answer's bytes as they come. A failure is in no bytes: whoever carries them tells the client."""

    @property
    def outcome(self) -> Finished | Failed | None:
        """How the answer ended, once it has."""

    @property
    def usage(self) -> Usage | None:
        """The token counts, where the upstream told them."""

    @property
    def answer(self) -> bytes | None:
        """The answer whole, once it is complete and where the request wants it kept."""

    @property
    def records(self) -> int:
        """A number that grows whenever the upstream makes progress; keep-alives are none."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes, return those for the client now."""

    def close(self) -> bytes:
        """End of input; the outcome is set after it."""


@runtime_checkable
class Holds(Protocol):
    """A :class:`~chatmock.dialects.interface.StreamEncoder` that holds some of the answer back, or for its last record."""

    @property
    def held(self) -> int:
        """About how many bytes of the answer it holds."""


def transcoder(
    provider: Provider,
    dialect: Dialect,
    chat: ChatRequest,
    identity: Identity,
    decoder: StreamDecoder | None = None,
) -> Transcoder:
    """The way from *provider* to a client of *dialect*.

    :param decoder: reads the answer; a fresh one of the provider unless given.
    """
    passage = provider.passage(chat, identity) if passes(chat, provider.wires) else None
    if passage is not None:
        if chat.stream:
            return passage
        if passage.folds:
            return PutTogether(passage, provider.title, keep=chat.keep)
        if not chat.force_stream:
            return CarriedWhole(passage, provider.title, keep=chat.keep)
        # As a stream would have passed it on.
        chat = attrs.evolve(chat, thinking="parts" if chat.thinking == "parts" else "reasoning-content")
    decoder = decoder or provider.decoder(chat)
    if chat.stream:
        return Translated(decoder, dialect.encoder(chat, identity), reshaping(chat.thinking), provider.title)
    return Folded(decoder, dialect, chat, identity, provider.title)


class CarriedWhole:
    """Same dialect, whole: the body is gathered, bounded, and passed on when it is complete."""

    def __init__(self, passage: Passage, title: str, *, keep: bool = False) -> None:
        self._passage = passage
        self._title = title
        self._keep = keep
        self.answer: bytes | None = None
        self._body = bytearray()
        self.outcome: Finished | Failed | None = None
        self.records = 0

    @property
    def usage(self) -> Usage | None:
        """The token counts."""
        return self._passage.usage

    def feed(self, data: bytes) -> bytes:
        """Gather; nothing for the client yet."""
        self.records += 1
        self._body += data
        if len(self._body) > WHOLE_ANSWER_LIMIT:
            self.outcome = Failed(too_long(self._title, WHOLE_ANSWER_LIMIT))
        return b""

    def close(self) -> bytes:
        """The whole answer."""
        out = self._passage.whole(bytes(self._body))
        self.outcome = self._passage.outcome
        self.answer = self._passage.answer if self._keep and isinstance(self.outcome, Finished) else None
        return out


class PutTogether:
    """Same dialect, whole, of an upstream that streams: what the passage has at the end, bounded."""

    def __init__(self, passage: Passage, title: str, *, keep: bool = False) -> None:
        self._passage = passage
        self._title = title
        self._keep = keep
        self._size = 0
        self.outcome: Finished | Failed | None = None

    @property
    def answer(self) -> bytes | None:
        """The answer whole."""
        return self._passage.answer if self._keep else None

    @property
    def usage(self) -> Usage | None:
        """The token counts."""
        return self._passage.usage

    @property
    def records(self) -> int:
        """The records read."""
        return self._passage.records

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; the whole answer once it is complete."""
        self._size += len(data)
        if self._size > WHOLE_ANSWER_LIMIT:
            self.outcome = Failed(too_long(self._title, WHOLE_ANSWER_LIMIT))
            return b""
        self._passage.feed(data)
        return self._whole()

    def close(self) -> bytes:
        """End of input."""
        self._passage.close()
        return self._whole()

    def _whole(self) -> bytes:
        done = self.outcome is not None
        self.outcome = self._passage.outcome
        return b"" if done else self._passage.answer or b""


class Translated:
    """Another dialect, streamed: bytes to events to bytes."""

    def __init__(
        self, decoder: StreamDecoder, encoder: StreamEncoder, reshape: Reshape, title: str = "The upstream"
    ) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._holding = encoder if isinstance(encoder, Holds) else None
        self._title = title
        self._reshape = reshape
        self._order = EventOrder()
        self.outcome: Finished | Failed | None = None
        self.usage: Usage | None = None

    @property
    def answer(self) -> bytes | None:
        """The answer whole."""
        return self._encoder.answer

    @property
    def records(self) -> int:
        """The records read, those included that say nothing to the client."""
        return self._decoder.records

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes."""
        return self._encode(list(self._decoder.feed(data)))

    def close(self) -> bytes:
        """End of input."""
        return self._encode(list(self._decoder.close()))

    def fail(self, failed: Failed) -> bytes:
        """The end of the stream."""
        return self._encoder.encode([failed])

    def _encode(self, events: list[Event]) -> bytes:
        if not events:
            return b""
        events = self._reshape(_checked(self._order, events))
        if not events:
            return b""
        last = events[-1]
        for event in events[-2:]:
            if isinstance(event, Usage):
                self.usage = event
        if isinstance(last, Finished | Failed):
            self.outcome = last
        out = self._encoder.encode(events[:-1] if isinstance(last, Failed) else events)
        if self.outcome is None and self._holding is not None and self._holding.held > WHOLE_ANSWER_LIMIT:
            self.outcome = Failed(too_long(self._title, WHOLE_ANSWER_LIMIT))
        return out


class Folded:
    """Another dialect, whole: a stream upstream, bounded, folded into one answer."""

    def __init__(
        self, decoder: StreamDecoder, dialect: Dialect, chat: ChatRequest, identity: Identity, title: str
    ) -> None:
        self._decoder = decoder
        self._dialect = dialect
        self._chat = chat
        self._identity = identity
        self._title = title
        self._size = 0
        self._reshape = reshaping(chat.thinking)
        self._order = EventOrder()
        self._answer = Answer(opened_after=identity.elapsed())
        self.answer: bytes | None = None

    @property
    def records(self) -> int:
        """The records read, those included that say nothing to the client."""
        return self._decoder.records

    @property
    def outcome(self) -> Finished | Failed | None:
        """How the answer ended."""
        return self._answer.outcome

    @property
    def usage(self) -> Usage | None:
        """The token counts."""
        return self._answer.usage

    def feed(self, data: bytes) -> bytes:
        """Fold; the whole answer once it is complete."""
        self._size += len(data)
        if self._size > WHOLE_ANSWER_LIMIT:
            self._answer.outcome = Failed(too_long(self._title, WHOLE_ANSWER_LIMIT))
            return b""
        return self._fold(list(self._decoder.feed(data)))

    def close(self) -> bytes:
        """End of input."""
        return self._fold(list(self._decoder.close()))

    def _fold(self, events: list[Event]) -> bytes:
        if not events:
            return b""
        answer = self._answer
        answer.fold(self._reshape(_checked(self._order, events)))
        if not answer.spoke_after and answer.choices:
            answer.spoke_after = self._identity.elapsed()
        if not isinstance(answer.outcome, Finished):
            return b""
        whole = self._dialect.complete(self._chat, self._identity, answer)
        self.answer = whole if self._chat.keep else None
        return whole


def _checked(order: EventOrder, events: list[Event]) -> list[Event]:
    try:
        order.check(events)
    except OutOfOrder as error:
        return [
            Failed(
                Refusal(Kind.INTERNAL, f"chatmock misread the upstream's answer ({error}). Please report it.")
            )
        ]
    return events
