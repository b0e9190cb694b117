"""The model's thinking out of Qwen's frames: what each adds to what has been told (spec upstreams.md, A1.4).

``think`` comes in deltas: each is new, also one that is equal to the one before. ``thinking_summary`` comes in snapshots
of all titles and thoughts so far: only what a snapshot adds is new. A title and the thought under it are one part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from chatmock.events import ReasoningDelta

_UNDER_TITLE: Final = "\n\n"


@attrs.define
class _Entry:
    """One title with its thought, as far as they have been told."""

    title: str = ""
    thought: str = ""
    part: int | None = None

    def grow(self, title: str, thought: str) -> str:
        """Take over a newer snapshot; what of it is to be told. A text that was rewritten stays as it was told."""
        added = ""
        if not self.thought:  # nothing can be put before what has been told
            added = _suffix(self.title, title)
            self.title += added
        new = _suffix(self.thought, thought)
        if new and self.title and not self.thought:
            added += _UNDER_TITLE
        self.thought += new
        return added + new

    def is_seen_in(self, title: str, thought: str) -> bool:
        """Whether a snapshot's entry is this one, at any time of its growth."""
        return _alike(self.title, title) and _alike(self.thought, thought)


class ThinkingParts:
    """The thinking of one answer."""

    def __init__(self) -> None:
        self._parts = 0
        self._text_part: int | None = None
        self._entries: list[_Entry] = []
        self._summary_closed = False

    def text(self, delta: str) -> ReasoningDelta:
        """More of the thinking itself."""
        if self._text_part is None:
            self._text_part = self._next_part()
        return ReasoningDelta(delta, "text", self._text_part)

    def close_text(self) -> None:
        """The text is finished: what comes later is another part."""
        self._text_part = None

    def summary(self, entries: Sequence[tuple[str, str]]) -> list[ReasoningDelta]:
        """What a snapshot of all titles and thoughts so far adds."""
        if (
            self._summary_closed
            and entries
            and self._entries
            and not self._entries[0].is_seen_in(*entries[0])
        ):
            self._entries = []  # after the use of a tool a snapshot may begin anew
        told: list[ReasoningDelta] = []
        for at, (title, thought) in enumerate(entries):
            if at == len(self._entries):
                self._entries.append(_Entry())
            entry = self._entries[at]
            if added := entry.grow(title, thought):
                if entry.part is None:
                    entry.part = self._next_part()
                told.append(ReasoningDelta(added, "summary", entry.part))
        self._summary_closed = self._summary_closed and not told
        return told

    def close_summary(self) -> None:
        """The summary is finished; it may go on all the same, or another one may come."""
        self._summary_closed = True

    def _next_part(self) -> int:
        part = self._parts
        self._parts += 1
        return part


def _suffix(told: str, snapshot: str) -> str:
    return snapshot[len(told) :] if snapshot.startswith(told) else ""


def _alike(told: str, snapshot: str) -> bool:
    return snapshot.startswith(told) or told.startswith(snapshot)
