"""Plays the demo's scripts as if they came over the network: an upstream without a socket.

A body waits for a protocol like any other, keeps to its pace, stands still while it is paused and ends once.
At any time a body has one delayed call at most: none while it is paused, has ended or hangs.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IProtocol, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface import implementer

from chatmock.providers.demo import Script, script
from chatmock.providers.interface import UpstreamRequest


class DemoUpstream:
    """The :class:`~chatmock.upstream.Upstream` of the demo provider."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def send(self, title: str, request: UpstreamRequest) -> Deferred[IResponse]:
        """Answer *request*; fires in a later turn of the reactor. Cancelling before that leaves nothing behind."""
        answer: Deferred[None] = Deferred(lambda _: later.cancel())
        later: IDelayedCall = self._clock.callLater(0, answer.callback, None)
        return answer.addCallback(lambda _: PlayedResponse(self._clock, request, script(request)))


@implementer(IClientRequest)
class PlayedRequest:
    """What was asked, as a response tells it."""

    def __init__(self, request: UpstreamRequest) -> None:
        self.method = request.method.encode("ascii")
        self.absoluteURI = request.url.encode("ascii")
        self.headers = Headers({name: [value] for name, value in request.headers.items()})


@implementer(IResponse)
class PlayedResponse:
    """A script as a response whose body is yet to be delivered."""

    version = (b"HTTP", 1, 1)
    length = UNKNOWN_LENGTH

    def __init__(self, clock: IReactorTime, request: UpstreamRequest, script: Script) -> None:
        self.code = script.status
        self.phrase = RESPONSES.get(script.status, b"")
        self.headers = Headers({name: [value] for name, value in script.headers.items()})
        self.request = PlayedRequest(request)
        self.previousResponse: IResponse | None = None
        self._clock = clock
        self._script = script
        self._delivered = False

    def deliverBody(self, protocol: IProtocol) -> None:
        """Play the body to *protocol*.

        :raises RuntimeError: when it has been delivered before.
        """
        if self._delivered:
            raise RuntimeError("The body of this response has been delivered already.")
        self._delivered = True
        Player(self._clock, self._script, protocol).start()

    def setPreviousResponse(self, response: IResponse) -> None:
        """Set the response that redirected here."""
        self.previousResponse = response


@implementer(IPushProducer)
class Player:
    """The transport of a body: gives a script's steps to *protocol*, each at its time."""

    def __init__(self, clock: IReactorTime, script: Script, protocol: IProtocol) -> None:
        self._clock = clock
        self._protocol = protocol
        self._ending = script.ending
        self._steps: Iterator[tuple[float, bytes]] = iter(script.steps)
        self._next: bytes | None = None
        """The bytes to give next; None for the end."""
        self._wait = 0.0
        """Seconds until then; while it is paused, those that were left."""
        self._call: IDelayedCall | None = None
        self._paused = False
        self._ended = False

    def start(self) -> None:
        """Connect the protocol and begin."""
        self._look_ahead()
        # Like Twisted's own, the transport of a body is a producer and nothing more.
        self._protocol.makeConnection(self)  # type: ignore[arg-type]
        self._schedule()

    def pauseProducing(self) -> None:
        """Stand still until :meth:`resumeProducing`."""
        self._paused = True
        call, self._call = self._call, None
        if call is not None:
            self._wait = max(call.getTime() - self._clock.seconds(), 0.0)
            call.cancel()

    def resumeProducing(self) -> None:
        """Go on where it stood still."""
        self._paused = False
        self._schedule()

    def stopProducing(self) -> None:
        """Close the connection."""
        self._end(ResponseFailed([Failure(ConnectionDone())]))

    def loseConnection(self) -> None:
        """Close the connection."""
        self.stopProducing()

    def _look_ahead(self) -> None:
        self._wait, self._next = next(self._steps, (0.0, None))

    def _schedule(self) -> None:
        if self._paused or self._ended or self._call is not None:
            return
        if self._next is not None:
            self._call = self._clock.callLater(self._wait, self._play, self._next)
        elif self._ending != "hang":
            self._call = self._clock.callLater(0, self._finish)

    def _play(self, data: bytes) -> None:
        self._call = None
        self._look_ahead()
        self._protocol.dataReceived(data)
        self._schedule()

    def _finish(self) -> None:
        self._call = None
        lost = self._ending == "cut"
        self._end(ResponseFailed([Failure(ConnectionLost())]) if lost else ResponseDone())

    def _end(self, reason: Exception) -> None:
        if self._ended:
            return
        self._ended = True
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        self._protocol.connectionLost(Failure(reason))
