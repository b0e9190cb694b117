"""Embeddings of the OpenAI wire: ``POST /embeddings``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError, Raw, Struct
from chatmock.providers.interface import Credential, Headers, UpstreamRequest
from chatmock.providers.openai_differences import Differences
from chatmock.providers.openai_errors import is_page, tells_error
from chatmock.providers.openai_whole import unreadable
from chatmock.vectors import EmbeddingRequest, Embeddings, as_base64, as_numbers

_ABSENT: Final = frozenset({405, 501})
"""Statuses of a server that has no such thing: llama.cpp's, unless it was started for embeddings."""

_NOTHING: Final = Raw(b"null")


class _Entry(Struct):
    embedding: Raw
    index: int | None = None


class _Answer(Struct):
    data: list[_Entry]
    usage: Raw = _NOTHING


_read_answer = jsontext.reader(_Answer)


@attrs.frozen
class OpenAIEmbedder:
    """The :class:`~chatmock.providers.interface.Embedder` of an upstream."""

    base_url: str
    """Without a slash at its end."""
    differences: Differences
    headers: Callable[[Credential, str], Mapping[str, str]]
    """The request headers, for a credential and an ``Accept``."""
    refused: Callable[[int, Headers, bytes], Refusal]
    """Reads an answer of the upstream that is not a success, whatever was asked."""
    forms: Collection[str] = attrs.field(default=(), init=False)

    def request(self, asked: EmbeddingRequest, credential: Credential) -> UpstreamRequest:
        """The HTTP request that asks *asked*."""
        in_base64 = asked.base64 and "base64" in self.differences.embedding_formats
        body = {
            **asked.extras,
            "model": asked.model,
            "input": asked.inputs,
            "encoding_format": "base64" if in_base64 else "float",
        }
        if asked.dimensions is not None:
            body["dimensions"] = asked.dimensions
        headers = self.headers(credential, "application/json")
        return UpstreamRequest("POST", f"{self.base_url}/embeddings", headers, jsontext.dumps(body))

    def refusal(self, status: int, headers: Headers, body: bytes) -> Refusal:
        """Read an answer that is not a success.

        That a server has no embeddings says nothing of it otherwise: it is no fault of the upstream's.
        """
        if status in _ABSENT or (status == 404 and not is_page(headers, body) and not tells_error(body)):
            return Refusal(
                Kind.NOT_IMPLEMENTED,
                f"{self.differences.title} has no embeddings, or was not started for them: it answered {status}.",
                code="embeddings_unsupported",
            )
        return self.refused(status, headers, body)

    def read(self, asked: EmbeddingRequest, body: bytes) -> Embeddings:
        """Read the answer to *asked*.

        :raises Refusal: when it is none, or an error with the status of a success.
        """
        title = self.differences.title
        try:
            answer = _read_answer(body)
            vectors = [_vector(entry.embedding, asked) for entry in _in_order(answer.data)]
            usage = _usage(bytes(answer.usage))
        except JSONError as fault:
            if tells_error(body):
                raise self.differences.read_error(jsontext.loads_object(body)) from None
            raise unreadable(title, str(fault)) from None
        if len(vectors) != len(asked.inputs):
            found = f"{len(vectors)} vectors for {len(asked.inputs)} inputs"
            raise unreadable(title, found)
        return Embeddings(vectors, usage)


def _in_order(entries: list[_Entry]) -> list[_Entry]:
    """By their indices, where each has its own; some servers leave them all at 0."""
    indices = {entry.index for entry in entries}
    if indices == set(range(len(entries))):
        return sorted(entries, key=lambda entry: entry.index or 0)
    return entries


def _vector(vector: Raw, asked: EmbeddingRequest) -> Raw:
    return as_base64(vector) if asked.base64 else as_numbers(vector)


def _usage(told: bytes) -> Mapping[str, Any] | None:
    """What an answer says of its tokens, which is passed on whole.

    :raises JSONError: when it is no object, or one that other readers stumble over.
    """
    if told == bytes(_NOTHING):
        return None
    jsontext.check_foreign(told)
    return jsontext.loads_object(told)
