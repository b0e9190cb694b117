"""Embeddings of an Ollama: for its own clients over its own paths, for all others over its ``/v1`` (spec upstreams.md, E3)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.errors import Refusal
from chatmock.jsontext import JSONError, Raw, Struct
from chatmock.providers.interface import Credential, Embedder, Headers, UpstreamRequest
from chatmock.providers.ollama_errors import TITLE, read_error
from chatmock.providers.ollama_errors import refusal as read_refusal
from chatmock.providers.openai_errors import tells_error
from chatmock.providers.openai_whole import unreadable
from chatmock.vectors import EmbeddingRequest, Embeddings, as_numbers

_EMBED: Final = "ollama-embed"
_PATHS: Final[Mapping[str, str]] = {_EMBED: "/api/embed", "ollama-embeddings": "/api/embeddings"}
"""By the form the client asks in: the older one's vectors have another length, so it is asked for as such."""


class _Answer(Struct):
    embeddings: list[Raw]
    prompt_eval_count: int | None = None
    load_duration: int | None = None


class _OlderAnswer(Struct):
    embedding: Raw


_read_answer = jsontext.reader(_Answer)
_read_older = jsontext.reader(_OlderAnswer)


@attrs.frozen
class OllamaEmbedder:
    """The :class:`~chatmock.providers.interface.Embedder`."""

    over_v1: Embedder
    """Asks for clients of other forms."""
    native_request: Callable[[str, str, Mapping[str, Any]], UpstreamRequest]
    """A request of Ollama's own API: method, path and body."""
    forms: Collection[str] = attrs.field(default=tuple(_PATHS), init=False)

    def request(self, asked: EmbeddingRequest, credential: Credential) -> UpstreamRequest:
        """The HTTP request that asks *asked*, with what Ollama's own clients say of truncating, options and time in memory."""
        if asked.form not in _PATHS:
            return self.over_v1.request(asked, credential)
        body: dict[str, Any] = {**asked.own, "model": asked.model}
        if asked.form == _EMBED:
            body["input"] = asked.inputs
            if asked.dimensions is not None:
                body["dimensions"] = asked.dimensions
        else:
            body["prompt"] = "".join(text for text in asked.inputs if isinstance(text, str))
        return self.native_request("POST", _PATHS[asked.form], body)

    def refusal(self, status: int, headers: Headers, body: bytes) -> Refusal:
        """Read an answer that is not a success."""
        return read_refusal(status, headers, body)

    def read(self, asked: EmbeddingRequest, body: bytes) -> Embeddings:
        """Read the answer to *asked*.

        :raises Refusal: when it is none.
        """
        if asked.form not in _PATHS:
            return self.over_v1.read(asked, body)
        try:
            found = _read_embed(body) if asked.form == _EMBED else _read_embedding(body)
        except JSONError as fault:
            if tells_error(body):
                raise read_error(jsontext.loads_object(body)) from None
            raise unreadable(TITLE, str(fault)) from None
        if len(found.vectors) != len(asked.inputs):
            raise unreadable(TITLE, f"{len(found.vectors)} vectors for {len(asked.inputs)} inputs")
        return found


def _read_embed(body: bytes) -> Embeddings:
    answer = _read_answer(body)
    counted, loaded = answer.prompt_eval_count, answer.load_duration
    return Embeddings(
        [as_numbers(vector) for vector in answer.embeddings],
        None if counted is None else {"prompt_tokens": counted, "total_tokens": counted},
        loaded if loaded is not None and loaded >= 0 else None,
    )


def _read_embedding(body: bytes) -> Embeddings:
    vector = as_numbers(_read_older(body).embedding)
    return Embeddings([] if bytes(vector) == b"[]" else [vector])
