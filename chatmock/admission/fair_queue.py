"""Who is next: deficit round-robin between clients, first come first served within one, in priority classes. Pure.

* **Round.** The clients of a class stand in a ring. Whose turn it is gets a credit of one and is served as long as it
  has credit; each request takes one, then the turn goes on. So each client gets one a round, however many it has
  waiting. Requests all cost the same because nobody knows before how long an answer takes.
* **Refund.** What a request took that failed before its first byte is credited again: its client then has two turns
  in one round, never more.
* **Classes.** A higher class goes first, but a class is passed over :data:`PASSED_OVER` times at most, then it has a
  turn. So a lower class gets at least one permit in ``PASSED_OVER`` + the number of classes.
* **Exclusion.** Who may not be served now (its own cap is reached) is passed by, without credit, and counts as passed
  over in neither sense.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

import attrs

from chatmock.admission.client import Client

PASSED_OVER: Final = 8
"""How often a class waits while higher ones are served."""
_MOST_REFUNDED = 1024


@attrs.define(eq=False)
class Ticket:
    """A request that waits."""

    client: Client


@attrs.frozen
class Place:
    """Where a request stands in the queue, if nobody of more right came."""

    ahead: int
    """Requests that are served before it."""
    length: int
    """Requests that wait, this one included."""
    seconds: float | None = None
    """About how long until it is served; None where nothing is known to judge by."""

    @property
    def position(self) -> int:
        """1 for the next one."""
        return self.ahead + 1

    @property
    def words(self) -> str:
        """``place 3 of 7, about 40 s``."""
        about = "" if self.seconds is None else f", about {max(math.ceil(self.seconds), 1)} s"
        return f"place {self.position} of {self.length}{about}"


class QueueFull(Exception):
    """There is no room for another request.

    :param own: whether it is the client that has its share, rather than the queue that is full.
    """

    def __init__(self, own: bool) -> None:
        super().__init__("the client's share of the queue is used up" if own else "the queue is full")
        self.own = own


T = TypeVar("T", bound=Ticket)


@attrs.define(eq=False)
class _Line(Generic[T]):
    """The waiting requests of one client, which are never none."""

    name: str
    tickets: OrderedDict[T, None]
    credit: int = 0
    """Requests that it may have served in its turn: those of refunds, and in its turn one more."""

    @property
    def head(self) -> T:
        return next(iter(self.tickets))

    def copy(self) -> _Line[T]:
        return _Line(self.name, self.tickets.copy(), self.credit)


@attrs.define(eq=False)
class _Ring(Generic[T]):
    """The clients of one class; the turn is the first one's."""

    priority: int
    lines: deque[_Line[T]] = attrs.field(factory=deque)
    credited: bool = False
    """Whether the first one has had its credit of this round."""
    passed: int = 0
    """How often higher classes were served meanwhile."""

    def copy(self) -> _Ring[T]:
        return _Ring(self.priority, deque(line.copy() for line in self.lines), self.credited, self.passed)

    def next(self, may: Callable[[T], bool]) -> _Line[T]:
        """The line to serve; at least one may be. It then stands first."""
        while not may(self.lines[0].head):
            self.pass_on()
        line = self.lines[0]
        if not self.credited:
            line.credit += 1
            self.credited = True
        return line

    def pass_on(self) -> None:
        """The turn is the next one's."""
        self.lines.rotate(-1)
        self.credited = False

    def drop(self, line: _Line[T]) -> None:
        """The client has nothing waiting any more."""
        if self.lines[0] is line:
            self.credited = False
        self.lines.remove(line)


def anybody(ticket: Ticket) -> bool:
    """Whoever it is may be served."""
    return True


class FairQueue(Generic[T]):
    """The queue.

    :param most: requests that may wait in all, *most_of_one*: of one client.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self.most = most
        """Requests that may wait in all."""
        self._most_of_one = most_of_one
        self._rings: dict[int, _Ring[T]] = {}
        """By priority, highest first; none is empty."""
        self._lines: dict[str, tuple[_Ring[T], _Line[T]]] = {}
        self._refunded: OrderedDict[str, None] = OrderedDict()
        """Clients with a refund that have nothing waiting, for as long as others have."""
        self._size = 0
        self._places: Mapping[T, int] | None = None
        """How many go before each, as foretold since the queue last changed."""

    def __len__(self) -> int:
        return self._size

    @property
    def names(self) -> list[str]:
        """The clients that have something waiting."""
        return list(self._lines)

    def count(self, name: str) -> int:
        """How many requests the client *name* has waiting."""
        return len(self._lines[name][1].tickets) if name in self._lines else 0

    def push(self, ticket: T) -> None:
        """Let a request wait, behind those of its client.

        Its class is that of the client's oldest waiting request, should the key's priority have changed meanwhile.

        :raises QueueFull: when there is no room.
        """
        own = self.count(ticket.client.name) >= self._most_of_one
        if own or self._size >= self.most:
            raise QueueFull(own)
        self._line(ticket.client).tickets[ticket] = None
        self._size += 1
        self._places = None

    def remove(self, ticket: T) -> None:
        """Forget a request that waits."""
        ring, line = self._lines[ticket.client.name]
        del line.tickets[ticket]
        self._size -= 1
        self._places = None
        if not line.tickets:
            ring.drop(line)
            del self._lines[line.name]
            if not ring.lines:
                del self._rings[ring.priority]
        if not self._size:
            self._refunded.clear()

    def pop(self, may: Callable[[T], bool] = anybody) -> T | None:
        """Take out the request to serve next; None when nobody may be served.

        :param may: whether a request may be served now, the same for all of one client.
        """
        ring = self._class_to_serve(may)
        if ring is None:
            return None
        line = ring.next(may)
        ticket = line.head
        line.credit -= 1
        self.remove(ticket)
        if line.tickets and not line.credit:
            ring.pass_on()
        return ticket

    def refund(self, ticket: T) -> None:
        """Credit the client of *ticket*, served before, who has then twice its turn at most."""
        name = ticket.client.name
        self._places = None
        if name in self._lines:
            line = self._lines[name][1]
            line.credit = max(line.credit, 1)
        elif self._size:
            self._refunded[name] = None
            if len(self._refunded) > _MOST_REFUNDED:
                self._refunded.popitem(last=False)

    def ahead(self, ticket: T) -> int:
        """How many requests are served before *ticket*, which waits, as things stand."""
        if self._places is None:  # all who wait ask, again and again
            self._places = {each: count for count, each in enumerate(iter(self._copy().pop, None))}
        return self._places[ticket]

    def ahead_of_new(self, ticket: T) -> int:
        """How many would be served before *ticket*, if it waited too, bounds aside."""
        queue = self._copy()
        queue.most = queue._most_of_one = self._size + 1  # noqa: SLF001  # the same class
        queue.push(ticket)
        return queue.ahead(ticket)

    def _line(self, client: Client) -> _Line[T]:
        if client.name not in self._lines:
            priority = 0 if client.key is None else client.key.priority
            if priority not in self._rings:
                self._rings[priority] = _Ring(priority)
                self._rings = dict(sorted(self._rings.items(), reverse=True))
            ring = self._rings[priority]
            line: _Line[T] = _Line(client.name, OrderedDict())
            if client.name in self._refunded:
                del self._refunded[client.name]
                line.credit = 1
            ring.lines.append(line)
            self._lines[client.name] = ring, line
        return self._lines[client.name][1]

    def _class_to_serve(self, may: Callable[[T], bool]) -> _Ring[T] | None:
        rings = [ring for ring in self._rings.values() if any(may(line.head) for line in ring.lines)]
        if not rings:
            return None
        # The first of the most overdue, else the highest.
        chosen = max(rings, key=lambda ring: ring.passed if ring.passed >= PASSED_OVER else 0)
        for ring in rings:
            ring.passed += ring.priority < chosen.priority
        chosen.passed = 0
        return chosen

    def _copy(self) -> FairQueue[T]:
        copy: FairQueue[T] = FairQueue(self.most, self._most_of_one)
        copy._rings = {priority: ring.copy() for priority, ring in self._rings.items()}
        copy._lines = {line.name: (ring, line) for ring in copy._rings.values() for line in ring.lines}
        copy._size = self._size
        copy._refunded = self._refunded.copy()
        return copy
