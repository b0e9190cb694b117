"""Timers that a step of the wall clock neither freezes nor fires early.

Twisted's reactors count time by ``time.time``. Home boxes without a battery-backed clock set theirs at boot, and a
step of an hour back freezes every deadline for an hour (spec security.md §0.4, P58). ``IReactorTime.seconds`` says
nothing about when its zero is, so any clock may stand there that only goes forward.
"""

from __future__ import annotations

import time
from typing import Any


def use_monotonic_time(reactor: Any) -> None:
    """Let *reactor* count time by the monotonic clock from now on; to be called before it runs.

    Timers that are set already keep their distance. Doing it again does nothing.
    """
    before = reactor.seconds
    if before is time.monotonic:
        return
    shift = time.monotonic() - before()
    reactor.seconds = time.monotonic
    for call in reactor.getDelayedCalls():
        call.seconds = time.monotonic
        call.delay(shift)
