"""So many wrong keys a minute are told that they are wrong, to one network (spec security.md, P13; the right one passes
all the same, mission.md). It stops what asks again and again; a guess is stopped by the length of the keys. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque

_MOST_ADDRESSES = 4096


class Lockout:
    """Counts the wrong keys of each address, over a bounded table; the longest unseen address is forgotten first.

    Check and count are one step, so that a burst cannot slip through between them.

    :param most: wrong keys that are told to be wrong within *seconds*.
    """

    def __init__(self, most: int = 5, seconds: float = 60.0) -> None:
        self._most = most
        self._seconds = seconds
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, address: str, now: float) -> float | None:
        """Count a wrong key.

        :param now: monotonic seconds.
        :returns: None when it is counted; the seconds until the next one will be, when there were too many.
        """
        times = self._wrong.setdefault(address, deque())
        self._wrong.move_to_end(address)
        if len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.popitem(last=False)
        while times and now - times[0] >= self._seconds:
            times.popleft()
        if len(times) >= self._most:
            return times[0] + self._seconds - now
        times.append(now)
        return None
