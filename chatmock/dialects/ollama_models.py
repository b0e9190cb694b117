"""The models as Ollama lists and shows them (spec upstreams.md, E3).

Those of an Ollama that was moved aside are listed as it lists them (:attr:`chatmock.model.Model.facts`); only their names are
chatmock's. Clients take all others for models of a machine elsewhere, as Ollama's own cloud models are: they have no size
here, and their digest is no file's, but a stable id of the entry in the catalogue (SHA-256 of ``provider/model``). What is
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


def loaded_body(loaded: Iterable[tuple[ShownModel, Mapping[str, Any]]] = ()) -> bytes:
    """The models in memory, each with what the Ollama it is at says of it there (``expires_at``, ``size_vram``,
    ``context_length`` and more); models elsewhere are in nobody's memory."""
    return jsontext.dumps({"models": [_entry_of_facts(shown, facts) for shown, facts in loaded]})


def status_body() -> bytes:
    """What ``/api/status`` says: that there is nothing here of Ollama's own cloud."""
    return jsontext.dumps({"cloud": {"disabled": True, "source": "config"}})


def nothing_body() -> bytes:
    """What is said where there is nothing to say: Go's nothing."""
    return jsontext.dumps(None)


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
    if model.facts is not None:
        return _entry_of_facts(shown, model.facts)
    return {
        "name": shown.name,
        "model": shown.name,
        **_elsewhere(shown),
        "modified_at": _modified(model),
        "size": 0,
        "digest": _stable_id(shown),
        "details": _details(shown),
        "capabilities": model.capabilities,
    }


def _entry_of_facts(shown: ShownModel, facts: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of an Ollama's own; what clients insist on and it does not say is empty, as with Go."""
    model = shown.details or _PRESUMED
    details = facts.get("details", {})
    words = ("parent_model", "format", "family", "parameter_size", "quantization_level")
    return {
        "name": shown.name,
        "model": shown.name,
        "modified_at": _modified(model),
        "size": 0,
        "digest": _stable_id(shown),
        "capabilities": model.capabilities,
        **facts,
        "details": {**dict.fromkeys(words, ""), "families": None, **details},
    }


def _stable_id(shown: ShownModel) -> str:
    """In the form of a digest: the same for a model of a provider whenever it is asked, and for no other."""
    name = f"{shown.provider}/{shown.upstream_name}"
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()


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
