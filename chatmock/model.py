"""What a catalogue says of one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    outputs: tuple[str, ...] = ()
    """What it makes of that: ``text``, ``embeddings``."""
    service_tiers: tuple[str, ...] = ()
    parallel_tool_calls: bool | None = None
    most_thinking: int | None = None
    """The most tokens it can think with."""
    verbosity: bool | None = None
    """Whether it can be told how long-winded to be."""
    parameters: tuple[str, ...] = ()
    """The request fields that it takes, as the upstream names them; empty where that is not told."""
    thinks: bool | None = None
    """Whether it can think before it answers."""
    calls_tools: bool | None = None
    """Whether it can be given tools."""
    facts: Mapping[str, Any] | None = attrs.field(default=None, hash=False, repr=False)
    """What the upstream's own list says of it, as it says it, for clients that read such lists; without its name. None for an
    upstream whose lists are of no client's kind."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What can be asked of it, in Ollama's words (spec upstreams.md, E3), in this order: ``completion``, ``tools``,
        ``vision``, ``thinking``, ``embedding``.

        A model is taken to answer and to call tools unless its upstream says otherwise: chatmock passes tools on to every
        upstream, and clients hide models that do not list them. The others stand here only where it is known.
        """
        answers = not self.outputs or "text" in self.outputs
        told = {
            "completion": answers,
            "tools": answers and self.calls_tools is not False,
            "vision": answers and "image" in self.inputs,
            "thinking": answers and (bool(self.efforts) if self.thinks is None else self.thinks),
            "embedding": "embeddings" in self.outputs,
        }
        return tuple(name for name, is_so in told.items() if is_so)
