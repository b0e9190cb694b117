"""The adapter for every upstream that speaks OpenAI chat; what sets one apart stands in its own module."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from chatmock import __version__, jsontext
from chatmock.conversation import ChatRequest, Identity
from chatmock.errors import Kind, Refusal
from chatmock.framing import DEFAULT_RECORD_LIMIT
from chatmock.model import Model
from chatmock.providers.interface import (
    Amendment,
    Credential,
    Embedder,
    Headers,
    Passage,
    StreamDecoder,
    UpstreamRequest,
    passes,
)
from chatmock.providers.openai_decoder import ChatDecoder
from chatmock.providers.openai_differences import Differences, NativeWire
from chatmock.providers.openai_embeddings import OpenAIEmbedder
from chatmock.providers.openai_errors import facts_of_body, is_page, retry_after, tells_error, to_refusal
from chatmock.providers.openai_models import read_models
from chatmock.providers.openai_passage import ChatPassage
from chatmock.providers.openai_request import request_body
from chatmock.providers.output_limits import limited, stop_notes
from chatmock.providers.translated import both, fitted, without_effort

WIRE = "openai-chat"
_PLAIN_REFUSALS = frozenset(range(400, 500)) - {402, 408, 429}
"""Statuses that would blame the client or the key; a page that comes with one knows neither."""


@attrs.frozen
class OpenAICompatible:
    """A :class:`~chatmock.providers.interface.Provider` over ``/chat/completions`` and ``/models``."""

    name: str
    base_url: str
    """Without a slash at its end."""
    differences: Differences
    record_limit: int = DEFAULT_RECORD_LIMIT
    presumed: Sequence[Model] = attrs.field(default=(), init=False)
    efforts: Sequence[str] = attrs.field(default=(), init=False)

    @property
    def wires(self) -> Collection[str]:
        """The dialects the upstream speaks."""
        return (WIRE, *self.differences.native)

    @property
    def title(self) -> str:
        """The name people know it by."""
        return self.differences.title

    @property
    def default_model(self) -> str | None:
        """The model for requests that name none."""
        return self.differences.default_model

    @property
    def retired(self) -> Mapping[str, str]:
        """Model names once served, to advice."""
        return self.differences.retired

    @property
    def embedder(self) -> Embedder | None:
        """Over ``/embeddings``, where the upstream has that."""
        if not self.differences.embedding_formats:
            return None
        return OpenAIEmbedder(self.base_url, self.differences, self._headers, self.refusal)

    def request(self, chat: ChatRequest, credential: Credential) -> UpstreamRequest:
        """The HTTP request that asks *chat*: a stream when the client wants one or speaks another dialect."""
        prepared = self.differences.prepare(chat)
        if not passes(chat, self.wires):
            fit = fitted(prepared.chat, self.differences.efforts, self.differences.thoughtless)
            notes = stop_notes(chat) if chat.tell_stop else {}
            prepared = Amendment(fit.chat, {**both(prepared.notes, fit.notes), **notes})
        stream = chat.stream or chat.force_stream or not passes(chat, self.wires)
        native = self._native(chat)
        path = "/chat/completions" if native is None else native.path
        body = (
            request_body(prepared.chat, WIRE, stream)
            if native is None
            else native.body(prepared.chat, stream)
        )
        return UpstreamRequest(
            "POST",
            f"{self.base_url}{path}",
            self._headers(credential, accept="text/event-stream" if stream else "application/json"),
            jsontext.dumps(body),
            stream=stream,
            notes=prepared.notes,
        )

    def amend(self, chat: ChatRequest, refusal: Refusal) -> Amendment | None:
        """A changed request worth one more try, where this upstream's faults are known to have one."""
        amendment = self.differences.amend(chat, refusal)
        if amendment is None and not passes(chat, self.wires):
            amendment = without_effort(chat, refusal)
        return amendment

    def decoder(self, chat: ChatRequest) -> StreamDecoder:
        """A fresh decoder, which looks for the stop sequences where the client wants to know which one was met."""
        native = self._native(chat)
        if native is not None:
            return native.decoder(self.title, self.record_limit, chat)
        decoder = ChatDecoder(self.title, self.differences, self.record_limit, chat.choices)
        return limited(decoder, chat, None) if chat.tell_stop else decoder

    def passage(self, chat: ChatRequest, identity: Identity) -> Passage:
        """A fresh passage."""
        native = self._native(chat)
        if native is not None:
            return native.passage(self.title, self.record_limit, chat, identity)
        return ChatPassage(self.title, self.differences, self.record_limit, chat, identity)

    def refusal(self, status: int, headers: Headers, body: bytes) -> Refusal:
        """Read an answer that is not a success."""
        if 300 <= status < 400:
            return Refusal(
                Kind.UPSTREAM_FAILED,
                f"{self.title} answered with a redirect, which chatmock does not follow: check its base URL.",
                code="upstream_redirect",
            )
        if 200 <= status < 300 and not tells_error(body):
            return Refusal(
                Kind.UPSTREAM_FAILED,
                f"{self.title} did not answer as a stream, although it was asked to (it sent"
                f" {headers.get('content-type', 'no content type')[:50]!r}).",
                code="upstream_not_a_stream",
            )
        if status in _PLAIN_REFUSALS and is_page(headers, body):
            return Refusal(
                Kind.UPSTREAM_FAILED,
                f"{self.title} answered {status} with a web page: something else stands in its place. Check its base URL,"
                " and whether this network wants a login.",
                code="upstream_page",
            )
        facts = self.differences.facts(facts_of_body(status, body))
        return to_refusal(self.title, self.differences.key_setting, facts, retry_after(headers))

    def catalogue_request(self, credential: Credential) -> UpstreamRequest:
        """The HTTP request for the list of models."""
        return UpstreamRequest(
            "GET",
            f"{self.base_url}{self.differences.models_path}",
            self._headers(credential, "application/json"),
        )

    def read_catalogue(self, body: bytes) -> Sequence[Model]:
        """The models of a ``/models`` answer; entries without an id are passed over."""
        return read_models(self.title, body)

    def _native(self, chat: ChatRequest) -> NativeWire | None:
        """The further dialect that the client speaks, where the upstream speaks it as well."""
        return None if chat.source is None else self.differences.native.get(chat.source.wire)

    def _headers(self, credential: Credential, accept: str) -> dict[str, str]:
        headers = {
            "Accept": accept,
            "Content-Type": "application/json",
            "User-Agent": f"chatmock/{__version__}",
            **self.differences.headers,
        }
        if credential.token is not None:
            headers["Authorization"] = f"Bearer {credential.token.reveal()}"
        return headers
