"""One connection to an upstream: a request goes out, a response comes in, then perhaps the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface import implementer

from chatmock.http1 import BadResponse, Head, ResponseReader


@implementer(IResponse)
class UpstreamResponse:
    """A response whose body is yet to be delivered; until then its connection is paused."""

    request: IClientRequest
    previousResponse: IResponse | None = None

    def __init__(self, head: Head, deliver: Callable[[IProtocol], None]) -> None:
        self.version = (b"HTTP", 1, head.minor_version)
        self.code = head.status
        self.phrase = head.phrase
        self.headers = Headers()
        for name, value in head.fields:
            self.headers.addRawHeader(name, value)
        lengths = head.all(b"content-length")
        self.length = int(lengths[0]) if lengths else UNKNOWN_LENGTH
        self._deliver = deliver

    def deliverBody(self, protocol: IProtocol) -> None:
        """Give the body to *protocol*, whose transport is the connection as an :class:`IPushProducer`."""
        self._deliver(protocol)

    def setPreviousResponse(self, response: IResponse) -> None:
        """Set the response that redirected here."""
        self.previousResponse = response


@implementer(IPushProducer)
class BodyTransport:
    """The transport of one body: reaches the connection until the body has ended, and never a later request's."""

    __slots__ = (
        "_connection",
        "paused",
    )

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection: UpstreamConnection | None = connection
        self.paused = False

    def detach(self) -> None:
        """The body has ended."""
        self._connection = None

    def pauseProducing(self) -> None:
        """Read no more for now."""
        self.paused = True
        if self._connection is not None:
            self._connection.read_on(False)

    def resumeProducing(self) -> None:
        """Read on."""
        self.paused = False
        if self._connection is not None:
            self._connection.read_on(True)

    def stopProducing(self) -> None:
        """The body is not wanted any more: close the connection."""
        if self._connection is not None:
            self._connection.abort()

    def loseConnection(self) -> None:
        """As :meth:`stopProducing`: there is nothing left to write."""
        self.stopProducing()


class UpstreamConnection(Protocol):
    """The connection.

    :param idle: is called with the connection whenever it may be used for another request.
    :param lost: is called with it when it is closed.
    """

    def __init__(
        self, idle: Callable[[UpstreamConnection], None], lost: Callable[[UpstreamConnection], None]
    ) -> None:
        self._idle = idle
        self._lost = lost
        self._reader: ResponseReader | None = None
        self._answer: Deferred[IResponse] | None = None
        self._body: IProtocol | None = None
        self._body_transport: BodyTransport | None = None
        self._early = b""
        """What came of the body before anybody wanted it: the rest of the read that brought the head."""
        self._reading = True
        self._closed: Failure | None = None

    def connectionMade(self) -> None:
        """Send what is written at once: a request's last piece must not wait for the upstream's acknowledgement."""
        transport: Any = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)

    def ask(self, request: bytes) -> Deferred[IResponse]:
        """Send *request*, whole; fires with the response at its head.

        Fails with :exc:`ResponseNeverReceived` or, for what is no HTTP, :exc:`ResponseFailed`. Cancelling closes
        the connection.
        """
        assert self.transport is not None
        self._reader = ResponseReader()
        answer: Deferred[IResponse] = Deferred(lambda _: self._give_up())
        self._answer = answer
        self.transport.write(request)
        return answer

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the upstream."""
        reader = self._reader
        if reader is None:  # nobody asked
            self.abort()
            return
        try:
            body = reader.feed(data)
        except BadResponse as error:
            self._fail(Failure(error))
            return
        if self._answer is not None:
            if reader.head is not None:
                self._begin(reader, reader.take_head(), body)
            return
        if self._body is None:
            self._early += body
            return
        if body:
            self._body.dataReceived(body)
        if reader.complete and self._reader is reader:
            self._finish(Failure(ResponseDone()))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is closed."""
        self._closed = reason
        self._lost(self)
        reader = self._reader
        if reader is None:
            return
        if self._answer is not None:
            answer, self._answer, self._reader = self._answer, None, None
            begun = reader.begun  # then the upstream has seen the request, and it may not be sent again
            answer.errback(Failure(ResponseFailed([reason]) if begun else ResponseNeverReceived([reason])))
        elif self._body is not None:
            self._finish(self._end(reader, reason))

    def read_on(self, wanted: bool) -> None:
        """Read from the socket, or stop reading."""
        if wanted == self._reading or self._closed is not None or self.transport is None:
            return
        self._reading = wanted
        transport: Any = self.transport
        if wanted:
            transport.resumeProducing()
        else:
            transport.pauseProducing()

    def abort(self) -> None:
        """Close the connection at once; a polite close could wait for ever for a TLS peer or a paused read."""
        transport: Any = self.transport
        if transport is not None and self._closed is None:
            transport.abortConnection()

    def _give_up(self) -> None:
        self._answer = self._reader = None
        self.abort()

    def _begin(self, reader: ResponseReader, head: Head, body: bytes) -> None:
        answer, self._answer = self._answer, None
        assert answer is not None
        self._early = body
        answer.callback(UpstreamResponse(head, self._deliver))
        if self._body is None and self._reader is reader and not reader.complete:
            self.read_on(False)

    def _deliver(self, protocol: IProtocol) -> None:
        reader = self._reader
        assert reader is not None, "a body is delivered once"
        self._body = protocol
        self._body_transport = transport = BodyTransport(self)
        # The transport of a body is a producer and nothing more, as in Twisted's own client.
        protocol.makeConnection(transport)  # type: ignore[arg-type]
        early, self._early = self._early, b""
        if early and self._reader is reader:
            protocol.dataReceived(early)
        if self._reader is not reader:
            return
        if self._closed is not None:
            self._finish(self._end(reader, self._closed))
        elif reader.complete:
            self._finish(Failure(ResponseDone()))
        elif not transport.paused:
            self.read_on(True)

    @staticmethod
    def _end(reader: ResponseReader, reason: Failure) -> Failure:
        """Why a body has ended that ended with its connection."""
        if reader.complete:
            return Failure(ResponseDone())
        return Failure(PotentialDataLoss() if reader.close() else ResponseFailed([reason]))

    def _finish(self, reason: Failure) -> None:
        """The response is over, one way or another: tell its reader, and be idle or closed."""
        body, reader, transport = self._body, self._reader, self._body_transport
        assert body is not None
        assert reader is not None
        assert transport is not None
        self._body = self._reader = self._body_transport = None
        transport.detach()
        if reader.complete and reader.keep_alive and self._closed is None:
            self.read_on(True)
            self._idle(self)
        else:
            self.abort()
        body.connectionLost(reason)

    def _fail(self, failure: Failure) -> None:
        """What came is no HTTP."""
        if self._answer is not None:
            answer, self._answer, self._reader = self._answer, None, None
            answer.errback(Failure(ResponseFailed([failure])))
            self.abort()
        elif self._body is not None and self._reader is not None:
            self._reader.keep_alive = False
            self._finish(Failure(ResponseFailed([failure])))
        else:
            self.abort()
