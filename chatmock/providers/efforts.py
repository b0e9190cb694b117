"""Reasoning efforts, and which of a model's comes nearest to the one that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra")
"""Every effort there is, the least first; each model lists its own."""
EFFORT_NOTE: Final = "x-chatmock-effort"
"""The response header for a client whose wish the model cannot follow."""


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
