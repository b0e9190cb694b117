"""What a catalogue says of one model."""

from __future__ import annotations

import attrs


@attrs.frozen
class Model:
    """One model an upstream offers. What the upstream does not say is None, or empty."""

    id: str
    created: int | None = None
    """Unix time in seconds."""
    owned_by: str | None = None
    context_length: int | None = None
    """The window, prompt and answer together, in tokens."""
    listed: bool = True
    """Whether it is for everyone to pick; others answer who names them."""
    efforts: tuple[str, ...] = ()
    """The reasoning efforts it can be asked for, the least first."""
    inputs: tuple[str, ...] = ()
    """What it reads: ``text``, ``image``."""
    service_tiers: tuple[str, ...] = ()
    parallel_tool_calls: bool | None = None
    most_thinking: int | None = None
    """The most tokens it can think with."""
    verbosity: bool | None = None
    """Whether it can be told how long-winded to be."""
    parameters: tuple[str, ...] = ()
    """The request fields that it takes, as the upstream names them; empty where that is not told."""
