"""Carries an upstream's body to a client at the client's pace.

The upstream's transport is the real producer; :class:`BodyRelay` stands between it and the client's request
only to keep two clocks, how long the upstream may be silent and how long its answer may take in all, and to count,
since an answer without end must not be carried for ever (spec security.md, P51). How long a client may take nothing is
its channel's to judge, which sees what it takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from chatmock.errors import Kind, Refusal
from chatmock.events import Failed, Finished
from chatmock.framing import WHOLE_ANSWER_LIMIT
from chatmock.transcoding import Transcoder

_LINGER = 1.0
"""Seconds that an upstream may take to end its body properly, so that its connection can be used again."""


@implementer(IPushProducer)
class BodyRelay(Protocol):
    """One answer's body on its way.

    :param write: takes bytes for the client.
    :param idle_timeout: seconds without a record from the upstream; not counted while the client is the slow one.
    :param total_timeout: seconds from the upstream's headers to the end of its answer, whoever is slow.
    :param most_bytes: the longest answer that is carried.
    """

    log = Logger()

    def __init__(
        self,
        transcoder: Transcoder,
        write: Callable[[bytes], object],
        clock: IReactorTime,
        idle_timeout: float,
        total_timeout: float = math.inf,
        most_bytes: int = WHOLE_ANSWER_LIMIT,
    ) -> None:
        self._transcoder = transcoder
        self._write = write
        self._clock = clock
        self._idle_timeout = self._idle_left = idle_timeout
        self._total_timeout = total_timeout
        self._most_bytes = most_bytes
        self._bytes = 0
        self._records = 0
        self._timer: IDelayedCall | None = None
        self._deadline: IDelayedCall | None = None
        self._paused = False
        self._ended = False
        self._done: Deferred[Finished | Failed] = Deferred(lambda _: self.stopProducing())

    @property
    def done(self) -> Deferred[Finished | Failed]:
        """Fires with the outcome, when nothing more is to be written. Cancelling it closes the upstream."""
        return self._done

    def connectionMade(self) -> None:
        """The body begins."""
        if self._ended:
            self._close_upstream()
            return
        if self._total_timeout < math.inf:
            self._deadline = self._clock.callLater(self._total_timeout, self._took_too_long)
        if self._paused:
            self.pauseProducing()  # the client's socket was full before there was anything to pause
        else:
            self._await_record()

    def dataReceived(self, data: bytes) -> None:
        """More of the body: all that one read of the socket has brought, so there is one write for it."""
        if self._ended:
            return
        transcoder = self._transcoder
        if not self._pass_on(transcoder.feed, data):
            return
        if transcoder.outcome is not None:
            outcome = transcoder.outcome
            self._end(outcome)
            if isinstance(outcome, Finished) and outcome.cut:
                self._close_upstream()  # it would go on for nobody, at the owner's cost
            else:
                self._timer = self._clock.callLater(_LINGER, self._close_upstream)
            return
        self._bytes += len(data)
        if self._bytes > self._most_bytes:
            self._close_upstream_after(_endless(f"is longer than {self._most_bytes} bytes"))
        elif transcoder.records != self._records:
            self._records = transcoder.records
            self._idle_left = self._idle_timeout
            if self._timer is not None:
                self._timer.reset(self._idle_timeout)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body has ended, one way or another: only the transcoder knows whether it was complete."""
        self._stop_timer()
        if self._ended:
            return
        if self._pass_on(self._transcoder.close):
            self._end(self._transcoder.outcome or Failed(_misread()))

    def _pass_on(self, step: Callable[..., bytes], *data: bytes) -> bool:
        """Write what *step* makes of *data*; whether the answer goes on after it."""
        try:
            out = step(*data)
            if out:
                self._write(out)
        except Exception:  # noqa: BLE001  # Twisted would end the client's stream as if it were complete
            self.log.failure("an answer could not be translated")
            if not self._ended:
                self._close_upstream_after(_misread())
        return not self._ended

    def pauseProducing(self) -> None:
        """The client's socket is full: the upstream's clock stands still."""
        self._paused = True
        if self.transport is not None:
            self.transport.pauseProducing()  # type: ignore[attr-defined]
        if not self._ended and self._timer is not None:
            self._idle_left = max(self._timer.getTime() - self._clock.seconds(), 0.0)
            self._stop_timer()

    def resumeProducing(self) -> None:
        """The client's socket has drained: the upstream's clock goes on, or a client that is full ever again would let
        an upstream be silent for ever."""
        self._paused = False
        if self.transport is None:
            return
        if not self._ended and self._timer is None:
            self._await_record()
        self.transport.resumeProducing()  # type: ignore[attr-defined]

    def stopProducing(self) -> None:
        """The client is gone: forget it and close the upstream."""
        self._ended = True
        self._stop_timer()
        self._stop_deadline()
        self._close_upstream()

    def _end(self, outcome: Finished | Failed) -> None:
        self._ended = True
        self._stop_timer()
        self._stop_deadline()
        self._done.callback(outcome)

    def _upstream_silent(self) -> None:
        self._timer = None
        self._close_upstream_after(
            Refusal(
                Kind.UPSTREAM_TIMED_OUT,
                f"The upstream sent no record for {self._idle_timeout:g} s (CHATMOCK_IDLE_TIMEOUT).",
                code="upstream_idle",
            )
        )

    def _took_too_long(self) -> None:
        self._deadline = None
        seconds = f"{self._total_timeout:g} s"
        self._close_upstream_after(_endless(f"takes longer than {seconds} (CHATMOCK_TOTAL_TIMEOUT)"))

    def _close_upstream_after(self, refusal: Refusal) -> None:
        self._end(Failed(refusal))
        self._close_upstream()

    def _close_upstream(self) -> None:
        if self.transport is not None:
            self.transport.stopProducing()  # type: ignore[attr-defined]

    def _await_record(self) -> None:
        self._timer = self._clock.callLater(self._idle_left, self._upstream_silent)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _stop_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()


def _endless(fault: str) -> Refusal:
    return Refusal(
        Kind.UPSTREAM_FAILED,
        f"The upstream's answer {fault}. What came so far is cut short.",
        code="upstream_limit",
    )


def _misread() -> Refusal:
    return Refusal(
        Kind.INTERNAL,
        "chatmock failed to translate the upstream's answer. Its log says why; please report it.",
    )
