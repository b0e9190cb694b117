"""The ChatGPT provider: the plan of the owner's login, asked through the Codex backend."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from chatmock import jsontext
from chatmock.conversation import ChatRequest, Identity
from chatmock.errors import Kind, Refusal
from chatmock.model import Model
from chatmock.providers.chatgpt import contract
from chatmock.providers.chatgpt.errors import read_refusal
from chatmock.providers.chatgpt.hosted_tools import without_hosted_tools
from chatmock.providers.chatgpt.models import PRESUMED, SUFFIXES, read_models
from chatmock.providers.chatgpt.request import Defaults, build, original_names
from chatmock.providers.chatgpt.responses_request import ECHOED, HIDDEN, without_default_search
from chatmock.providers.chatgpt.seals import refuses_seals
from chatmock.providers.interface import (
    IGNORED,
    Amendment,
    Credential,
    Headers,
    Passage,
    StreamDecoder,
    UpstreamRequest,
    passes,
)
from chatmock.providers.output_limits import limit_notes, limited
from chatmock.providers.responses_decoder import ResponsesDecoder
from chatmock.providers.responses_echo import Echo
from chatmock.providers.responses_output_limit import OutputLimit
from chatmock.providers.responses_passage import ResponsesPassage
from chatmock.providers.responses_unkept import SEALS_NOTE, left_out, without_seals


@attrs.frozen
class ChatGPT:
    """The :class:`~chatmock.providers.interface.Provider`."""

    base_url: str
    """Without a slash at its end."""
    defaults: Defaults = attrs.field(factory=Defaults)
    name: str = attrs.field(default="chatgpt", init=False)
    title: str = attrs.field(default=contract.TITLE, init=False)
    wires: Collection[str] = attrs.field(default=(contract.WIRE,), init=False)
    default_model: str | None = attrs.field(default=None, init=False)
    retired: Mapping[str, str] = attrs.field(factory=dict, init=False)
    presumed: Sequence[Model] = attrs.field(default=PRESUMED, init=False)
    efforts: Sequence[str] = attrs.field(default=SUFFIXES, init=False)
    embedder: None = attrs.field(default=None, init=False)

    def request(self, chat: ChatRequest, credential: Credential) -> UpstreamRequest:
        """The HTTP request that asks *chat*: always a stream, for the backend knows nothing else."""
        asked = build(chat, credential.account_id, self.defaults)
        notes = dict(asked.notes)
        if asked.ignored:
            notes[IGNORED] = ", ".join(asked.ignored)
        notes.update(limit_notes(chat))
        headers = {
            **self._headers(credential, "text/event-stream"),
            "Content-Type": "application/json",
            "OpenAI-Beta": contract.BETA,
            "session-id": asked.session,
        }
        url = f"{self.base_url}{contract.RESPONSES_PATH}"
        return UpstreamRequest("POST", url, headers, jsontext.dumps(asked.body), stream=True, notes=notes)

    def amend(self, chat: ChatRequest, refusal: Refusal) -> Amendment | None:
        """One more try: the same after an empty answer, without the thinking that cannot be read, without web search where
        that may be what was refused."""
        if refusal.code == "upstream_empty":
            return Amendment(chat, {})
        if refuses_seals(refusal):
            plain = without_seals(chat)
            return None if plain is None else Amendment(plain, {SEALS_NOTE: left_out(self.title)})
        if refusal.kind is not Kind.BAD_REQUEST or refusal.code == "context_length_exceeded":
            return None
        passed = passes(chat, self.wires)
        plain = (without_default_search if passed else without_hosted_tools)(chat, self.defaults)
        return (
            None if plain is None else Amendment(plain, {"x-chatmock-web-search": "not accepted by ChatGPT"})
        )

    def decoder(self, chat: ChatRequest) -> StreamDecoder:
        """A fresh decoder, which ends the answer where the client's limits say."""
        decoder = ResponsesDecoder(self.title, contract.RECORD_LIMIT, original_names(chat))
        return limited(decoder, chat, chat.max_tokens)

    def passage(self, chat: ChatRequest, identity: Identity) -> Passage | None:
        """A fresh passage, which ends the answer where the client's limit says; None for stop sequences, which the API does
        not have."""
        if chat.stop:
            return None
        most = None if chat.max_tokens is None else OutputLimit(chat.max_tokens)
        echo = Echo.of(chat, identity, original_names(chat), ECHOED, HIDDEN)
        return ResponsesPassage(
            self.title, contract.RECORD_LIMIT, echo, keep=chat.keep, folds=not chat.stream, most=most
        )

    def refusal(self, status: int, headers: Headers, body: bytes) -> Refusal:
        """Read an answer that is not a success."""
        return read_refusal(status, headers, body)

    def catalogue_request(self, credential: Credential) -> UpstreamRequest:
        """The HTTP request for the list of the account's models."""
        url = f"{self.base_url}{contract.MODELS_PATH}?client_version={contract.CLIENT_VERSION}"
        return UpstreamRequest("GET", url, self._headers(credential, "application/json"))

    def read_catalogue(self, body: bytes) -> Sequence[Model]:
        """The models of a catalogue answer."""
        return read_models(body)

    def _headers(self, credential: Credential, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "User-Agent": contract.USER_AGENT, "originator": contract.ORIGINATOR}
        if credential.token is not None:
            headers["Authorization"] = f"Bearer {credential.token.reveal()}"
        if credential.account_id:
            headers["ChatGPT-Account-ID"] = credential.account_id
        return headers
