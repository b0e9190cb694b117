"""Qwen's catalogue of models (spec upstreams.md, A1.1). Retired ids answer no more, so none is written down here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chatmock import jsontext
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError
from chatmock.model import Model
from chatmock.providers.qwen.contract import CHAT_TYPE, EFFORTS, TITLE
from chatmock.providers.qwen.errors import read_refusal, tells_error


def read_models(body: bytes) -> Sequence[Model]:
    """The active models of a catalogue answer, in its order: ``{"data": {"data": […]}}``, or ``{"data": […]}`` of the
    older address. Entries that cannot be read, whose id cannot be shown, or that answer no text are passed over.

    :raises Refusal: when it is an error with status 200; upstream failed, when it is no catalogue or names no model.
    """
    entries = _entries(body)
    if entries is None:
        refusal = read_refusal(200, {}, body)
        if refusal.code == "upstream_not_a_stream":
            raise Refusal(Kind.UPSTREAM_FAILED, f"{TITLE} sent a list of models that cannot be read.")
        raise refusal
    models: dict[str, Model] = {}
    for entry in entries:
        model = _model(entry) if isinstance(entry, Mapping) else None
        if model is not None:
            models.setdefault(model.id, model)
    if not models:
        raise Refusal(Kind.UPSTREAM_FAILED, f"{TITLE} sent a list of models with none to use.")
    return list(models.values())


def _entries(body: bytes) -> list[Any] | None:
    """The list in a catalogue answer; None where there is none."""
    try:
        told = jsontext.loads_object(body)
    except JSONError:
        return None
    data = told.get("data")
    entries = data.get("data") if isinstance(data, Mapping) else data
    return None if tells_error(told) or not isinstance(entries, list) else entries


def _model(entry: Mapping[str, Any]) -> Model | None:
    id, owner = entry.get("id"), entry.get("owned_by")
    info = _object(entry, "info")
    if not isinstance(id, str) or not _is_name(id) or info.get("is_active") in (False, 0):
        return None
    meta = _object(info, "meta")
    kinds = meta.get("chat_type")
    if (
        kinds
        and isinstance(kinds, list | str)
        and CHAT_TYPE not in ([kinds] if isinstance(kinds, str) else kinds)
    ):
        return None
    able = _object(meta, "capabilities") or _object(meta, "abilities")
    reads = ("text", "image") if _is_positive(able.get("vision")) else ("text",)
    return Model(
        id,
        owned_by=owner if isinstance(owner, str) and owner else None,
        context_length=_tokens(meta, "max_context_length"),
        efforts=EFFORTS if _is_positive(able.get("thinking")) else (),
        inputs=reads if able else (),
        most_thinking=_tokens(meta, "max_thinking_generation_length"),
    )


def _is_name(id: str) -> bool:
    """Whether clients can write it, and terminals show it: no spaces, no line breaks, no control characters."""
    return bool(id) and id.isprintable() and " " not in id


def _object(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def _tokens(holder: Mapping[str, Any], key: str) -> int | None:
    value = holder.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _is_positive(value: object) -> bool:
    """Whether it is a positive number or true: the site writes what a model can do in both ways."""
    return isinstance(value, int) and value > 0
