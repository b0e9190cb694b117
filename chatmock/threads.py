"""Threads of the daemon's own for what blocks: files, locks, decoding. Name look-ups, which may hang, fill the reactor's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool


class Threads:
    """Runs functions that block; to be stopped once nothing is run any more.

    :param most: the most functions at a time; others wait.
    """

    def __init__(self, reactor: Any, most: int) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, most, "chatmock")

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Run *function*; fires with what it returns or raises."""
        if not self._pool.started:
            self._pool.start()
        return deferToThreadPool(self._reactor, self._pool, function, *arguments)

    def stop(self) -> None:
        """End the threads, after what they are running."""
        if self._pool.started:
            self._pool.stop()
