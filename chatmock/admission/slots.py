"""The queue in front of the upstreams: so many answers at once, so many waiting, for so long.

A permit is held until the answer has ended, and is given back exactly once whatever happens. The semaphore is
Twisted's; what stands around it bounds the queue, ends the wait, and keeps a long queue from being served on
one ever deeper stack (twisted-notes pitfalls 30 to 32).
"""

from __future__ import annotations

import math

from twisted.internet.defer import DeferredSemaphore, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from chatmock.errors import Kind, Refusal

_LONGEST_RETRY_AFTER = 3600
_WEIGHT_OF_NEWEST = 0.3


class Permit:
    """The right to ask an upstream, held by one request."""

    def __init__(self, slots: Slots, taken_at: float) -> None:
        self._slots: Slots | None = slots
        self.taken_at = taken_at

    def release(self) -> None:
        """Give the permit back; doing it again does nothing."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots._give_back(self)  # noqa: SLF001  # a permit is its slots' other half


class Slots:
    """So many permits, and a bounded queue for them.

    :param running: permits in all. *waiting*: the most requests that may wait; 0 for none.
    :param patience: seconds that a request may wait.
    """

    def __init__(self, running: int, waiting: int, patience: float, clock: IReactorTime) -> None:
        self._running = running
        self._waiting_limit = waiting
        self._patience = patience
        self._clock = clock
        self._semaphore = DeferredSemaphore(running)
        self._held: dict[Permit, None] = {}
        self._mean_hold: float | None = None

    @property
    def held(self) -> int:
        """How many permits are out."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._semaphore.waiting)

    async def acquire(self) -> Permit:
        """Wait for a permit.

        Cancelling leaves the queue.

        :raises Refusal: rate limited, with a retry-after, when the queue is full or the wait too long.
        """
        queued = self._semaphore.tokens == 0
        if queued and self.waiting >= self._waiting_limit:
            raise self._refuse(
                f"{self.held} answers are running and {self.waiting} requests wait, which is the most"
            )
        acquired = self._semaphore.acquire()
        if not queued:
            await acquired
            return self._hand_out()
        try:
            await acquired.addTimeout(self._patience, self._clock)
        except TimeoutError:
            raise self._refuse(f"No permit came free within {self._patience:g} s") from None
        permit = self._hand_out()
        try:
            # Leave the stack of whoever released: a queue served on it would outgrow it.
            await deferLater(self._clock, 0)
        except BaseException:
            permit.release()
            raise
        return permit

    def retry_after(self) -> int:
        """About how many seconds until a new request would get its turn; at least 1."""
        hold = self._mean_hold
        if hold is None:
            # Nothing has ended yet: an answer that has run so long will run about as long again.
            now = self._clock.seconds()
            hold = max((now - permit.taken_at for permit in self._held), default=0.0)
        seconds = hold * (self.waiting + 1) / self._running
        return min(max(math.ceil(seconds), 1), _LONGEST_RETRY_AFTER)

    def _hand_out(self) -> Permit:
        permit = Permit(self, self._clock.seconds())
        self._held[permit] = None
        return permit

    def _give_back(self, permit: Permit) -> None:
        del self._held[permit]
        hold = self._clock.seconds() - permit.taken_at
        known = self._mean_hold
        self._mean_hold = hold if known is None else known + _WEIGHT_OF_NEWEST * (hold - known)
        self._semaphore.release()

    def _refuse(self, why: str) -> Refusal:
        wait = self.retry_after()
        return Refusal(
            Kind.RATE_LIMITED,
            f"{why} (CHATMOCK_MAX_CONCURRENCY, CHATMOCK_QUEUE_LIMIT, CHATMOCK_QUEUE_TIMEOUT)."
            f" Try again in about {wait} s.",
            code="queue_full",
            retry_after=wait,
        )
