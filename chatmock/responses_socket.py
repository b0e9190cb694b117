"""The WebSocket of the Responses API: ``GET /v1/responses`` with an upgrade (spec chatgpt.md, 3.9).

The channel has had the head admitted before its route is asked, and stays the connection's owner: it counts it, and
drops a client that takes nothing. Autobahn frames. Each message counts against its client's rate before it is read:

    any ── a message that is no JSON object, a first one of another type ──> error ──> CLOSING
    any ── the service stops, nothing is asked for an hour, no sign of life ──> CLOSING
    CLOSING ── the client's close frame, or some seconds ──> the connection ends

Whoever leaves has its request cancelled. What is asked is :mod:`chatmock.responses_turns`'.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from chatmock.admission.guard import Guard
from chatmock.deadlines import Deadline
from chatmock.dialects.reading import read_object
from chatmock.errors import Refusal, bad_request
from chatmock.http_terms import too_slow
from chatmock.responses_frames import CANCEL, CREATE, NOTICES, Frame, FrameRequest
from chatmock.responses_turns import NOTHING_ELSE_BYTES, Turns, check_size, too_large_for_nothing
from chatmock.socket_wire import Silent, Wire

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
REFUSED: Final = 1008


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


class ResponsesSocket(WebSocketServerProtocol):
    """One client's socket.

    :param head: the request that it began with.
    :param guard: counts its messages.
    """

    log = Silent()
    turns: Turns
    """Its requests; set before it begins."""

    def __init__(self, head: Any, guard: Guard, bounds: SocketBounds) -> None:
        super().__init__()
        self.gone: Deferred[None] = Deferred()
        """Fires when the connection is lost."""
        self._head = head
        self._guard = guard
        self._bounds = bounds
        self._asked = False
        """Whether there was a request."""
        self._heard = True
        """Whether anything has come since the last ping."""
        clock = self._clock = guard.clock
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

    def resumed(self) -> None:
        """What comes in is read again: until now the client could not go on with its message."""
        if self.inside_message:
            self._message_due.set(self._bounds.message_seconds)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A whole message."""
        self._message_due.clear()
        if self.state != self.STATE_OPEN:
            return
        try:
            self._guard.spend(self._head.client)  # before it costs anything
            check_size(payload)
            frame = self._read(payload, isBinary)
            if frame is not None:
                self._act(frame, len(payload))
        except Refusal as refusal:
            self._refuse(refusal)

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        """Autobahn closes, whoever has begun with it: nothing is answered any more."""
        is_first = self.state == self.STATE_OPEN
        super().sendCloseFrame(code, reasonUtf8, isReply)
        if is_first:
            self.turns.forget()
            self._idle.clear()
            self._close_due.set(self._bounds.close_seconds)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        super().connectionLost(reason)
        for deadline in (self._alive, self._message_due, self._idle, self._close_due):
            deadline.stop()
        self.turns.stop()
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

    # What its requests ask

    def request(self) -> FrameRequest:
        """A request that has just come."""
        return FrameRequest(self._head, self._wire, self.send, self._clock.seconds())

    def refused(self) -> None:
        """Its client may ask nothing any more."""
        self.leave(REFUSED, "see the error before")

    def works(self) -> None:
        """Something is answered."""
        self._idle.clear()

    def rests(self) -> None:
        """Nothing is asked any more."""
        self._idle.set(self._bounds.idle_seconds)

    def _read(self, message: bytes, isBinary: bool) -> Frame | None:
        """The frame in *message*; None where there is none, which ends the socket."""
        try:
            if isBinary:
                raise bad_request("A frame is JSON text; this one is binary.", code="invalid_frame")
            frame = read_object(message)
            if frame.get("type") != CREATE and not self._asked:
                words = f"The first frame is {{'type': '{CREATE}', …}}."
                raise bad_request(words, param="type", code="invalid_frame")
        except Refusal as refusal:
            self._refuse(refusal)
            self.leave(REFUSED, "see the error before")
            return None
        return frame

    def _act(self, frame: Frame, size: int) -> None:
        """Act on *frame*, a message of *size* bytes.

        :raises Refusal: for this frame alone.
        """
        kind = frame.get("type")
        if kind == CREATE:
            self._asked = True
            self.turns.ask(frame, size)
        elif size > NOTHING_ELSE_BYTES:
            raise too_large_for_nothing()
        elif kind == CANCEL:
            self.turns.cancel()
        elif kind not in NOTICES:
            raise bad_request(f"'type' is {CREATE} or {CANCEL}.", param="type", code="unknown_event")

    def _refuse(self, refusal: Refusal) -> None:
        """Refuse a message, with a line in the log as other requests have."""
        request = self.request()
        request.refuse(refusal)
        self._head.channel.site.access.answered(request)

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
        if self._wire.is_stalled:  # then nothing is read of it; see `resumed`
            return
        self._refuse(too_slow("message", self._bounds.message_seconds))
        self.leave(REFUSED, "see the error before")
