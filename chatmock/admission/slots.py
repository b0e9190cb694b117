"""Permits to ask the upstreams, and the wait for one: so many answers at once, so many waiting, for so long.

Who is next says :mod:`chatmock.admission.fair_queue`; here are the permits, the clock and the Deferreds. A permit is
held until the answer has ended, and is given back exactly once whatever happens.

* A client that may not have more at once (its key's ``concurrency``) waits although permits are free.
* No client holds all permits while another waits that may be served, as far as there is more than one.
* Twisted's semaphore counts the permits. Nobody waits in it: it would serve those who wait on the stack of whoever
  releases, first come first served, and without bounds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from chatmock.admission.client import Client
from chatmock.admission.fair_queue import FairQueue, Place, QueueFull, Ticket
from chatmock.admission.queue_report import Count, QueueReport
from chatmock.errors import Kind, Refusal

T = TypeVar("T")
_LONGEST_RETRY_AFTER = 3600
_WEIGHT_OF_NEWEST = 0.3


class Permit:
    """The right to ask an upstream, held by one request."""

    __slots__ = ("_slots", "_turn", "taken_at")

    def __init__(self, slots: Slots, turn: Turn, taken_at: float) -> None:
        self._slots: Slots | None = slots
        self._turn = turn
        self.taken_at = taken_at

    @property
    def client(self) -> Client:
        """Whose it is."""
        return self._turn.client

    def complete(self) -> None:
        """Give the permit back of a request that was answered to its end: such ones say how long an answer takes."""
        if self._slots is not None:
            self._slots._learn(self)  # noqa: SLF001  # a permit is its slots' other half
        self.release()

    def refund(self) -> None:
        """Give the permit back of a request that failed before its first byte, and its client the charge."""
        if self._slots is not None:
            self._slots._refund(self._turn)  # noqa: SLF001
        self.release()

    def release(self) -> None:
        """Give the permit back, of a client that has left say; nothing where that has been done in any way."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots._give_back(self)  # noqa: SLF001


@attrs.define(eq=False)
class Turn(Ticket):
    """A request's turn: to come, or there. Made by :meth:`Slots.join`."""

    _slots: Slots
    permit: Deferred[Permit] = attrs.field(init=False)
    """Fires when the turn has come. Cancelling leaves the queue.

    It fails with a :class:`~chatmock.errors.Refusal` (rate limited, with a retry-after) when that takes too long.
    """
    queued: bool = attrs.field(default=False, init=False)
    """Whether it has had to wait, and was charged for its turn."""
    _waiting: bool = attrs.field(default=False, init=False)
    _timer: IDelayedCall | None = attrs.field(default=None, init=False)
    _untold: Permit | None = attrs.field(default=None, init=False)
    """Granted, but not yet told."""

    def __attrs_post_init__(self) -> None:
        self.permit = Deferred(lambda _: self._leave())

    @property
    def place(self) -> Place | None:
        """Where it stands in the queue; None when it does not wait (any more)."""
        return self._slots._place(self) if self._waiting else None  # noqa: SLF001

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Wait for the turn, and do *work* in it; returns what that brings.

        The permit is given back when *work* ends, however it does; when that is with a refusal, the charge is too.
        """
        permit = await self.permit
        try:
            done = await work()
            permit.complete()
        except Refusal:
            permit.refund()
            raise
        finally:
            permit.release()
        return done

    def wait(self, clock: IReactorTime, patience: float) -> None:
        """Wait in the queue, *patience* seconds long."""
        self.queued = self._waiting = True
        self._timer = clock.callLater(patience, self._give_up, patience)

    def grant(self, permit: Permit, clock: IReactorTime) -> None:
        """The turn has come: told at once, or where it was waited for a moment later.

        That leaves the stack of whoever released, which a queue served on it would outgrow.
        """
        if not self.queued:
            self.permit.callback(permit)
            return
        self._stop_timer()
        self._waiting = False
        self._untold = permit
        self._timer = clock.callLater(0, self._tell, permit)

    def _tell(self, permit: Permit) -> None:
        self._timer = self._untold = None
        self.permit.callback(permit)

    def _give_up(self, patience: float) -> None:
        self._timer = None
        refusal = self._slots._too_long(self, patience)  # noqa: SLF001
        self._forget()
        self.permit.errback(refusal)

    def _leave(self) -> None:
        self._stop_timer()
        if self._waiting:
            self._forget()
        elif self._untold is not None:
            self._untold.refund()

    def _forget(self) -> None:
        self._waiting = False
        self._slots._queue.remove(self)  # noqa: SLF001

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


class Slots:
    """So many permits, and a bounded, fair queue for them.

    :param running: permits in all.
    :param queue: who waits, with its bounds.
    :param patience: seconds that a request may wait.
    """

    def __init__(self, running: int, queue: FairQueue[Turn], patience: float, clock: IReactorTime) -> None:
        self._running = running
        self._queue = queue
        self._patience = patience
        self._clock = clock
        self._semaphore = DeferredSemaphore(running)
        self._held: dict[Permit, None] = {}
        self._held_by: Counter[str] = Counter()
        self._mean_hold: float | None = None

    @property
    def held(self) -> int:
        """How many permits are out."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    def join(self, client: Client) -> Turn:
        """Ask for a permit for *client*, which comes at once where one is free; see :attr:`Turn.permit`.

        :raises Refusal: rate limited, with a retry-after, when there is no room to wait.
        """
        turn = Turn(client, self)
        if self._semaphore.tokens and self._below_cap(turn):
            self._hand_out(turn)
            return turn
        try:
            self._queue.push(turn)
        except QueueFull as full:
            raise self._no_room(turn, full.own) from None
        turn.wait(self._clock, self._patience)
        return turn

    def report(self, client: Client) -> QueueReport:
        """How things stand, as *client* may know it."""
        name = client.name
        own = Count(self._held_by[name], self._queue.count(name))
        others = {*self._held_by, *self._queue.names} - {name}
        return QueueReport(
            permits=self._running,
            limit=self._queue.most,
            mean_hold=self._mean_hold,
            name=name,
            own=own,
            others=Count(self.held - own.held, self.waiting - own.waiting),
            other_clients=len(others),
        )

    def _below_cap(self, turn: Turn) -> bool:
        """Whether the client may have another permit."""
        return self._held_by[turn.client.name] < self._cap(turn.client)

    def _cap(self, client: Client) -> int:
        own = None if client.key is None else client.key.concurrency
        return self._running if own is None else min(own, self._running)

    def _leaves_some(self, turn: Turn) -> bool:
        """Whether the client may have another permit, and there would be one left that it does not hold."""
        return self._below_cap(turn) and self._held_by[turn.client.name] < self._running - 1

    def _serve(self) -> None:
        """Hand out what is free to those who may have it."""
        while self._semaphore.tokens:
            turn = self._queue.pop(self._leaves_some) or self._queue.pop(self._below_cap)
            if turn is None:
                return
            self._hand_out(turn)

    def _hand_out(self, turn: Turn) -> None:
        self._semaphore.acquire()
        permit = Permit(self, turn, self._clock.seconds())
        self._held[permit] = None
        self._held_by[turn.client.name] += 1
        turn.grant(permit, self._clock)

    def _learn(self, permit: Permit) -> None:
        hold = self._clock.seconds() - permit.taken_at
        known = self._mean_hold
        self._mean_hold = hold if known is None else known + _WEIGHT_OF_NEWEST * (hold - known)

    def _refund(self, turn: Turn) -> None:
        if turn.queued:
            self._queue.refund(turn)

    def _give_back(self, permit: Permit) -> None:
        del self._held[permit]
        name = permit.client.name
        self._held_by[name] -= 1
        if not self._held_by[name]:
            del self._held_by[name]
        self._semaphore.release()
        self._serve()

    def _place(self, turn: Turn) -> Place:
        ahead = self._queue.ahead(turn)
        return Place(ahead, self.waiting, self._seconds(ahead))

    def _seconds(self, ahead: int) -> float | None:
        """About how long it takes until *ahead* others and then one more have been served."""
        hold = self._mean_hold
        if hold is None and self._held:
            # Nothing has ended yet: an answer that has run so long will run about as long again.
            hold = self._clock.seconds() - min(permit.taken_at for permit in self._held)
        return None if hold is None else hold * (ahead + 1) / self._running

    def _no_room(self, turn: Turn, own: bool) -> Refusal:
        ahead = self._queue.ahead_of_new(turn)
        place = Place(ahead, self.waiting + 1, self._seconds(ahead))
        if own:
            count = self._queue.count(turn.client.name)
            why = f"{count} requests of yours wait already, which is the most (CHATMOCK_CLIENT_QUEUE_LIMIT)"
        else:
            why = (
                f"{self.held} answers are running and {self.waiting} requests wait, which is the most"
                " (CHATMOCK_MAX_CONCURRENCY, CHATMOCK_QUEUE_LIMIT)"
            )
        return _refuse(why, "queue_full", place, f"This one would have had {place.words}")

    def _too_long(self, turn: Turn, patience: float) -> Refusal:
        place = self._place(turn)
        why = f"The request's turn has not come within {patience:g} s (CHATMOCK_QUEUE_TIMEOUT)"
        return _refuse(why, "queue_timeout", place, f"It had {place.words}")


def _refuse(why: str, code: str, place: Place, standing: str) -> Refusal:
    wait = min(max(math.ceil(place.seconds or 0), 1), _LONGEST_RETRY_AFTER)
    return Refusal(
        Kind.RATE_LIMITED,
        f"{why}. {standing}. Try again in about {wait} s.",
        code=code,
        retry_after=wait,
        more={"queue_position": place.position, "queue_length": place.length},
    )
