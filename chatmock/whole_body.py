"""Sends a large whole answer at the client's pace; a client that takes nothing for too long is dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer, IReactorTime
from zope.interface import implementer

_PIECE = 64 * 1024


@implementer(IPullProducer)
class WholeBodySender:
    """One body on its way to *consumer*, which asks for the next piece when it has sent the last.

    :param stall_timeout: seconds in which the client takes nothing before *stalled* is called.
    """

    def __init__(
        self,
        body: bytes,
        consumer: Any,
        clock: IReactorTime,
        stall_timeout: float,
        stalled: Callable[[], object],
    ) -> None:
        self._rest = memoryview(body)
        self._consumer = consumer
        self._stall_timeout = stall_timeout
        self._timer = clock.callLater(stall_timeout, stalled)
        self._ended = False
        self.done: Deferred[None] = Deferred(lambda _: self.stopProducing())
        """Fires when everything has been handed on. Cancelling it (the client has left) stops the sending."""

    def start(self) -> Deferred[None]:
        """Begin; returns :attr:`done`."""
        self._consumer.registerProducer(self, False)
        return self.done

    def resumeProducing(self) -> None:
        """The last piece has been sent."""
        if self._ended:
            return
        self._timer.reset(self._stall_timeout)
        piece, self._rest = self._rest[:_PIECE], self._rest[_PIECE:]
        if piece:
            self._consumer.write(bytes(piece))
        else:
            self._consumer.unregisterProducer()
            self.stopProducing()
            self.done.callback(None)

    def stopProducing(self) -> None:
        """Nothing more is wanted; who waits for :attr:`done` is told by the client's leaving."""
        self._ended = True
        if self._timer.active():
            self._timer.cancel()
