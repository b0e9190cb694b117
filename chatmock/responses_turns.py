"""The requests of one Responses WebSocket: one is answered at a time, the others wait in their order.

    IDLE ── response.create ──> ANSWERING ── its end, told in a frame ──> the next that waits, or IDLE
    ANSWERING ── response.cancel ──> the answer ends as one that has failed

What is refused leaves the socket as it is, unless its key is good no more. A key is looked at again for each request,
since it may have been revoked.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatmock.admission.client import Client
from chatmock.admission.rates import Rates
from chatmock.errors import Kind, Refusal, bad_request, fault_of_ours
from chatmock.exchange import Desk
from chatmock.kept_answers.entries import owner_of
from chatmock.kept_answers.live import KeptAnswers
from chatmock.responses_frames import CREATE, DIALECT, Frame, FrameMemory, FrameRequest, prepare
from chatmock.responses_memory import RecentAnswers, ResponsesMemory, SocketAnswers

_log = Logger(namespace="chatmock.responses")
NOTHING_ELSE_BYTES: Final = 4096
"""The most bytes of a message that asks for nothing."""
_CREATE_TEXT: Final = f'"{CREATE}"'.encode()


class End(Protocol):
    """The socket, as its requests see it."""

    def request(self) -> FrameRequest:
        """A request that has just come."""

    def refused(self) -> None:
        """Its client may ask nothing any more."""

    def rests(self) -> None:
        """Nothing is asked any more; until the next :meth:`works`."""

    def works(self) -> None:
        """Something is answered."""


class Counted(Rates):
    """For requests that were counted when they came, before they were read."""

    def __init__(self) -> None:
        super().__init__(1.0, 1)

    def spend(self, client: Client, now: float) -> None:
        """Count nothing."""


def desk_of_counted(desk: Desk) -> Desk:
    """The *desk* for requests that were counted."""
    return attrs.evolve(desk, guard=attrs.evolve(desk.guard, rates=Counted()))


def check_size(message: bytes) -> None:
    """See, before it is read, that a large *message* is a request.

    :raises Refusal: too large.
    """
    if len(message) > NOTHING_ELSE_BYTES and _CREATE_TEXT not in message:
        raise too_large_for_nothing()


def too_large_for_nothing() -> Refusal:
    """A message has more bytes than one may have that asks for nothing."""
    return Refusal(
        Kind.TOO_LARGE,
        f"A frame of another type than {CREATE} has at most {NOTHING_ELSE_BYTES} bytes.",
        code="frame_too_large",
    )


class Turns:
    """The requests of one socket.

    :param desk: see :func:`desk_of_counted`.
    :param head: the request that the socket began with.
    :param most: requests that may wait.
    :param most_bytes: their bytes.
    """

    def __init__(
        self,
        desk: Desk,
        kept: KeptAnswers,
        recent: RecentAnswers,
        head: Any,
        end: End,
        most: int,
        most_bytes: int,
    ) -> None:
        self._desk = desk
        self._kept = kept
        self._beside = SocketAnswers(recent, id(self))
        self._head = head
        self._end = end
        self._most = most
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[FrameMemory, int]] = deque()
        self._answering = False
        self._answer: Deferred[None] | None = None
        self._over = False

    def ask(self, frame: Frame, size: int) -> None:
        """Answer *frame*, a ``response.create`` of *size* bytes, after those that came before it.

        :raises Refusal: when too many wait.
        """
        if len(self._waiting) >= self._most or (
            size + sum(waits for _, waits in self._waiting) > self._most_bytes
        ):
            raise _too_many(self._most)
        self._waiting.append((FrameMemory(frame), size))
        self._go_on()

    def cancel(self) -> None:
        """End the response that is on its way, as its client asks.

        :raises Refusal: when there is none.
        """
        if self._answer is None:
            raise bad_request("There is no response to cancel.", code="no_active_response")
        self._answer.cancel()

    def forget(self) -> None:
        """Nothing is answered any more."""
        self._over = True
        self._waiting.clear()
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.cancel()

    def stop(self) -> None:
        """The socket is gone, and what it remembers."""
        self.forget()
        self._beside.recent.forget(self._beside.socket)

    def _go_on(self) -> None:
        """Answer the next frame that waits, unless one is being answered."""
        while self._waiting and not self._answering:
            asked, _ = self._waiting.popleft()
            self._end.works()
            self._answering = True
            answer = Deferred.fromCoroutine(self._respond(asked))
            answer.addErrback(_log_fault)
            answer.addCallback(self._answered)
            if not answer.called:
                self._answer = answer

    def _answered(self, _: object) -> None:
        self._answering, self._answer = False, None
        if not self._over:
            self._end.rests()
            self._go_on()

    async def _respond(self, asked: FrameMemory) -> None:
        """Answer *asked*; see :meth:`~chatmock.exchange.Desk.answer`."""
        request = self._end.request()
        try:
            await self._ask(request, asked)
        except Refusal as refusal:
            request.refuse(refusal)
        except CancelledError:
            request.refuse(_cancelled())
        except Exception:
            request.refuse(fault_of_ours())
            raise
        finally:
            request.unregisterProducer()  # whoever was cancelled has not
            self._head.channel.site.access.answered(request)

    async def _ask(self, request: FrameRequest, asked: FrameMemory) -> None:
        desk = self._desk
        refusal = desk.guard.admit(self._head)
        if refusal is not None:
            request.refuse(refusal)
            self._end.refused()
            return
        request.client = self._head.client
        memory = asked.of(ResponsesMemory(self._kept, owner_of(request.client), self._beside))
        if not memory.asks:
            await prepare(desk, request, memory)
            return
        body = await desk.answer(request, DIALECT, memory)  # type: ignore[arg-type]  # as much of a request as it needs
        if body is not None:
            request.send_error(body)


def _log_fault(failure: Failure) -> None:
    _log.failure("a request of a WebSocket failed for a fault of chatmock", failure=failure)


def _cancelled() -> Refusal:
    return Refusal(
        Kind.CANCELLED, "The response was cancelled, as its client asked.", code="response_cancelled"
    )


def _too_many(most: int) -> Refusal:
    return Refusal(
        Kind.RATE_LIMITED,
        f"Only {most} requests wait in a socket while another is answered, as many bytes as one may have. Wait for its end.",
        code="too_many_waiting",
    )
