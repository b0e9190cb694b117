"""OpenAI's list of models: ``GET /v1/models`` and ``/v1/models/{id}``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chatmock import jsontext
from chatmock.catalogue import Row
from chatmock.model import Model


def models_body(rows: Iterable[Row], started: int) -> bytes:
    """The list for rows of :func:`chatmock.catalogue.listing`.

    :param started: Unix time for models whose age is not known; clients insist on a number.
    """
    return jsontext.dumps({"object": "list", "data": [_entry(*row, started) for row in rows]})


def model_body(row: Row, started: int) -> bytes:
    """One entry of the list."""
    return jsontext.dumps(_entry(*row, started))


def _entry(name: str, provider: str, model: Model | None, started: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": name,
        "object": "model",
        "created": started if model is None or model.created is None else model.created,
        "owned_by": provider if model is None or model.owned_by is None else model.owned_by,
    }
    if model is not None and model.context_length is not None:
        entry["context_length"] = model.context_length
    return entry
