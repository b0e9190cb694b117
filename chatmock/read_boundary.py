"""Marks where one read of an upstream's socket begins and ends.

Twisted hands on the chunks of a chunked body one by one, although a single read may bring dozens, each a record of
a stream. Who knows where the read ends can handle them together: one look, one write, and no record waits for
another read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class ReadBoundary:
    """Shared by the connections of one reactor: within a read, work can be put off to its end."""

    def __init__(self) -> None:
        self._reading = False
        self._later: list[Callable[[], None]] = []

    @property
    def reading(self) -> bool:
        """Whether a read is going on, so that :meth:`at_end` may be used."""
        return self._reading

    def at_end(self, work: Callable[[], None]) -> None:
        """Do *work* when the read that is going on ends."""
        self._later.append(work)

    def watch(self, protocol: Any) -> None:
        """Mark every later read of *protocol*, an :class:`IProtocol` that is connected."""
        deliver = protocol.dataReceived

        def marked(data: bytes) -> None:
            self._reading = True
            try:
                deliver(data)
            finally:
                self._reading = False
                if self._later:
                    later, self._later = self._later, []
                    for work in later:
                        work()

        protocol.dataReceived = marked
