"""Ollama's embeddings (spec upstreams.md, E3): ``POST /api/embed`` and the older ``POST /api/embeddings``.

What only Ollama's own engine has (``keep_alive``, ``options``, ``truncate``) is told to an Ollama that was moved aside, and
named as ignored elsewhere: there a text that is too long is its provider's to cut or to refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.dialects.interface import Dialect
from chatmock.dialects.ollama_json import escaped
from chatmock.dialects.ollama_parse import read_body, read_model, untagged
from chatmock.dialects.openai_embeddings import MOST_INPUTS
from chatmock.dialects.reading import read_shape
from chatmock.errors import bad_request
from chatmock.jsontext import Raw, Struct
from chatmock.vectors import EmbeddingRequest, Embeddings

_OWN: Final = ("truncate", "options", "keep_alive")
"""The fields that mean something to an Ollama only."""


class EmbedBody(Struct):
    """The fields of ``/api/embed``."""

    model: str | None = None
    input: str | list[str] | None = None
    truncate: bool | None = None
    dimensions: int | None = None
    keep_alive: float | str | None = None
    options: dict[str, Any] | None = None


class OlderBody(Struct):
    """The fields of ``/api/embeddings``."""

    model: str | None = None
    prompt: str | None = None
    keep_alive: float | str | None = None
    options: dict[str, Any] | None = None


@attrs.frozen
class OllamaEmbed:
    """The :class:`~chatmock.dialects.interface.EmbeddingForm` of ``/api/embed``."""

    dialect: Dialect

    def parse(self, body: bytes) -> EmbeddingRequest:
        """Read a request; one without a text only wants the model to be there."""
        fields = read_body(body)
        asked = read_shape(fields, EmbedBody)
        if asked.dimensions is not None and asked.dimensions < 0:
            raise bad_request("dimensions must not be negative", param="dimensions")
        given = asked.input or ()
        texts = (given,) if isinstance(given, str) else tuple(given)
        if len(texts) > MOST_INPUTS:
            raise bad_request(f"input has {len(texts)} texts; {MOST_INPUTS} are the most", param="input")
        if "" in texts:
            raise bad_request("input has an empty text", param="input")
        return _request("ollama-embed", asked.model, texts, fields, "input", asked.dimensions or None)

    def complete(self, asked: EmbeddingRequest, found: Embeddings, elapsed: int) -> bytes:
        """A whole answer, with a ``load_duration`` where something was loaded."""
        body: dict[str, Any] = {
            # By itself: looking through all the numbers for what is to be escaped would take its time.
            "model": Raw(escaped(jsontext.dumps(asked.asked_model))),
            "embeddings": found.vectors,
            "total_duration": elapsed,
        }
        if found.load_duration is not None:
            body["load_duration"] = found.load_duration
        tokens = (found.usage or {}).get("prompt_tokens")
        if isinstance(tokens, int):
            body["prompt_eval_count"] = tokens
        return jsontext.dumps(body)


@attrs.frozen
class OllamaEmbeddings:
    """The :class:`~chatmock.dialects.interface.EmbeddingForm` of ``/api/embeddings``: one text, one vector."""

    dialect: Dialect

    def parse(self, body: bytes) -> EmbeddingRequest:
        """Read a request; one without a text only wants the model to be there."""
        fields = read_body(body)
        asked = read_shape(fields, OlderBody)
        texts = (asked.prompt,) if asked.prompt else ()
        return _request("ollama-embeddings", asked.model, texts, fields, "prompt")

    def complete(self, asked: EmbeddingRequest, found: Embeddings, elapsed: int) -> bytes:
        """A whole answer."""
        return jsontext.dumps({"embedding": next(iter(found.vectors), ())})


def _request(
    form: str,
    model: str | None,
    texts: tuple[str, ...],
    fields: Mapping[str, Any],
    text_field: str,
    dimensions: int | None = None,
) -> EmbeddingRequest:
    name = read_model(model)
    homed = ("model", text_field, "dimensions")
    return EmbeddingRequest(
        name,
        texts,
        otherwise=untagged(name),
        dimensions=dimensions,
        form=form,
        own={name: fields[name] for name in _OWN if fields.get(name) is not None},
        ignored=tuple(_ignored(fields, homed)),
    )


def _ignored(fields: Mapping[str, Any], homed: tuple[str, ...]) -> Iterator[str]:
    for field, value in fields.items():
        if field == "options":
            yield from (f"options.{name}" for name, option in (value or {}).items() if option is not None)
        elif field not in homed and value is not None:
            yield field
