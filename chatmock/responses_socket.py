"""The WebSocket of the Responses API: ``GET /v1/responses`` with an upgrade (spec chatgpt.md, 3.9).

The channel has had the head admitted before its route is asked, and stays the connection's owner: it counts it, and
drops a client that takes nothing. Autobahn frames. One response at a time; further frames wait in their order:

    IDLE ── response.create ──> ANSWERING ── its end, told in a frame ──> the next that waits, or IDLE
    any ── a frame that is none, a first one of another type, too many that wait ──> error ──> CLOSING
    any ── the service stops, nothing is asked for an hour, no sign of life ──> CLOSING
    CLOSING ── the client's close frame, or some seconds ──> the connection ends

Whoever leaves has its request cancelled. A key is looked at again for each frame, since it may have been revoked.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import attrs
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatmock.deadlines import Deadline
from chatmock.dialects.openai_parse import read_object
from chatmock.errors import Kind, Refusal, bad_request, fault_of_ours
from chatmock.exchange import Desk
from chatmock.http_terms import too_slow
from chatmock.kept_answers.entries import owner_of
from chatmock.kept_answers.live import KeptAnswers
from chatmock.responses_frames import (
    CANCEL,
    CREATE,
    DIALECT,
    NOTICES,
    Frame,
    FrameMemory,
    FrameRequest,
    prepare,
)
from chatmock.responses_memory import RecentAnswers, ResponsesMemory, SocketAnswers
from chatmock.socket_wire import VERSION, Silent, Wire, handshake_key

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
REFUSED: Final = 1008
_log = Logger(namespace="chatmock.responses")


@attrs.frozen
class SocketBounds:
    """Seconds and frames of one socket."""

    message_seconds: float = 30.0
    """From the first frame of a message to its last."""
    ping_seconds: float = 30.0
    """Between two pings; a client that was not heard of since the last one is gone."""
    idle_seconds: float = 3600.0
    """Without a request."""
    close_seconds: float = 2.0
    """For the client to answer a close frame."""
    most_waiting: int = 8
    """Frames that wait for a response to end."""


class ResponsesSockets:
    """All sockets of the daemon.

    :param max_message_bytes: the most bytes of one message, and of all that wait in one socket.
    """

    def __init__(
        self, desk: Desk, kept: KeptAnswers, max_message_bytes: int, bounds: SocketBounds | None = None
    ) -> None:
        self.desk = desk
        self.kept = kept
        self.bounds = bounds or SocketBounds()
        self.max_message_bytes = max_message_bytes
        self.recent = RecentAnswers()
        self.open: set[ResponsesSocket] = set()
        self._factory = WebSocketServerFactory(server="chatmock", reactor=desk.clock)
        self._factory.setProtocolOptions(
            versions=[int(VERSION)],
            webStatus=False,
            maxFramePayloadSize=max_message_bytes,
            maxMessagePayloadSize=max_message_bytes,
            failByDrop=False,
            # Autobahn would keep its time on the global reactor, in buckets: the clocks are those of this module.
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            autoPingInterval=0,
        )
        self._factory.isSecure = False

    def accept(self, request: Any) -> Deferred[bytes]:
        """Make *request*, which was admitted, a socket; never fires.

        :raises Refusal: when it does not ask for one in the form of RFC 6455.
        """
        key = handshake_key(request)
        request.setResponseCode(101)
        channel = request.channel
        socket = ResponsesSocket(self, request)
        socket.factory = self._factory
        self.open.add(socket)
        channel.hand_over(request, socket)
        socket.makeConnection(Wire(channel))  # type: ignore[no-untyped-call]
        # Of the head only what Autobahn has to know: the rest was judged, and is not to be judged again by other rules.
        socket.dataReceived(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: %b\r\nSec-WebSocket-Key: %b\r\n\r\n" % (VERSION, key)
        )
        return Deferred(lambda _: None)

    async def stop(self) -> None:
        """Close all sockets; they are gone when this returns."""
        gone = [socket.gone for socket in self.open]
        for socket in list(self.open):
            socket.leave(GOING_AWAY, "the server stops")
        await DeferredList(gone)


class ResponsesSocket(WebSocketServerProtocol):
    """One client's socket.

    :param head: the request that it began with.
    """

    log = Silent()

    def __init__(self, sockets: ResponsesSockets, head: Any) -> None:
        super().__init__()
        self.gone: Deferred[None] = Deferred()
        """Fires when the connection is lost."""
        self._sockets = sockets
        self._bounds = sockets.bounds
        self._desk = sockets.desk
        self._head = head
        self._access = head.channel.site.access
        self._waiting: deque[tuple[Frame, int]] = deque()
        self._answering = False
        self._answer: Deferred[None] | None = None
        self._asked = False
        """Whether there was a request."""
        self._heard = True
        """Whether anything has come since the last ping."""
        clock = sockets.desk.clock
        self._alive = Deadline(clock, self._look)
        self._message_due = Deadline(clock, self._message_late)
        self._idle = Deadline(clock, lambda: self.leave(NORMAL, "nothing was asked for too long"))
        self._close_due = Deadline(clock, self.dropConnection)

    # What Autobahn tells

    def onConnect(self, request: object) -> tuple[None, dict[str, str]]:
        """The handshake is answered."""
        return None, {"X-Request-Id": self._head.request_id}

    def onOpen(self) -> None:
        """It begins."""
        self._alive.set(self._bounds.ping_seconds)
        self._idle.set(self._bounds.idle_seconds)

    def dataReceived(self, data: bytes) -> None:
        """The next bytes."""
        self._heard = True
        super().dataReceived(data)

    def onMessageBegin(self, isBinary: bool) -> None:
        """The first frame of a message begins."""
        super().onMessageBegin(isBinary)
        self._message_due.set(self._bounds.message_seconds)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A whole message."""
        self._message_due.clear()
        if self.state != self.STATE_OPEN:
            return
        try:
            if isBinary:
                raise bad_request("A frame is JSON text; this one is binary.", code="invalid_frame")
            self._take(read_object(payload), len(payload))
        except Refusal as refusal:
            self._request().refuse(refusal)
            self.leave(REFUSED, "see the error before")

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        """Autobahn closes, whoever has begun with it: nothing is answered any more."""
        is_first = self.state == self.STATE_OPEN
        super().sendCloseFrame(code, reasonUtf8, isReply)
        if is_first:
            self._forget_requests()
            self._close_due.set(self._bounds.close_seconds)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        super().connectionLost(reason)
        for deadline in (self._alive, self._message_due, self._idle, self._close_due):
            deadline.stop()
        self._forget_requests()
        self._sockets.recent.forget(id(self))
        self._sockets.open.discard(self)
        self.gone.callback(None)

    # What goes on

    def leave(self, code: int, words: str) -> None:
        """Close, and say why."""
        self.sendCloseFrame(code, words.encode())

    def send(self, data: bytes) -> None:
        """Send the text frame *data*, while it is open."""
        if self.state == self.STATE_OPEN:
            # Not by `sendMessage`, which bounds what is sent by what may come.
            self.sendPreparedMessage(self.factory.prepareMessage(data, isBinary=False, doNotCompress=True))

    def _take(self, frame: Frame, size: int) -> None:
        """Act on a message.

        :raises Refusal: when the socket is to be closed for it.
        """
        kind = frame.get("type")
        if kind == CREATE:
            self._asked = True
            if len(self._waiting) >= self._bounds.most_waiting or (
                size + sum(waits for _, waits in self._waiting) > self._sockets.max_message_bytes
            ):
                raise _too_many(self._bounds.most_waiting)
            self._waiting.append((frame, size))
            self._go_on()
        elif not self._asked:
            raise bad_request(
                f"The first frame is {{'type': '{CREATE}', …}}.", param="type", code="invalid_frame"
            )
        elif kind == CANCEL:
            self._cancel()
        elif kind not in NOTICES:
            self._request().refuse(
                bad_request(f"'type' is {CREATE} or {CANCEL}.", param="type", code="unknown_event")
            )

    def _go_on(self) -> None:
        """Answer the next frame that waits, unless one is being answered."""
        while self._waiting and not self._answering:
            frame, _ = self._waiting.popleft()
            self._idle.clear()
            self._answering = True
            answer = Deferred.fromCoroutine(self._respond(frame))
            answer.addErrback(_log_fault)
            answer.addCallback(self._answered)
            if not answer.called:
                self._answer = answer

    def _answered(self, _: object) -> None:
        self._answering, self._answer = False, None
        self._wire.unregisterProducer()  # whoever was cancelled has not
        if self.state == self.STATE_OPEN:
            self._idle.set(self._bounds.idle_seconds)
            self._go_on()

    async def _respond(self, frame: Frame) -> None:
        """Answer *frame*; see :meth:`~chatmock.exchange.Desk.answer`."""
        request = self._request()
        try:
            await self._ask(request, frame)
        except Refusal as refusal:
            request.refuse(refusal)
        except CancelledError:
            request.refuse(_cancelled())
        except Exception:
            request.refuse(fault_of_ours())
            raise
        finally:
            self._access.answered(request)

    async def _ask(self, request: FrameRequest, frame: Frame) -> None:
        desk = self._desk
        refusal = desk.guard.admit(self._head)
        if refusal is not None:
            request.refuse(refusal)
            self.leave(REFUSED, "see the error before")
            return
        request.client = self._head.client
        beside = SocketAnswers(self._sockets.recent, id(self))
        memory = FrameMemory(ResponsesMemory(self._sockets.kept, owner_of(request.client), beside), frame)
        if frame.get("generate") is False:
            await prepare(desk, request, memory)
            return
        body = await desk.answer(request, DIALECT, memory)  # type: ignore[arg-type]  # as much of a request as it needs
        if body is not None:
            request.send_error(body)

    def _cancel(self) -> None:
        """End the response that is on its way, as its client asks."""
        if self._answer is None:
            self._request().refuse(bad_request("There is no response to cancel.", code="no_active_response"))
        else:
            self._answer.cancel()

    def _forget_requests(self) -> None:
        self._waiting.clear()
        self._idle.clear()
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.cancel()

    def _request(self) -> FrameRequest:
        return FrameRequest(self._head, self._wire, self.send, self._desk.clock.seconds())

    @property
    def _wire(self) -> Wire:
        wire: Any = self.transport
        assert isinstance(wire, Wire), "it is made with one"
        return wire

    def _look(self) -> None:
        """It is time to see whether the client is still there; one that takes nothing is its channel's to judge."""
        if not self._wire.is_stalled:
            if not self._heard:
                self.dropConnection()
                return
            self._heard = False
            self.sendPing()
        self._alive.set(self._bounds.ping_seconds)

    def _message_late(self) -> None:
        if self._wire.is_stalled:  # then nothing is read of it
            self._message_due.set(self._bounds.message_seconds)
            return
        self._request().refuse(too_slow("message", self._bounds.message_seconds))
        self.leave(REFUSED, "see the error before")


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
