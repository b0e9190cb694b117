"""What a provider is: the whole truth about one upstream, in pure functions over requests, bytes and events."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import attrs

from chatmock.conversation import ChatRequest, Identity
from chatmock.errors import Refusal
from chatmock.events import Event, Failed, Finished, Usage
from chatmock.model import Model
from chatmock.settings import Secret
from chatmock.vectors import EmbeddingRequest, Embeddings

IGNORED = "X-Chatmock-Ignored"
"""The response header that names the request's fields which meant nothing to the upstream."""

HOP = "X-Chatmock-Hop"
"""The header of requests to what shall be no chatmock; who asks with it has gone round in a circle."""

EVENT_STREAM = "text/event-stream"
Headers = Mapping[str, str]
"""Response headers, names in lower case; of repeated ones the last."""


@attrs.frozen
class Credential:
    """What proves to an upstream who is asking."""

    token: Secret | None = None
    account_id: str = ""
    """Which of the owner's accounts or workspaces it is for, where the upstream asks."""


@attrs.frozen
class UpstreamRequest:
    """One HTTP request to an upstream."""

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes | None = attrs.field(default=None, repr=False)
    stream: bool = False
    """Whether the answer is a stream."""
    stream_type: str = EVENT_STREAM
    """The media type of that stream."""
    notes: Mapping[str, str] = attrs.field(factory=dict)
    """Headers for the client that say what was changed about its request."""


@attrs.frozen
class Amendment:
    """A request as it is to be sent, and what was changed about it."""

    chat: ChatRequest
    notes: Mapping[str, str]
    """Response headers that tell the client."""


class StreamDecoder(Protocol):
    """Reads an upstream's event stream. What it returns keeps the order of :mod:`chatmock.events`."""

    @property
    def records(self) -> int:
        """How many records of the stream have been read, whether they gave events or not; keep-alives are none."""

    @property
    def usage(self) -> Usage | None:
        """The token counts that the upstream has told so far, whether they have been given as an event or not."""

    def feed(self, data: bytes) -> Sequence[Event]:
        """Take the next bytes, cut anywhere."""

    def close(self) -> Sequence[Event]:
        """End of input: the closing event, a failure unless the answer was complete."""


class Passage(Protocol):
    """Carries an answer to a client of the upstream's own dialect: records as received, but for a few rules."""

    @property
    def folds(self) -> bool:
        """Whether the upstream streams although the client wants the answer whole: it is :attr:`answer`, then, once all
        the stream has been fed."""

    @property
    def outcome(self) -> Finished | Failed | None:
        """How the answer ended, once it has. A failure is not in the bytes returned."""

    @property
    def usage(self) -> Usage | None:
        """The token counts, where the upstream told them."""

    @property
    def records(self) -> int:
        """How many records have been read: the measure of progress."""

    @property
    def answer(self) -> bytes | None:
        """The answer whole, once it has ended and where the request wants it kept, or the passage :attr:`folds`."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of a stream, return those for the client."""

    def close(self) -> bytes:
        """End of the stream: the last bytes for the client; sets the outcome if nothing has yet."""

    def whole(self, body: bytes) -> bytes:
        """Carry a complete, unstreamed answer; sets the outcome."""


class Embedder(Protocol):
    """An upstream that makes embeddings, in one call."""

    @property
    def forms(self) -> Collection[str]:
        """The further forms it is asked in as its clients ask (:attr:`~chatmock.vectors.EmbeddingRequest.form`), so that what
        only they can say has an effect."""

    def request(self, asked: EmbeddingRequest, credential: Credential) -> UpstreamRequest:
        """The HTTP request that asks *asked*."""

    def refusal(self, status: int, headers: Headers, body: bytes) -> Refusal:
        """Read an answer that is not a success."""

    def read(self, asked: EmbeddingRequest, body: bytes) -> Embeddings:
        """Read the answer to *asked*, whose vectors then have the form that was asked for.

        :raises Refusal: when it is none.
        """


class Provider(Protocol):
    """One upstream."""

    @property
    def name(self) -> str:
        """The name users select it by."""

    @property
    def title(self) -> str:
        """The name people know it by, for messages."""

    @property
    def wires(self) -> Collection[str]:
        """The dialects the upstream speaks, e.g. ``openai-chat``: who speaks one of them gets its records as they are."""

    @property
    def default_model(self) -> str | None:
        """The model for requests that name none; None for the first of the catalogue."""

    @property
    def retired(self) -> Mapping[str, str]:
        """Model names once served, to advice for who still asks for them."""

    @property
    def presumed(self) -> Sequence[Model]:
        """The models it is thought to have until it has told; empty where nothing can be presumed."""

    @property
    def efforts(self) -> Sequence[str]:
        """Reasoning efforts that a model's name may end in; empty where names are taken as they are."""

    @property
    def embedder(self) -> Embedder | None:
        """Makes embeddings; None where the upstream has none."""

    def amend(self, chat: ChatRequest, refusal: Refusal) -> Amendment | None:
        """A changed request worth one more try after *refusal*, or None."""

    def decoder(self, chat: ChatRequest) -> StreamDecoder:
        """A fresh decoder for the answer to *chat*."""

    def passage(self, chat: ChatRequest, identity: Identity) -> Passage | None:
        """A fresh passage for the answer to *chat*, whose client speaks one of :attr:`wires`; None when it has to be decoded."""

    def refusal(self, status: int, headers: Headers, body: bytes) -> Refusal:
        """Read an answer that is not a success."""

    def catalogue_request(self, credential: Credential) -> UpstreamRequest:
        """The HTTP request for the list of models."""

    def read_catalogue(self, body: bytes) -> Sequence[Model]:
        """The models in the answer to :meth:`catalogue_request`.

        :raises Refusal: when it is no such list.
        """


class AsksOnce(Provider, Protocol):
    """An upstream that one call gets an answer from."""

    def request(self, chat: ChatRequest, credential: Credential) -> UpstreamRequest:
        """The HTTP request that asks *chat*.

        :raises Refusal: when the upstream cannot do what is asked.
        """


def passes(chat: ChatRequest, wires: Collection[str]) -> bool:
    """Whether *chat* was written in a dialect that its upstream speaks, so that records pass without being rebuilt."""
    return chat.source is not None and chat.source.wire in wires
