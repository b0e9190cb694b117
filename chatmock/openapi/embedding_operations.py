"""The routes for embeddings, as ``/openapi.json`` tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock.openapi.operation import Operation

_TEXTS: Final[Mapping[str, Any]] = {
    "a text": {"model": "text-embedding-3-small", "input": "Once upon a time"},
    "several": {"model": "text-embedding-3-small", "input": ["Once", "upon"], "encoding_format": "base64"},
    "tokens": {"model": "text-embedding-3-small", "input": [[12522, 5304], [264, 892]]},
}

_MODEL: Final[Mapping[str, Any]] = {"model": "nomic-embed-text"}
_INPUTS: Final[Mapping[str, Any]] = {
    "a text": {**_MODEL, "input": "Once upon a time"},
    "several": {**_MODEL, "input": ["Once", "upon"], "dimensions": 256},
}
_PROMPTS: Final[Mapping[str, Any]] = {"a text": {**_MODEL, "prompt": "Once upon a time"}}
_REFUSED: Final = (404, 501, 502, 503, 504)


def _ollama(path: str, id: str, summary: str, answers: str, body: str, examples: Any) -> Operation:
    return Operation(
        path,
        "post",
        id,
        summary,
        answers,
        body=body,
        examples=examples,
        parameters=("provider",),
        error="OllamaError",
        refused=_REFUSED,
        asks_model=True,
    )


EMBEDDING_OPERATIONS: Final = (
    Operation(
        "/v1/embeddings",
        "post",
        "createEmbedding",
        "The embeddings of texts, by a provider that makes some.",
        "EmbeddingAnswer",
        body="EmbeddingRequest",
        examples=_TEXTS,
        parameters=("provider",),
        refused=_REFUSED,
    ),
    _ollama(
        "/api/embed",
        "ollamaEmbed",
        "The embeddings of texts, by a provider that makes some.",
        "OllamaEmbedAnswer",
        "OllamaEmbedRequest",
        _INPUTS,
    ),
    _ollama(
        "/api/embeddings",
        "ollamaEmbeddings",
        "The embedding of one text; the older form.",
        "OllamaVector",
        "OllamaPrompt",
        _PROMPTS,
    ),
)
