"""The models as Ollama lists and shows them (spec upstreams.md, E3).

Clients take them for models of a machine elsewhere, as Ollama's own cloud models are: they have no size here. What is
not known is empty, or left out where nobody insists on it; no number is made up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.catalogue import Row
from chatmock.dialects.ollama_json import UNKNOWN_TIME, timestamp
from chatmock.model import Model

VERSION: Final = "0.33.0"
"""The version of Ollama whose API this is; clients compare it with what they need (Codex: 0.13.4)."""

_PRESUMED: Final = Model("")
"""Of a model the catalogue tells nothing about, no more is said than of any."""


@attrs.frozen
class ShownModel:
    """A model to be shown."""

    name: str
    """As clients name it."""
    provider: str
    upstream_name: str
    details: Model | None = None


def version_body() -> bytes:
    """``{"version": "…"}``."""
    return jsontext.dumps({"version": VERSION})


def tags_body(rows: Iterable[Row]) -> bytes:
    """The list for rows of :func:`chatmock.catalogue.listing`."""
    return jsontext.dumps({"models": [_entry(shown_row(row)) for row in rows]})


def shown_row(row: Row) -> ShownModel:
    """The model of a row of the list."""
    name, provider, details = row
    bare = name.removeprefix(f"{provider}/") if details is None else details.id
    return ShownModel(name, provider, bare, details)


def loaded_body() -> bytes:
    """The models in memory: none, for they are all elsewhere."""
    return jsontext.dumps({"models": []})


def show_body(shown: ShownModel) -> bytes:
    """What is known of one model."""
    model = shown.details or _PRESUMED
    info: dict[str, Any] = {
        "general.architecture": shown.provider,
        "general.basename": shown.upstream_name,
    }
    if model.context_length is not None:
        info[f"{shown.provider}.context_length"] = model.context_length
    return jsontext.dumps(
        {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "details": _details(shown),
            **_elsewhere(shown),
            "model_info": info,
            "capabilities": model.capabilities,
            "modified_at": _modified(model),
        }
    )


def _entry(shown: ShownModel) -> dict[str, Any]:
    model = shown.details or _PRESUMED
    digest = hashlib.sha256(f"{shown.provider}/{shown.upstream_name}".encode("utf-8", "replace"))
    return {
        "name": shown.name,
        "model": shown.name,
        **_elsewhere(shown),
        "modified_at": _modified(model),
        "size": 0,
        "digest": digest.hexdigest(),
        "details": _details(shown),
        "capabilities": model.capabilities,
    }


def _elsewhere(shown: ShownModel) -> Mapping[str, Any]:
    """Where the model is: the provider's name, since addresses are the owner's business."""
    return {"remote_model": shown.upstream_name, "remote_host": shown.provider}


def _details(shown: ShownModel) -> dict[str, Any]:
    details: dict[str, Any] = {
        "parent_model": "",
        "format": "",
        "family": shown.provider,
        "families": [shown.provider],
        "parameter_size": "",
        "quantization_level": "",
    }
    length = None if shown.details is None else shown.details.context_length
    return details if length is None else {**details, "context_length": length}


def _modified(model: Model) -> str:
    return UNKNOWN_TIME if model.created is None else timestamp(model.created * 1_000_000_000)
