"""How much is kept, in all and of each client, and whose oldest answer goes when it is too much. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from chatmock.kept_answers.entries import Bounds


@attrs.define
class Held:
    """What is kept of somebody."""

    answers: int = 0
    bytes: int = 0


class Totals:
    """What is kept now.

    :param rows: owner, answers and bytes, who was given the latest answer last.
    """

    def __init__(self, rows: Iterable[tuple[str, int, int]] = ()) -> None:
        self.all = Held()
        """Of all clients together."""
        self._owners: dict[str, Held] = {}
        for owner, answers, size in rows:
            self._owners[owner] = Held(answers, size)
            self.all.answers += answers
            self.all.bytes += size

    def add(self, owner: str, size: int) -> None:
        """An answer of *owner* is kept that takes *size* bytes."""
        held = self._owners.pop(owner, None) or Held()
        self._owners[owner] = held  # last, for it has the latest answer
        for each in (held, self.all):
            each.answers += 1
            each.bytes += size

    def remove(self, owner: str, size: int) -> None:
        """It is kept no more."""
        held = self._owners[owner]
        for each in (held, self.all):
            each.answers -= 1
            each.bytes -= size
        if not held.answers:
            del self._owners[owner]

    def is_over(self, owner: str, bounds: Bounds) -> bool:
        """Whether *owner* has more than its share, and loses its oldest answer."""
        held = self._owners.get(owner, Held())
        return held.answers > bounds.most_of_one or held.bytes > bounds.share

    def loser(self, bounds: Bounds) -> str | None:
        """Who loses its oldest answer since all have too much together: who has most. None when they have not.

        A client's only answer goes last, so that what was kept just now is there: as many as the shares fit in any case.
        """
        if self.all.bytes > bounds.most_bytes:
            measure = "bytes"
        elif self.all.answers > bounds.most:
            measure = "answers"
        else:
            return None
        several = [owner for owner, held in self._owners.items() if held.answers > 1]
        if not several:
            return next(iter(self._owners))
        return max(several, key=lambda owner: int(getattr(self._owners[owner], measure)))
