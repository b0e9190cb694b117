"""All WebSockets of the Responses API: how one begins, and how all of them end (spec chatgpt.md, 3.9)."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.defer import Deferred, DeferredList

from chatmock.exchange import Desk
from chatmock.kept_answers.live import KeptAnswers
from chatmock.responses_memory import RecentAnswers
from chatmock.responses_socket import GOING_AWAY, ResponsesSocket, SocketBounds
from chatmock.responses_turns import Turns, desk_of_counted
from chatmock.socket_wire import VERSION, Wire, handshake_key


class ResponsesSockets:
    """All sockets of the daemon.

    :param max_message_bytes: the most bytes of one message, and of all that wait in one socket.
    """

    def __init__(
        self, desk: Desk, kept: KeptAnswers, max_message_bytes: int, bounds: SocketBounds | None = None
    ) -> None:
        self._desk = desk_of_counted(desk)
        self._guard = desk.guard
        self._kept = kept
        self.bounds = bounds or SocketBounds()
        self._max_message_bytes = max_message_bytes
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
        socket = ResponsesSocket(request, self._guard, self.bounds)
        socket.turns = self._turns(request, socket)
        socket.factory = self._factory
        self.open.add(socket)
        socket.gone.addCallback(lambda _: self.open.discard(socket))
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

    def _turns(self, request: Any, socket: ResponsesSocket) -> Turns:
        return Turns(
            self._desk,
            self._kept,
            self.recent,
            request,
            socket,
            self.bounds.most_waiting,
            self._max_message_bytes,
        )
