"""OpenAI embeddings: ``POST /v1/embeddings``.

``{"model", "input", "encoding_format", "dimensions", "user"}`` with one text, a list of them, one text as token
numbers, or a list of those; answered by ``{"object": "list", "data": [{"object": "embedding", "index",
"embedding"}], "model", "usage"}``.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs

from chatmock import jsontext
from chatmock.dialects.interface import Dialect
from chatmock.dialects.openai_chat import OpenAIChat
from chatmock.dialects.reading import read_object, read_shape
from chatmock.errors import bad_request
from chatmock.jsontext import Struct
from chatmock.vectors import EmbeddingRequest, Embeddings

MOST_INPUTS: Final = 2048
"""OpenAI's own limit."""


class EmbeddingBody(Struct):
    """The fields that chatmock reads itself; the rest is passed on."""

    model: str
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


@attrs.frozen
class OpenAIEmbeddings:
    """The :class:`~chatmock.dialects.interface.EmbeddingForm`."""

    dialect: Dialect = attrs.field(factory=OpenAIChat, init=False)

    def parse(self, body: bytes) -> EmbeddingRequest:
        """Read a request."""
        fields = read_object(body)
        asked = read_shape(fields, EmbeddingBody)
        if not asked.model:
            raise bad_request("Name a 'model' that makes embeddings.", param="model", code="model_required")
        if asked.dimensions is not None and asked.dimensions < 1:
            raise bad_request("'dimensions' must be at least 1.", param="dimensions")
        homed = EmbeddingBody.__struct_fields__
        return EmbeddingRequest(
            asked.model,
            _inputs(asked.input),
            base64=asked.encoding_format == "base64",
            dimensions=asked.dimensions,
            extras={k: v for k, v in fields.items() if k not in homed and v is not None},
        )

    def complete(self, asked: EmbeddingRequest, found: Embeddings, elapsed: int) -> bytes:
        """A whole answer."""
        data = [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(found.vectors)
        ]
        body: dict[str, Any] = {"object": "list", "data": data, "model": asked.asked_model}
        if found.usage is not None:
            body["usage"] = found.usage
        return jsontext.dumps(body)


def _inputs(given: str | list[Any]) -> tuple[str | tuple[int, ...], ...]:
    if isinstance(given, str):
        return (_text(given, "input"),)
    if not given:
        raise bad_request("'input' is empty: send at least one text.", param="input")
    if _are_tokens(given):
        return (tuple(given),)
    if len(given) > MOST_INPUTS:
        raise bad_request(f"'input' has {len(given)} texts; {MOST_INPUTS} are the most.", param="input")
    return tuple(_input(each, f"input[{place}]") for place, each in enumerate(given))


def _input(given: Any, where: str) -> str | tuple[int, ...]:
    if isinstance(given, str):
        return _text(given, where)
    if isinstance(given, list) and given and _are_tokens(given):
        return tuple(given)
    raise bad_request(f"'{where}' must be text, or a list of token numbers.", param=where)


def _text(given: str, where: str) -> str:
    if not given:
        raise bad_request(f"'{where}' is empty.", param=where)
    return given


def _are_tokens(given: list[Any]) -> bool:
    return all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in given)
