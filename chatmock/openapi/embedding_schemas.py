"""Requests for embeddings, and their answers."""

from __future__ import annotations

from typing import Final

from chatmock.dialects.ollama_embed import EmbedBody, OlderBody
from chatmock.dialects.openai_embeddings import MOST_INPUTS, EmbeddingBody
from chatmock.openapi.schemas import (
    COUNT,
    INTEGER,
    NOT_EMPTY,
    NULL,
    STRING,
    Schema,
    array,
    closed,
    derived,
    nullable,
    open_object,
)

_NAME: Final[Schema] = {"type": "string", "pattern": r"\S"}
_VECTOR: Final = array({"type": "number"})
_KEEP_ALIVE: Final[Schema] = {
    "description": "Seconds, or a duration (5m), for an Ollama; elsewhere it is ignored.",
    "anyOf": [{**INTEGER, "type": "number"}, STRING, NULL],
}
_TOKENS: Final = array({**INTEGER, "minimum": 0}, minItems=1)


def embedding_schemas() -> dict[str, Schema]:
    """The shared schemas of both."""
    vector = {
        "description": "Numbers, or base64 of them with 32 bits each, the lowest first.",
        "anyOf": [_VECTOR, STRING],
    }
    entry = closed({"object": {"const": "embedding"}, "index": COUNT, "embedding": vector})
    usage = open_object({"prompt_tokens": COUNT, "total_tokens": COUNT})
    return {
        "EmbeddingRequest": _request(),
        "EmbeddingAnswer": closed(
            {"object": {"const": "list"}, "data": array(entry), "model": STRING, "usage": usage}, ["usage"]
        ),
        **_ollama(),
    }


def _ollama() -> dict[str, Schema]:
    several = array(NOT_EMPTY, maxItems=MOST_INPUTS)
    narrowed: dict[str, Schema] = {
        "model": _NAME,
        "input": {"anyOf": [STRING, several, NULL]},
        "dimensions": nullable({**INTEGER, "minimum": 0}),
        "keep_alive": _KEEP_ALIVE,
    }
    answer: dict[str, Schema] = {
        "model": STRING,
        "embeddings": array(_VECTOR),
        "total_duration": {**COUNT, "description": "Nanoseconds."},
        "load_duration": {**COUNT, "description": "Nanoseconds, of an Ollama's own models."},
        "prompt_eval_count": COUNT,
    }
    return {
        "OllamaEmbedRequest": open_object({**derived(EmbedBody), **narrowed}, ["model"]),
        "OllamaEmbedAnswer": closed(answer, ["load_duration", "prompt_eval_count"]),
        "OllamaPrompt": open_object(
            {**derived(OlderBody), "model": _NAME, "keep_alive": _KEEP_ALIVE}, ["model"]
        ),
        "OllamaVector": closed({"embedding": _VECTOR}),
    }


def _request() -> Schema:
    several = array({"anyOf": [NOT_EMPTY, _TOKENS]}, minItems=1, maxItems=MOST_INPUTS)
    narrowed: dict[str, Schema] = {
        "model": NOT_EMPTY,
        "input": {
            "description": "A text, or its token numbers, or a list of either.",
            "anyOf": [NOT_EMPTY, several, _TOKENS],
        },
        "dimensions": nullable({**INTEGER, "minimum": 1}),
    }
    return {
        "description": "Texts to be embedded. Other fields are passed on.",
        **open_object({**derived(EmbeddingBody), **narrowed}, ["model", "input"]),
    }
