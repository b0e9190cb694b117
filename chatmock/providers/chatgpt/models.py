"""ChatGPT's catalogue of models, and the one that stands in until it is known (spec chatgpt.md, 2.9, 2.10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from chatmock import jsontext
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError, Struct
from chatmock.model import Model
from chatmock.providers.chatgpt.contract import TITLE

SUFFIXES: Final = ("minimal", "low", "medium", "high", "xhigh")
"""Efforts that a name may end in although its model does not list them; ``max`` and the like are parts of names."""

_LOW_TO_HIGH: Final = ("low", "medium", "high")
_LOW_TO_XHIGH: Final = (*_LOW_TO_HIGH, "xhigh")
_TEXT_AND_IMAGES: Final = ("text", "image")
PRESUMED: Final[Sequence[Model]] = (
    Model("gpt-5.6-sol", efforts=(*_LOW_TO_XHIGH, "max", "ultra"), inputs=_TEXT_AND_IMAGES),
    Model("gpt-5.6-terra", efforts=(*_LOW_TO_XHIGH, "max", "ultra"), inputs=_TEXT_AND_IMAGES),
    Model("gpt-5.6-luna", efforts=(*_LOW_TO_XHIGH, "max"), inputs=_TEXT_AND_IMAGES),
    Model("gpt-5.5", efforts=("none", *_LOW_TO_XHIGH), inputs=_TEXT_AND_IMAGES),
    Model("gpt-5.4", efforts=("none", *_LOW_TO_XHIGH), inputs=_TEXT_AND_IMAGES),
    Model("gpt-5.4-mini", efforts=_LOW_TO_XHIGH, inputs=_TEXT_AND_IMAGES),
    Model("gpt-5.3-codex-spark", efforts=_LOW_TO_XHIGH, inputs=("text",)),
)
"""What the catalogue was seen to hold; an account may have others, so other names are not refused meanwhile."""
_LAST = 1_000_000


class _Level(Struct):
    effort: str


class _Tier(Struct):
    id: str


class _Entry(Struct):
    """One entry; everything but the name may be absent."""

    slug: str
    supported_reasoning_levels: list[_Level] | None = None
    visibility: str | None = None
    priority: float | None = None
    service_tiers: list[_Tier] | None = None
    context_window: int | None = None
    input_modalities: list[str] | None = None
    supports_parallel_tool_calls: bool | None = None
    support_verbosity: bool | None = None


def read_models(body: bytes) -> Sequence[Model]:
    """The models of a catalogue answer, the backend's favourite first; entries that cannot be read are passed over.

    :raises Refusal: upstream failed, when it is no catalogue or has no visible model.
    """
    try:
        listed = jsontext.loads_object(body)["models"]
        entries = [entry for each in listed if (entry := _read(each)) is not None]
    except (JSONError, KeyError, TypeError):
        raise Refusal(Kind.UPSTREAM_FAILED, f"{TITLE} sent a list of models that cannot be read.") from None
    entries.sort(key=lambda entry: _LAST if entry.priority is None else entry.priority)
    models = [_model(entry) for entry in entries]
    if not any(model.listed for model in models):
        raise Refusal(Kind.UPSTREAM_FAILED, f"{TITLE} sent a list of models with none to use.")
    return models


def _read(entry: Any) -> _Entry | None:
    try:
        read = jsontext.convert(entry, _Entry)
    except JSONError:
        return None
    return read if read.slug else None


def _model(entry: _Entry) -> Model:
    return Model(
        entry.slug,
        context_length=entry.context_window,
        listed=entry.visibility == "list",
        efforts=tuple(level.effort for level in entry.supported_reasoning_levels or ()),
        inputs=tuple(entry.input_modalities or ()),
        thinks=None if entry.supported_reasoning_levels is None else bool(entry.supported_reasoning_levels),
        calls_tools=True,
        service_tiers=tuple(tier.id for tier in entry.service_tiers or ()),
        parallel_tool_calls=entry.supports_parallel_tool_calls,
        verbosity=entry.support_verbosity,
    )
