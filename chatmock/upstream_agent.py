"""The agent under treq: own pool, no compression asked for or taken, one quiet retry on a stale connection."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from chatmock.read_boundary import ReadBoundary

_CACHED_CONNECTION_SECONDS = 15


class EncodedAnswer(Exception):
    """An upstream compressed its answer although nobody asked: it is not read, since it may grow without bound."""


@implementer(IBodyProducer)
class BytesProducer:
    """A request body that is already whole: written at once, without a cooperator."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write everything."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Everything has been written."""

    def resumeProducing(self) -> None:
        """Everything has been written."""

    def stopProducing(self) -> None:
        """Everything has been written."""


@implementer(IAgentEndpointFactory)
class Dialler:
    """Makes endpoints for the agent and counts how often a connection was really opened."""

    def __init__(
        self, reactor: Any, policy: IPolicyForHTTPS, connect_timeout: float, boundary: ReadBoundary
    ) -> None:
        self._reactor = reactor
        self._boundary = boundary
        self._policy = policy
        self._connect_timeout = connect_timeout
        self.dialled = 0
        self._connections: WeakSet[Any] = WeakSet()

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """An endpoint towards *uri*, with TLS for https."""
        endpoint: IStreamClientEndpoint = HostnameEndpoint(
            self._reactor, uri.host, uri.port, timeout=self._connect_timeout
        )
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)
        return _CountedEndpoint(self, endpoint)

    def opened(self, connection: IProtocol) -> IProtocol:
        """Remember *connection* for as long as it is in use."""
        self._connections.add(connection)
        self._boundary.watch(connection)
        return connection

    def abort_all(self) -> None:
        """Cut every connection, whatever it is doing."""
        for connection in list(self._connections):
            connection.abort()


@implementer(IStreamClientEndpoint)
class _CountedEndpoint:
    def __init__(self, dialler: Dialler, endpoint: IStreamClientEndpoint) -> None:
        self._dialler = dialler
        self._endpoint = endpoint

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        self._dialler.dialled += 1
        return self._endpoint.connect(factory).addCallback(self._dialler.opened)


@implementer(IAgent)
class UpstreamAgent:
    """An :class:`IAgent` for APIs.

    :param policy: how certificates are checked.
    :param connect_timeout: seconds for the connection, name look-up included.
    :param idle_connections: how many idle ones to keep for each host.
    """

    def __init__(
        self,
        reactor: Any,
        policy: IPolicyForHTTPS,
        connect_timeout: float,
        idle_connections: int,
        boundary: ReadBoundary,
    ) -> None:
        self.pool = HTTPConnectionPool(reactor, persistent=True)
        self.pool.maxPersistentPerHost = max(idle_connections, 2)
        self.pool.cachedConnectionTimeout = _CACHED_CONNECTION_SECONDS
        self.pool.retryAutomatically = False
        self._dialler = Dialler(reactor, policy, connect_timeout, boundary)
        self._agent = Agent.usingEndpointFactory(reactor, self._dialler, self.pool)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send a request. Fails as :class:`Agent` does, and with :exc:`EncodedAnswer`."""
        sent = headers.copy() if headers is not None else Headers()
        sent.removeHeader(b"accept-encoding")  # treq asks for gzip always
        before = self._dialler.dialled
        answer: Deferred[IResponse] = self._agent.request(method, uri, sent, bodyProducer)
        reused = self._dialler.dialled == before

        def again(failure: Failure) -> Failure | Deferred[IResponse]:
            """The upstream closed a kept connection as we used it: it has not seen the request."""
            reasons: list[Failure] = getattr(failure.value, "reasons", [])
            reused_and_lost = reused and failure.check(ResponseNeverReceived) and reasons
            if reused_and_lost and all(reason.check(ConnectionDone, ConnectionLost) for reason in reasons):
                return self.request(method, uri, headers, bodyProducer)
            return failure

        answer.addErrback(again)
        answer.addCallback(_refuse_encoded)
        return answer

    def close(self, clock: IReactorTime) -> Deferred[None]:
        """Close all connections; fires when the idle ones are gone, or after a second (a TLS peer may never answer)."""
        closing: Deferred[Any] = maybeDeferred(self.pool.closeCachedConnections)
        self._dialler.abort_all()
        return closing.addTimeout(1.0, clock).addBoth(lambda _: None)


def _refuse_encoded(response: IResponse) -> IResponse:
    encodings = response.headers.getRawHeaders(b"content-encoding", [])
    if any(encoding.strip().lower() not in (b"", b"identity") for encoding in encodings):
        response.deliverBody(Discarding())
        raise EncodedAnswer
    return response


class Discarding(Protocol):
    """A body nobody wants: its connection is closed."""

    def connectionMade(self) -> None:
        """Stop at once."""
        assert self.transport is not None
        self.transport.stopProducing()  # type: ignore[attr-defined]
