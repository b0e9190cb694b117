"""The client's end of a streamed answer: its head, its records, and comments while there are none.

A client that has waited for some seconds is sent its status and headers, and then a comment now and then that says
what it waits for (no event, no text: whoever reads the stream skips it). Until then a failure has a status of its own;
afterwards it is a record, and the stream ends in order.

One timer a stream: a record only notes its time, and the timer moves itself when it finds that it has come too early.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from chatmock.dialects import Dialect
from chatmock.heads import set_id, set_notes

EVERY: Final = 10.0
"""Seconds without a record, or since the last comment, after which there is another one."""


@implementer(IPushProducer)
class StreamReply:
    """What one client gets to see of its stream.

    It is the producer of the client's connection: it hands on to the upstream whose body is on its way, if there is
    one, that the client's socket is full, and writes no comments then.

    :param notes: headers that say what was changed about the request. What comes to be known after the head has gone
        is told in comments before the first record, ``: X-Chatmock-Ignored: seed``.
    :param answering: is called before the first record.
    """

    __slots__ = (
        "_answering",
        "_clock",
        "_dialect",
        "_notes",
        "_paused",
        "_request",
        "_says",
        "_spoke_at",
        "_timer",
        "_told",
        "_upstream",
        "_waits_since",
        "_written_at",
        "answered",
        "begun",
    )

    def __init__(
        self,
        request: Any,
        dialect: Dialect,
        clock: IReactorTime,
        notes: Mapping[str, str],
        answering: Callable[[], object],
    ) -> None:
        self._request = request  # IRequest names no producers
        self._dialect = dialect
        self._clock = clock
        self._notes = notes
        self._told: dict[str, str] = {}
        self._answering: Callable[[], object] | None = answering
        self._upstream: Any = None
        self._paused = False
        self._timer: IDelayedCall | None = None
        self._says: Callable[[float], str] = "waiting, {:.0f} s".format
        self._waits_since = self._spoke_at = 0.0
        self._written_at = -math.inf
        self.begun = False
        """Whether the client has its status: whatever happens now is told in the stream."""
        self.answered = False
        """Whether the client has a record: the request is not sent again any more."""

    def keep_alive(self, after: float) -> None:
        """Write comments from now on, the first in *after* seconds unless there are records; see :data:`EVERY`.

        Nothing happens where the dialect's streams have no comments.
        """
        if self._dialect.comment(""):
            self._waits_since = self._clock.seconds()
            self._spoke_at = self._waits_since + after - EVERY
            self._timer = self._clock.callLater(after, self._look)

    def waits(self, says: Callable[[float], str]) -> None:
        """The request waits for something else now.

        :param says: what for, as the text of a comment; given the seconds that it has waited for it, or for another
            record.
        """
        self._says = says
        self._waits_since = self._clock.seconds()

    def attach(self, upstream: Any) -> None:
        """An answer is on its way.

        :param upstream: its ``IPushProducer``, or None where it has failed.
        """
        self._upstream = upstream
        if self._paused and upstream is not None:
            upstream.pauseProducing()

    def write(self, records: bytes) -> None:
        """Write whole records of the answer."""
        if not self.answered:
            self.answered = True
            if self._answering is not None:
                self._answering()
            self._begin()
            self._tell_late_notes()
        self._written_at = self._clock.seconds()
        self._request.write(records)

    def finish(self, records: bytes = b"") -> None:
        """Write the last records, if there are any; nothing follows. The stream has begun."""
        self.stop()
        if not self.answered:
            self._tell_late_notes()
        if records:
            self._request.write(records)
        self._request.unregisterProducer()

    def stop(self) -> None:
        """Write no more comments, and forget whom they told of, who may know us."""
        self._upstream = self._answering = None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def pauseProducing(self) -> None:
        """The client's socket is full."""
        self._paused = True
        if self._upstream is not None:
            self._upstream.pauseProducing()

    def resumeProducing(self) -> None:
        """The client's socket has drained."""
        self._paused = False
        if self._upstream is not None:
            self._upstream.resumeProducing()

    def stopProducing(self) -> None:
        """The client is gone. Whoever waits for the answer is told by its connection."""
        if self._upstream is not None:
            self._upstream.stopProducing()

    def _begin(self) -> None:
        """Send status and headers, unless they have been."""
        if self.begun:
            return
        self.begun = True
        request = self._request
        request.setResponseCode(200)
        request.setHeader(b"content-type", self._dialect.stream_type.encode())
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-accel-buffering", b"no")
        set_id(request, self._dialect)
        set_notes(request, self._notes)
        self._told.update(self._notes)
        request.registerProducer(self, True)

    def _tell_late_notes(self) -> None:
        """Tell in comments what the head does not."""
        for name, note in self._notes.items():
            if self._told.get(name) != note:
                self._request.write(self._dialect.comment(f"{name}: {note}"))

    def _look(self) -> None:
        """Write a comment if it is time for one."""
        self._timer = None  # whatever becomes of the comment, there is nothing left to cancel
        now = self._clock.seconds()
        left = max(self._written_at, self._spoke_at) + EVERY - now
        if left <= 0:
            left = EVERY
            self._spoke_at = now
            if not self._paused:
                self._begin()
                seconds = now - max(self._written_at, self._waits_since)
                self._request.write(self._dialect.comment(self._says(seconds)))
        self._timer = self._clock.callLater(left, self._look)
