"""Reasoning efforts, and which of a model's comes nearest to the one that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chatmock.conversation import ChatRequest

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra")
"""Every effort there is, the least first; each model lists its own."""
EFFORT_NOTE: Final = "x-chatmock-effort"
"""The response header for a client whose wish the model cannot follow."""
_SWITCHES: Final = {"ollama-chat": "think", "ollama-generate": "think"}
"""The fields by which clients of a dialect turn thinking off; Anthropic's is ``thinking``."""


def least(chat: ChatRequest) -> str | None:
    """The effort by which *chat* has its model think as little as it can: the least that it lists. None where it lists none."""
    return chat.details.efforts[0] if chat.details is not None and chat.details.efforts else None


def may_think(chat: ChatRequest) -> bool:
    """Whether the model of *chat* thinks, for all that is known of it."""
    return chat.details is None or chat.details.thinks is not False


def switch(chat: ChatRequest) -> str:
    """The field by which the client of *chat* has turned thinking off."""
    return _SWITCHES.get("" if chat.source is None else chat.source.wire, "thinking")


def nearest(wanted: str, listed: Sequence[str]) -> str:
    """The effort of *listed* that is nearest to *wanted*; of two, the lesser. Where none compares, *wanted* itself.

    Not to think at all is another thing than to think little: ``none`` is chosen for ``none`` only, or where
    there is nothing else.
    """
    if wanted in listed or wanted not in EFFORTS:
        return wanted
    ranks = [EFFORTS.index(effort) for effort in listed if effort in EFFORTS]
    thinking = [rank for rank in ranks if EFFORTS[rank] != "none"] or ranks
    if not thinking:
        return wanted
    rank = EFFORTS.index(wanted)
    return EFFORTS[min(thinking, key=lambda other: (abs(other - rank), other))]
