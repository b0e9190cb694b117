"""The models of an Ollama, out of its ``/api/tags`` and ``/api/ps`` (spec upstreams.md, E3)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError
from chatmock.model import Model

LATEST: Final = ":latest"
"""The tag of a name that has none."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MOST_CHARS: Final = 500
"""Of one fact."""
_MOST_BYTES: Final = 2**63 - 1
_MOST_WORDS: Final = 50
"""In one list of facts."""
_WORDS: Final = ("remote_model", "remote_host", "modified_at")
_NUMBERS: Final = ("size", "size_vram", "context_length")


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


def read_loaded(body: bytes, title: str) -> Mapping[str, Mapping[str, Any]]:
    """What ``/api/ps`` says of the models in memory, by name: as of a list's entry, and ``expires_at``, ``size_vram`` (bytes)
    and ``context_length`` (tokens).

    :raises Refusal: when it is no such list.
    """
    try:
        entries = jsontext.loads_object(body)["models"]
        named = [(entry.get("name") or entry.get("model"), entry) for entry in entries]
    except (JSONError, KeyError, TypeError, AttributeError):
        raise Refusal(
            Kind.UPSTREAM_FAILED, f"{title} sent a list of loaded models that cannot be read."
        ) from None
    found = {}
    for name, entry in named:
        if isinstance(name, str) and name:
            expires = entry.get("expires_at")
            told = {} if _seconds(expires) is None else {"expires_at": expires}
            found[name] = {**_facts(entry), **told}
    return found


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
        facts=_facts(entry),
    )
    if isinstance(told, list) and told:
        return _with_capabilities(model, told)
    # Older builds tell none; what only embeds is known by its family.
    return attrs.evolve(model, outputs=("embeddings",)) if "bert" in str(details.get("family")) else model


def _facts(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an entry says that clients know the form of, as it says it, but for the name."""
    facts: dict[str, Any] = {name: entry[name] for name in _NUMBERS if _is_count(entry.get(name))}
    facts |= {name: entry[name] for name in _WORDS if _is_word(entry.get(name))}
    if _seconds(facts.get("modified_at")) is None:
        facts.pop("modified_at", None)
    if isinstance(digest := entry.get("digest"), str) and _DIGEST.fullmatch(digest):
        facts["digest"] = digest
    if isinstance(details := entry.get("details"), Mapping):
        facts["details"] = {name: told for name, told in details.items() if _is_detail(name, told)}
    if _are_words(told := entry.get("capabilities")) and told:
        facts["capabilities"] = told
    return facts


def _is_detail(name: str, told: object) -> bool:
    if name in ("context_length", "embedding_length"):
        return _is_count(told)
    if name == "families":
        return told is None or _are_words(told)
    return name in ("parent_model", "format", "family", "parameter_size", "quantization_level") and _is_word(
        told
    )


def _is_count(told: object) -> bool:
    return isinstance(told, int) and not isinstance(told, bool) and 0 <= told <= _MOST_BYTES


def _is_word(told: object) -> bool:
    return isinstance(told, str) and len(told) <= _MOST_CHARS


def _are_words(told: object) -> bool:
    return isinstance(told, list) and len(told) <= _MOST_WORDS and all(map(_is_word, told))


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
