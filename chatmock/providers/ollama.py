"""A real Ollama that was moved aside (spec upstreams.md, E).

Its own clients are carried through to ``/api/chat`` and ``/api/generate`` as they are; all others reach it over its
``/v1``, which speaks OpenAI chat.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import attrs

from chatmock import __version__, jsontext
from chatmock.conversation import ChatRequest, Identity
from chatmock.errors import Kind, Refusal
from chatmock.model import Model
from chatmock.providers.interface import (
    HOP,
    IGNORED,
    Amendment,
    Credential,
    Embedder,
    Headers,
    Passage,
    StreamDecoder,
    UpstreamRequest,
    passes,
)
from chatmock.providers.ollama_embeddings import OllamaEmbedder
from chatmock.providers.ollama_errors import SETTING, TITLE, facts, refusal
from chatmock.providers.ollama_models import read_tags
from chatmock.providers.ollama_passage import LinePassage
from chatmock.providers.openai_compatible import WIRE, OpenAICompatible
from chatmock.providers.openai_differences import Differences
from chatmock.providers.openai_request import without_fields

NATIVE: Final[Mapping[str, str]] = {"ollama-chat": "/api/chat", "ollama-generate": "/api/generate"}
"""The dialects of Ollama's own clients, each with its path."""
LINES: Final = "application/x-ndjson"
_EFFORTS: Final = {"minimal": "low", "xhigh": "high"}
"""Reasoning efforts that Ollama does not know, each with the next one that it does."""


def prepare(chat: ChatRequest) -> Amendment:
    """Ask for an effort that Ollama knows."""
    effort = _EFFORTS.get(chat.reasoning_effort or "")
    return Amendment(chat if effort is None else _with_effort(chat, effort), {})


def amend(chat: ChatRequest, refusal: Refusal) -> Amendment | None:
    """Leave the effort out where the model does not think, or not by degrees: an answer without it is still one."""
    blames_effort = "think" in refusal.message or "reasoning" in refusal.message
    if refusal.kind is not Kind.BAD_REQUEST or not blames_effort or chat.reasoning_effort is None:
        return None
    return Amendment(without_fields(chat, ["reasoning_effort"]), {IGNORED: "reasoning_effort"})


def _with_effort(chat: ChatRequest, effort: str) -> ChatRequest:
    source = chat.source
    if source is not None and "reasoning_effort" in source.body:
        source = attrs.evolve(source, body={**source.body, "reasoning_effort": effort})
    return attrs.evolve(chat, reasoning_effort=effort, source=source)


DIFFERENCES: Final = Differences(
    title=TITLE,
    key_setting=SETTING,
    headers={HOP: "1"},
    embedding_formats=("float",),
    efforts=("low", "medium", "high", "max"),
    facts=facts,
    prepare=prepare,
    amend=amend,
)


@attrs.frozen
class Ollama:
    """A :class:`~chatmock.providers.interface.Provider` over an Ollama's own paths, and over its ``/v1``."""

    base_url: str
    """Without ``/v1`` and without a slash at its end."""
    name: str = attrs.field(default="ollama", init=False)
    title: str = attrs.field(default=TITLE, init=False)
    wires: Collection[str] = attrs.field(default=(WIRE, *NATIVE), init=False)
    default_model: str | None = attrs.field(default=None, init=False)
    retired: Mapping[str, str] = attrs.field(factory=dict, init=False)
    presumed: Sequence[Model] = attrs.field(default=(), init=False)
    efforts: Sequence[str] = attrs.field(default=(), init=False)
    _openai: OpenAICompatible = attrs.field(
        default=attrs.Factory(
            lambda self: OpenAICompatible("ollama", f"{self.base_url}/v1", DIFFERENCES), takes_self=True
        ),
        init=False,
        repr=False,
    )

    @property
    def embedder(self) -> Embedder | None:
        """Over its own paths for its own clients, over its ``/v1`` for all others."""
        over_v1 = self._openai.embedder
        return None if over_v1 is None else OllamaEmbedder(over_v1, self.native_request)

    def request(self, chat: ChatRequest, credential: Credential) -> UpstreamRequest:
        """The HTTP request that asks *chat*."""
        source = chat.source
        if source is None or source.wire not in NATIVE:
            return self._openai.request(chat, credential)
        body = {**source.body, "model": chat.model, "stream": chat.stream}
        _clamp(body, chat.max_tokens)
        asking = self.native_request("POST", NATIVE[source.wire], body)
        return attrs.evolve(asking, stream=chat.stream, stream_type=LINES)

    def native_request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> UpstreamRequest:
        """A request of Ollama's own API, such as ``POST /api/show``."""
        return UpstreamRequest(
            method,
            f"{self.base_url}{path}",
            {
                "Accept": "*/*",
                "Content-Type": "application/json",
                "User-Agent": f"chatmock/{__version__}",
                HOP: "1",
            },
            None if body is None else jsontext.dumps(body),
        )

    def amend(self, chat: ChatRequest, refusal: Refusal) -> Amendment | None:
        """A request without its effort, where that was refused; an Ollama refuses its own clients too."""
        return None if passes(chat, NATIVE) else self._openai.amend(chat, refusal)

    def decoder(self, chat: ChatRequest) -> StreamDecoder:
        """A fresh decoder of what the ``/v1`` answers."""
        return self._openai.decoder(chat)

    def passage(self, chat: ChatRequest, identity: Identity) -> Passage | None:
        """A fresh passage."""
        return LinePassage(chat) if passes(chat, NATIVE) else self._openai.passage(chat, identity)

    def refusal(self, status: int, headers: Headers, body: bytes) -> Refusal:
        """Read an answer that is not a success."""
        return refusal(status, headers, body)

    def catalogue_request(self, credential: Credential) -> UpstreamRequest:
        """The HTTP request for the list of models, which tells more than that of ``/v1``."""
        return self.native_request("GET", "/api/tags")

    def read_catalogue(self, body: bytes) -> Sequence[Model]:
        """The models there, by each of their names."""
        return read_tags(body, TITLE)


def _clamp(body: dict[str, Any], most: int | None) -> None:
    """Hold ``num_predict`` to *most* tokens; one below zero means without end."""
    options = body.get("options")
    wanted = options.get("num_predict") if isinstance(options, Mapping) else None
    if most is not None and isinstance(wanted, int) and not 0 <= wanted <= most:
        body["options"] = {**body["options"], "num_predict": most}
