"""A point in time that is moved often and rarely reached."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Deadline:
    """Calls *passed* when it is reached, at most once for each time it is set.

    Moving it further away costs nothing: the timer of the reactor looks only when it fires whether it is time.
    """

    __slots__ = ("_clock", "_due", "_passed", "_timer")

    def __init__(self, clock: IReactorTime, passed: Callable[[], object]) -> None:
        self._clock = clock
        self._passed = passed
        self._due: float | None = None
        self._timer: IDelayedCall | None = None

    def set(self, seconds: float) -> None:
        """Move it to *seconds* from now."""
        self._due = self._clock.seconds() + seconds
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._look)
        elif self._timer.getTime() > self._due:
            self._timer.reset(seconds)

    def clear(self) -> None:
        """There is none until it is set again."""
        self._due = None

    def stop(self) -> None:
        """Leave nothing behind in the reactor."""
        self._due = None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return
        left = self._due - self._clock.seconds()
        if left > 0:
            self._timer = self._clock.callLater(left, self._look)
        else:
            self._due = None
            self._passed()
