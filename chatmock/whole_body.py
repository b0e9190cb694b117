"""Sends whole answers, a large one at the client's pace. That the client takes some of it is its channel's to watch."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer

_PIECE = 64 * 1024
_PRODUCED_FROM = 64 * 1024
"""Answers larger than this are produced at the client's pace; smaller ones are written at once."""


async def written(body: bytes, consumer: Any) -> bytes | None:
    """See that *body* is written to *consumer*: what is still to be written then, which is all of a small one.

    Cancelling (the client has left) stops it.
    """
    if len(body) <= _PRODUCED_FROM:
        return body
    await WholeBodySender(body, consumer).start()
    return None


@implementer(IPullProducer)
class WholeBodySender:
    """One body on its way to *consumer*, which asks for the next piece when it has sent the last."""

    def __init__(self, body: bytes, consumer: Any) -> None:
        self._rest = memoryview(body)
        self._consumer = consumer
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
