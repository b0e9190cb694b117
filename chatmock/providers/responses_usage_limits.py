"""Reads that the usage of a plan is at its limit, from an error answer or an error in a stream (spec chatgpt.md, 2.11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from chatmock.durations import LATEST, LONGEST, bounded, rfc3339
from chatmock.errors import Kind, Refusal
from chatmock.providers.openai_errors import clean

_SENTENCES: Final = {
    "usage_limit_reached": "The {title} plan's usage limit is reached",
    "usage_not_included": "The {title} plan does not include this use",
}


@attrs.frozen
class Reset:
    """When there will be usage again, as far as it is told and can be true."""

    seconds: float | None = None
    """How long until then."""
    at: float | None = None
    """Unix seconds."""
    told: Mapping[str, object] = attrs.field(factory=dict)
    """``plan_type``, ``resets_at`` and ``resets_in_seconds`` for the client."""


def read_reset(error: Mapping[str, Any], now: float | None) -> Reset:
    """What *error* tells of the reset.

    :param now: when it was said, in Unix seconds by the upstream's own clock, where that is known.
    """
    seconds = bounded(error.get("resets_in_seconds"), LONGEST)
    at = bounded(error.get("resets_at"), LATEST) or None
    told = {
        "plan_type": clean(error.get("plan_type")) or None,
        "resets_at": _whole(at),
        "resets_in_seconds": _whole(seconds),
    }
    if seconds is None and at is not None and now is not None:
        seconds = max(at - now, 0.0)
    elif at is None and seconds is not None and now is not None:
        at = bounded(now + seconds, LATEST)
    return Reset(seconds, at, {key: value for key, value in told.items() if value is not None})


def usage_limit(
    title: str, error: Mapping[str, Any], said: str, now: float | None, otherwise: float | None = None
) -> Refusal | None:
    """The refusal, which no other try helps against, if *error* is about a plan's usage, else None.

    :param said: the upstream's own text, cleaned.
    :param now: as :func:`read_reset` takes it.
    :param otherwise: seconds to wait where the error does not tell.
    """
    words = [error.get(key) for key in ("type", "code")]
    kind = next((word for word in words if isinstance(word, str) and word in _SENTENCES), None)
    if kind is None:
        return None
    reset = read_reset(error, now)
    what = f"{_SENTENCES[kind].format(title=title)}: {said.rstrip('.') or 'no reason given'}."
    when = "" if reset.at is None else f" It resets at {rfc3339(reset.at)}."
    return Refusal(
        Kind.USAGE_EXHAUSTED,
        f"{what}{when} See: chatmock info",
        code=kind,
        retry_after=otherwise if reset.seconds is None else reset.seconds,
        more={"type": kind, **reset.told},
    )


def _whole(number: float | None) -> float | int | None:
    return int(number) if number is not None and number == int(number) else number
