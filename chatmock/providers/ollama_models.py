"""The models of an Ollama, out of its ``/api/tags`` (spec upstreams.md, E3)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError
from chatmock.model import Model

LATEST: Final = ":latest"
"""The tag of a name that has none."""


def read_tags(body: bytes, title: str) -> Sequence[Model]:
    """The models to pick from, those that answer first; each also by the other form of its name, with ``:latest`` or without.

    Entries without a name are passed over.

    :raises Refusal: when it is no such list.
    """
    try:
        entries = jsontext.loads_object(body)["models"]
        models = [
            _read(name, entry) for entry in entries if (name := entry.get("name") or entry.get("model"))
        ]
    except (JSONError, KeyError, TypeError, AttributeError):
        raise Refusal(Kind.UPSTREAM_FAILED, f"{title} sent a list of models that cannot be read.") from None
    models.sort(key=lambda model: "completion" not in model.capabilities)
    taken = {model.id for model in models}
    others = [attrs.evolve(model, id=other_name(model.id), listed=False) for model in models]
    return [*models, *(model for model in others if model.id not in taken)]


def other_name(name: str) -> str:
    """The name of the same model with ``:latest`` or without it; *name* itself where it has another tag."""
    if name.endswith(LATEST):
        return name.removesuffix(LATEST)
    return name if ":" in name.rpartition("/")[2] else name + LATEST


def _read(name: Any, entry: Mapping[str, Any]) -> Model:
    if not isinstance(name, str):
        raise TypeError
    details = entry.get("details")
    details = details if isinstance(details, Mapping) else {}
    context = details.get("context_length")
    told = entry.get("capabilities")
    model = Model(
        name,
        created=_seconds(entry.get("modified_at")),
        context_length=context if isinstance(context, int) and context > 0 else None,
    )
    if isinstance(told, list) and told:
        return _with_capabilities(model, told)
    # Older builds tell none; what only embeds is known by its family.
    return attrs.evolve(model, outputs=("embeddings",)) if "bert" in str(details.get("family")) else model


def _with_capabilities(model: Model, told: Sequence[object]) -> Model:
    outputs = {"completion": "text", "embedding": "embeddings"}
    return attrs.evolve(
        model,
        inputs=("text", "image") if "vision" in told else ("text",),
        outputs=tuple(output for word, output in outputs.items() if word in told),
        thinks="thinking" in told,
        calls_tools="tools" in told,
    )


def _seconds(time: object) -> int | None:
    """Unix time of RFC 3339 text with up to nine digits of a fraction, which are cut; None for what is no time."""
    if not isinstance(time, str):
        return None
    whole, _, rest = time.partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    try:
        return max(int(dt.datetime.fromisoformat(whole + zone).timestamp()), 0)
    except (ValueError, OverflowError):
        return None
