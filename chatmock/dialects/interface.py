"""What a dialect is: how one family of clients asks and is answered, in pure functions over bytes and events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from chatmock.answer import Answer
from chatmock.conversation import ChatRequest, Identity
from chatmock.errors import Refusal
from chatmock.events import Event
from chatmock.vectors import EmbeddingRequest, Embeddings


class StreamEncoder(Protocol):
    """Writes one answer's events as the dialect's stream."""

    @property
    def answer(self) -> bytes | None:
        """The answer whole, as ``complete`` would give it, once it has ended and where the request wants it kept."""

    def encode(self, events: Iterable[Event]) -> bytes:
        """The bytes for *events*, which keep the order of :mod:`chatmock.events`; may be empty."""


class Dialect(Protocol):
    """One client API."""

    @property
    def name(self) -> str:
        """The wire name, e.g. ``openai-chat``; an upstream of the same name is passed through."""

    @property
    def stream_type(self) -> str:
        """The media type of a streamed answer."""

    @property
    def request_id_header(self) -> str | None:
        """The header in which clients look for the answer's id, besides ``X-Request-Id``."""

    def comment(self, text: str) -> bytes:
        """*text* as something in a stream that clients skip; empty where the dialect's streams have no such thing."""

    def parse(self, body: bytes) -> ChatRequest:
        """Read a request.

        :raises Refusal: bad request, naming the field at fault.
        """

    def encoder(self, chat: ChatRequest, identity: Identity) -> StreamEncoder:
        """A fresh encoder for the answer to *chat*."""

    def complete(self, chat: ChatRequest, identity: Identity, answer: Answer) -> bytes:
        """A whole answer as JSON; its outcome is ``Finished``."""

    def refuse(self, refusal: Refusal, request_id: str = "") -> bytes:
        """An error body as JSON."""

    def status(self, refusal: Refusal) -> int:
        """The HTTP status that goes with it."""


@runtime_checkable
class ChecksTranslated(Protocol):
    """A :class:`Dialect` whose requests may say what only an upstream of the dialect itself can be asked."""

    def check_translated(self, chat: ChatRequest) -> None:
        """Look at *chat* once it is routed, to an upstream that does not speak the dialect; who does judges by itself.

        :raises Refusal: bad request, naming the field that the upstream or its model has no use for.
        """


class EmbeddingForm(Protocol):
    """How one family of clients asks for embeddings."""

    @property
    def dialect(self) -> Dialect:
        """In which its clients are refused."""

    def parse(self, body: bytes) -> EmbeddingRequest:
        """Read a request.

        :raises Refusal: bad request, naming the field at fault.
        """

    def complete(self, asked: EmbeddingRequest, found: Embeddings, elapsed: int) -> bytes:
        """The answer as JSON.

        :param elapsed: nanoseconds since the request came.
        """
