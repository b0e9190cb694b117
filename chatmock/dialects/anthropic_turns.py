"""That each call of a tool has its result in the next turn, and each result its call in the turn before, as Anthropic has it.

Messages of one role that follow each other are one turn. A system's message may stand anywhere, and ends none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from chatmock.dialects.anthropic_fields import fault


class Said(Protocol):
    """A message as it is read, its blocks looked at already."""

    @property
    def role(self) -> str:
        """Whose it is."""

    @property
    def content(self) -> str | list[dict[str, Any]]:
        """Text, or blocks."""


def check_calls(messages: Sequence[Said]) -> None:
    """See that calls and results belong together.

    :raises Refusal: bad request, naming the result or the message at fault.
    """
    turns = [(position, said) for position, said in enumerate(messages) if said.role != "system"]
    called: dict[str, int] = {}
    for role, turn in groupby(turns, lambda each: each[1].role):
        said = list(turn)
        if role == "user":
            _check_results(called, dict(_ids(said, "tool_result", "tool_use_id")))
            called = {}
        else:
            called = {id: place[0] for id, place in _ids(said, "tool_use", "id")}
    _check_results(called, {})


def _ids(turn: Sequence[tuple[int, Said]], kind: str, field: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """The ids in the blocks of one *kind*, each with the places of its message and of its block."""
    for position, said in turn:
        blocks = said.content if isinstance(said.content, list) else []
        for index, block in enumerate(blocks):
            if block["type"] == kind:
                yield block[field], (position, index)


def _check_results(called: Mapping[str, int], told: Mapping[str, tuple[int, int]]) -> None:
    for id, (position, index) in told.items():
        if id not in called:
            raise fault(
                f"messages.{position}.content.{index}",
                f"unexpected `tool_use_id` found in `tool_result` blocks: {id[:100]}. Each `tool_result` block must have"
                " a corresponding `tool_use` block in the previous message.",
            )
    missing = [id for id in called if id not in told]
    if missing:
        raise fault(
            f"messages.{called[missing[0]]}",
            f"`tool_use` ids were found without `tool_result` blocks immediately after: {missing[0][:100]}. Each"
            " `tool_use` block must have a corresponding `tool_result` block in the next message.",
        )
