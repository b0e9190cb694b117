"""Whether a provider is asked now, as others are told it. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs


class State(enum.Enum):
    """Who is let through."""

    OK = "ok"
    """Everybody."""
    COOLING = "cooling"
    """Nobody."""
    PROBING = "probing"
    """One at a time."""


@attrs.frozen
class Condition:
    """That a provider, or one of its models, is not asked now."""

    state: State
    reason: str
    """The code of the refusal, or its kind in words."""
    since: float
    """Seconds since it was first refused so."""
    left: float
    """Seconds until it is asked again; 0 for by the next request."""


def summary(conditions: Mapping[str | None, Condition]) -> Mapping[str, object]:
    """*conditions* for programs: ``{"state", "until", "reason"}``, and ``models`` in the same form where one is not asked.

    ``until`` are the seconds left, null where everybody is let through.
    """
    told = _told(conditions.get(None))
    models = {key: _told(each) for key, each in conditions.items() if key is not None}
    return {**told, "models": models} if models else told


def _told(condition: Condition | None) -> dict[str, object]:
    if condition is None:
        return {"state": State.OK.value, "until": None, "reason": None}
    return {"state": condition.state.value, "until": round(condition.left, 1), "reason": condition.reason}


def usable(conditions: Mapping[str | None, Condition]) -> bool:
    """Whether a request has a chance: the provider as a whole is not left alone."""
    whole = conditions.get(None)
    return whole is None or whole.state is not State.COOLING
