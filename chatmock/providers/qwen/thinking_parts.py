"""The model's thinking out of Qwen's frames: what each adds to what has been told (spec upstreams.md, A1.4).

``think`` comes in deltas: each is new, also one that is equal to the one before. ``thinking_summary`` comes in snapshots of
all titles and thoughts so far: only what a snapshot adds is new. A title and the thought under it are one part.
"""

from __future__ import annotations

import attrs

from chatmock.events import ReasoningDelta
from chatmock.thinking import PARAGRAPH


@attrs.define
class _Entry:
    """One title with its thought, as far as they have been told."""

    part: int
    title: str = ""
    thought: str = ""

    def grow(self, title: str, thought: str) -> str:
        """Take over a newer snapshot; what of it is to be told. A text that was rewritten stays as it was told."""
        added = ""
        if not self.thought:  # nothing can be put before what has been told
            new = _suffix(self.title, title)
            self.title += new
            added = new
        new = _suffix(self.thought, thought)
        if new:
            added += PARAGRAPH + new if self.title and not self.thought else new
            self.thought += new
        return added

    def goes_on_with(self, title: str, thought: str) -> bool:
        """Whether a snapshot's entry is this one, longer or shorter."""
        return _alike(self.title, title) and _alike(self.thought, thought)


class Thinking:
    """The thinking of one answer, told once."""

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

    def summary(self, titles: list[str], thoughts: list[str]) -> list[ReasoningDelta]:
        """What a snapshot of the summary adds."""
        told: list[ReasoningDelta] = []
        size = max(len(titles), len(thoughts))
        pairs = [
            (titles[at] if at < len(titles) else "", thoughts[at] if at < len(thoughts) else "")
            for at in range(size)
        ]
        if self._summary_closed and pairs and self._entries:
            if not self._entries[0].goes_on_with(*pairs[0]):
                self._entries = []  # thinking after the use of a tool may count from the start again
            self._summary_closed = False
        for at, (title, thought) in enumerate(pairs):
            if at == len(self._entries):
                self._entries.append(_Entry(self._next_part()))
            entry = self._entries[at]
            if added := entry.grow(title, thought):
                told.append(ReasoningDelta(added, "summary", entry.part))
        return told

    def close_summary(self) -> None:
        """The summary is finished; another one may come, or this one may go on."""
        self._summary_closed = True

    def _next_part(self) -> int:
        part = self._parts
        self._parts += 1
        return part


def _suffix(told: str, snapshot: str) -> str:
    return snapshot[len(told) :] if snapshot.startswith(told) else ""


def _alike(told: str, snapshot: str) -> bool:
    return snapshot.startswith(told) or told.startswith(snapshot)
