"""What the table of routes says of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Operation:
    """One method of one path."""

    path: str
    """As OpenAPI writes it: ``/v1/models/{name}``."""
    method: str
    id: str
    summary: str
    answers: str | None = None
    """The shared schema of its answer, where that is JSON."""
    other_types: Mapping[str, Any] = attrs.field(factory=dict)
    """Further media types of its answer."""
    body: str | None = None
    """The shared schema of the request's body."""
    examples: Mapping[str, Any] = attrs.field(factory=dict)
    """Request bodies, by name: each is answered by every daemon that has a model, unless that is not implemented."""
    parameters: tuple[str, ...] = ()
    """Shared parameters."""
    refused: tuple[int, ...] = ()
    """Statuses besides those that all have in common."""
    asks_model: bool = False
    """Whether chatmock may change the request, and tells so in headers."""
    is_open: bool = False
    """Whether it needs no key."""
    unready: bool = False
    """Whether its answer comes with the status 503 too."""
    links: Mapping[str, Any] = attrs.field(factory=dict)
    told: tuple[str, ...] = ()
    """Shared headers of its answer besides those that all have."""
    error: str = "Error"
    """The shared schema of the body of its refusals."""
    never_done: bool = False
    """Whether it is there only to be refused in words that say why."""
