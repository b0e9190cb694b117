"""One connection of a client: what it may send, for how long, and how it ends (spec security.md, P5, P20 to P23).

Twisted's server has no deadline but an idle timer that every byte resets, no limit on bodies, no write time-out and no
end for a TLS close that is not answered; and it has read the whole body before a route sees the request. Here every
state of a connection has a deadline, and the head is judged before anything of the body is read:

    HEAD    ── complete, admitted ──> BODY ── complete ──> ANSWER ── answered, kept alive ──> HEAD
    HEAD or BODY ── refused or late ──> ANSWER (the refusal) ──> LINGER ──> CLOSING
    ANSWER ── answered, not kept alive ──> CLOSING
    ANSWER ── handed over (a WebSocket) ──> OTHER ── closed by who has it ──> CLOSING

LINGER reads and drops what a refused client still sends: were its bytes left unread, the system would reset the
connection and the client might lose the refusal with it. CLOSING waits a moment for the peer, then aborts. In OTHER
whoever has the connection keeps its deadlines; that a client takes nothing is still seen here.
"""

from __future__ import annotations

import enum
import sys
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from chatmock.deadlines import Deadline
from chatmock.errors import Kind, Refusal
from chatmock.http_body import BodyReader, too_large
from chatmock.http_head import METHODS, read_fields, read_request_line, split_head
from chatmock.http_request import BoundedRequest
from chatmock.http_terms import Server, Taker, encoded_body, too_slow
from chatmock.unsent import unsent_bytes


class _Stage(enum.Enum):
    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()
    OTHER = enum.auto()
    LINGER = enum.auto()
    CLOSING = enum.auto()


class BoundedChannel(HTTPChannel):
    """The server's side of one connection. Twisted's carries the answers; how requests are read is replaced."""

    site: Server
    transport: Any
    requestFactory: Any
    _networkProducer: Any
    timeOut = None
    """Twisted's idle timer is not used."""

    def __init__(self) -> None:
        super().__init__()
        self._stage = _Stage.HEAD
        self._pending = b""
        self._advancing = False
        self._first = True
        self._begun = False
        """Whether a part of a head is there."""
        self._body: BodyReader | None = None
        self._taker: Taker | None = None
        self._to_drop = 0
        self._unsent = 0
        self._host: str | None = None
        self._deadline: Deadline
        self._stall: Deadline
        self._stalled_seconds = 0.0

    def connectionMade(self) -> None:
        """Somebody has connected; over TLS the handshake follows."""
        site = self.site
        host = str(getattr(self.transport.getPeer(), "host", ""))
        why = site.connections.enter(host)
        self._deadline = Deadline(site.clock, self._late)
        self._stall = Deadline(site.clock, self._stalled)
        if why is not None:
            self._stage = _Stage.CLOSING
            site.access.dropped(host, why)
            self.transport.abortConnection()
            return
        self._host = host
        super().connectionMade()
        self._deadline.set(site.bounds.head_seconds)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over; a request that is not answered is told."""
        self._deadline.stop()
        self._stall.stop()
        if self._host is not None:
            self.site.connections.leave(self._host)
        if self._stage is _Stage.ANSWER and self.requests:
            self.site.access.left(self.requests[0])
        self._stage = _Stage.CLOSING
        taker, self._taker = self._taker, None
        if taker is not None:
            taker.connectionLost(reason)
        super().connectionLost(reason)

    # What comes in

    def dataReceived(self, data: bytes) -> None:
        """The next bytes."""
        self._pending = self._pending + data if self._pending else data
        self._advance()

    def _advance(self) -> None:
        """Take from what is pending what can be taken. A loop, since an answer may be complete at once and the next
        request be there already."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._pending and self._step():
                pass
        finally:
            self._advancing = False

    def _step(self) -> bool:
        """Take a piece of what is pending; whether there may be more to take."""
        if self._stage is _Stage.HEAD:
            return self._read_head()
        if self._stage is _Stage.BODY:
            return self._read_body()
        if self._stage is _Stage.OTHER and self._taker is not None:
            data, self._pending = self._pending, b""
            self._taker.dataReceived(data)
            return True
        if self._stage is _Stage.ANSWER:
            if len(self._pending) > self.site.bounds.backlog_bytes:
                self._drop("it sent more while its request was answered than is kept")
            return False
        self._to_drop -= len(self._pending)
        self._pending = b""
        if self._stage is _Stage.LINGER and self._to_drop < 0:
            self.loseConnection()
        return False

    def _read_head(self) -> bool:
        if self._waitingForTransport:
            return False  # the client does not read what it was answered before
        if not self._begun and self._pending.startswith(b"\r"):
            # Some clients end a body with one line end too many: nothing begins by that.
            self._pending = self._pending.removeprefix(b"\r\n")
            if self._pending in (b"", b"\r"):
                return False
        try:
            found = split_head(self._pending)
        except Refusal as refusal:
            self._refuse(self._new_request(), refusal)
            return True
        if found is None:
            self._await_rest_of_head()
            return False
        lines, self._pending = found
        self._first = self._begun = False
        request = self._new_request()
        try:
            self._take_head(request, *lines)
        except Refusal as refusal:
            self._refuse(request, refusal)
        return True

    def _await_rest_of_head(self) -> None:
        if not self._begun:
            self._begun = True
            if not self._first:
                self._deadline.set(self.site.bounds.head_seconds)

    def _new_request(self) -> BoundedRequest:
        request: BoundedRequest = self.requestFactory(self)
        self.requests.append(request)
        return request

    def _take_head(self, request: BoundedRequest, first: bytes, *others: bytes) -> None:
        """Judge the head, and go on to the body.

        :raises Refusal: when it is not to be answered.
        """
        line = read_request_line(first)
        request.take_line(line)
        fields = read_fields(line, others)
        request.take_fields(fields.by_name)
        self.persistent = fields.keep_alive
        if not fields.keep_alive:
            request.setHeader(b"connection", b"close")
        refusal = self.site.admission.admit(request)
        if refusal is not None:
            raise refusal
        if [each.lower() for each in fields.by_name.get(b"content-encoding", ())] not in ([], [b"identity"]):
            raise encoded_body()
        most = self.site.max_body_bytes
        if fields.length is not None and fields.length > most:
            raise too_large(most)
        request.content = BytesIO()
        if fields.length == 0:
            self._answer(request)
            return
        self._stage = _Stage.BODY
        self._body = BodyReader(fields.length, most, request.content.write)
        self._deadline.set(self.site.bounds.body_seconds)
        if fields.awaits_continue and not self._pending:
            self._send100Continue()

    def _read_body(self) -> bool:
        data, self._pending = self._pending, b""
        request = self.requests[0]
        assert self._body is not None, "it is made with the head"
        try:
            rest = self._body.feed(data)
        except Refusal as refusal:
            self._refuse(request, refusal)
            return True
        if rest is None:
            return False
        self._pending, self._body = rest, None
        self._answer(request)
        return True

    # What goes out

    def _answer(self, request: BoundedRequest) -> None:
        self._stage = _Stage.ANSWER
        self._deadline.clear()
        self._handlingRequest = True
        request.received()

    def _refuse(self, request: BoundedRequest, refusal: Refusal) -> None:
        self._stage = _Stage.ANSWER
        self._deadline.clear()
        self._handlingRequest = True
        self._body = None
        self.persistent = False
        if refusal.kind is Kind.METHOD_NOT_ALLOWED:
            request.setHeader(b"allow", b", ".join(METHODS))
        request.refuse(refusal)

    def hand_over(self, request: BoundedRequest, taker: Taker) -> None:
        """Let *taker* have what comes in from now on, in place of an answer to *request*, until the connection is lost.

        It writes to :attr:`transport`, and ends it by :meth:`loseConnection`.
        """
        self._stage = _Stage.OTHER
        self._taker = taker
        self._handlingRequest = False  # what comes in waits while the client does not take what goes out
        self.site.access.answered(request)

    @property
    def is_stalled(self) -> bool:
        """Whether the client has not taken yet what was sent to it."""
        return bool(self._waitingForTransport)

    def requestDone(self, request: BoundedRequest) -> None:
        """The answer to *request* is complete, as far as this process goes."""
        self.requests.remove(request)
        self._handlingRequest = False
        if request.refused:
            self._linger()
        elif self.persistent:
            self._stage = _Stage.HEAD
            self._deadline.set(self.site.bounds.idle_seconds)
            if self._waitingForTransport:
                self._networkProducer.pauseProducing()  # until the client has taken what it was answered
            self._advance()
        else:
            self.loseConnection()

    def pauseProducing(self) -> None:
        """The client does not take what is sent to it."""
        super().pauseProducing()
        self._unsent = sys.maxsize
        self._stall.set(0)  # measured when the write is through that has filled the buffer

    def resumeProducing(self) -> None:
        """It has taken everything."""
        self._stall.clear()
        super().resumeProducing()
        if self._taker is not None:
            self._taker.resumed()
        self._advance()

    def _stalled(self) -> None:
        """It is time to see whether the client has taken anything since the last look."""
        unsent, self._unsent = self._unsent, unsent_bytes(self.transport)
        if self._unsent < unsent:
            self._stall.set(self.site.bounds.stall_seconds)
        else:
            self._drop("it takes nothing of its answer (CHATMOCK_STALL_TIMEOUT)")

    # How it ends

    def _late(self) -> None:
        """The deadline of the present stage has passed."""
        if self._stage is _Stage.CLOSING:
            self._look_at_closing()
        elif self._stage is _Stage.BODY:
            self._refuse(self.requests[0], too_slow("body", self.site.bounds.body_seconds))
        elif self._stage is _Stage.HEAD and self._begun:
            self._refuse(self._new_request(), too_slow("head", self.site.bounds.head_seconds))
        else:
            self.loseConnection()

    def _drop(self, why: str) -> None:
        self._pending = b""
        self.site.access.dropped(self._host or "", why)
        self.transport.abortConnection()

    def _linger(self) -> None:
        self._stage = _Stage.LINGER
        self._to_drop = self.site.bounds.linger_bytes
        self._deadline.set(self.site.bounds.linger_seconds)
        self._networkProducer.unregisterProducer()
        if not ISSLTransport.providedBy(self.transport):
            self.transport.loseWriteConnection()  # tells the client that this was all
        self._advance()

    def loseConnection(self) -> None:
        """Close politely, and abort what does not come to its end by that."""
        if self._stage is _Stage.CLOSING:
            return
        self._stage = _Stage.CLOSING
        self._pending = b""
        self._stall.clear()
        super().loseConnection()
        self._unsent = unsent_bytes(self.transport)
        self._stalled_seconds = 0.0
        self._deadline.set(self.site.bounds.close_seconds)

    def _look_at_closing(self) -> None:
        """Abort, unless the client is still taking the end of its answer."""
        bounds = self.site.bounds
        unsent, self._unsent = self._unsent, unsent_bytes(self.transport)
        self._stalled_seconds = 0.0 if self._unsent < unsent else self._stalled_seconds + bounds.close_seconds
        if self._stalled_seconds == 0.0 or (self._unsent and self._stalled_seconds < bounds.stall_seconds):
            self._deadline.set(bounds.close_seconds)
        else:
            self.transport.abortConnection()
