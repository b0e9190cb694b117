"""The agent under treq: keeps connections, retries quietly on a stale one, takes no compression and no cookies.

Ours and not Twisted's, since that one hands on chunks one by one and bounds no head; the figures are in
docs/architecture.md. It sends requests whose body is already whole, which is all that chatmock sends.
"""

from __future__ import annotations

from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any

from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.web.client import URI, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from chatmock.upstream_connection import UpstreamConnection

_KEPT_SECONDS = 15.0
"""Below the idle limits of the load balancers in front of the usual upstreams."""
_NEVER_SENT = frozenset({b"accept-encoding", b"host", b"content-length", b"connection"})

Key = tuple[bytes, bytes, int]


class EncodedAnswer(Exception):
    """An upstream compressed its answer although nobody asked: it is not read, since it may grow without bound."""


class NoCookies(IndexableCookieJar):
    """A jar that stays empty: upstreams' cookies are nobody's."""

    def __init__(self) -> None:
        super().__init__(DefaultCookiePolicy(allowed_domains=[]))

    def add_cookie_header(self, request: Any) -> None:
        """Send none."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep none."""


@implementer(IBodyProducer)
class WholeBody:
    """A request body that is already whole."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write everything."""
        consumer.write(self.body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Everything has been written."""

    def resumeProducing(self) -> None:
        """Everything has been written."""

    def stopProducing(self) -> None:
        """Everything has been written."""


class ConnectionPool:
    """The connections to all upstreams.

    :param policy: how certificates are checked.
    :param connect_timeout: seconds for the connection, name look-up included.
    :param most_kept: how many idle ones to keep for each host.
    """

    def __init__(self, reactor: Any, policy: IPolicyForHTTPS, connect_timeout: float, most_kept: int) -> None:
        self._reactor = reactor
        self._policy = policy
        self._connect_timeout = connect_timeout
        self._most_kept = most_kept
        self._kept: dict[Key, dict[UpstreamConnection, IDelayedCall]] = {}
        self._open: dict[UpstreamConnection, Key] = {}
        self._closed = False

    def take(self, key: Key) -> UpstreamConnection | None:
        """The most recently used idle connection to *key*, if there is one."""
        kept = self._kept.get(key)
        if not kept:
            return None
        connection, timer = kept.popitem()
        timer.cancel()
        return connection

    def open(self, key: Key) -> Deferred[UpstreamConnection]:
        """A new connection to *key*; fails as endpoints do."""
        scheme, host, port = key
        endpoint: IStreamClientEndpoint = HostnameEndpoint(
            self._reactor, host, port, timeout=self._connect_timeout
        )
        if scheme == b"https":
            endpoint = wrapClientTLS(self._policy.creatorForNetloc(host, port), endpoint)

        def opened(connection: UpstreamConnection) -> UpstreamConnection:
            self._open[connection] = key
            return connection

        factory = Factory.forProtocol(lambda: UpstreamConnection(self._keep, self._lost))
        factory.noisy = False
        return _leavable(endpoint.connect(factory)).addCallback(opened)

    def close(self) -> None:
        """Close every connection, whatever it is doing; none is kept from now on."""
        self._closed = True
        for kept in self._kept.values():
            for timer in kept.values():
                timer.cancel()
        self._kept.clear()
        for connection in list(self._open):
            connection.abort()

    def _keep(self, connection: UpstreamConnection) -> None:
        key = self._open.get(connection)
        if key is None or self._closed:
            connection.abort()
            return
        kept = self._kept.setdefault(key, {})
        if len(kept) >= self._most_kept:
            oldest = next(iter(kept))
            kept.pop(oldest).cancel()
            oldest.abort()
        kept[connection] = self._reactor.callLater(_KEPT_SECONDS, self._too_long, key, connection)

    def _too_long(self, key: Key, connection: UpstreamConnection) -> None:
        del self._kept[key][connection]
        connection.abort()

    def _lost(self, connection: UpstreamConnection) -> None:
        key = self._open.pop(connection, None)
        timer = self._kept.get(key, {}).pop(connection, None) if key is not None else None
        if timer is not None and timer.active():
            timer.cancel()


def _leavable(connecting: Deferred[Any]) -> Deferred[Any]:
    """*connecting*, which when it is cancelled fails with :exc:`CancelledError` in every state.

    Twisted's own says of a name that is still being looked up that there is no such host.
    """
    left = False

    def leave(_: object) -> None:
        nonlocal left
        left = True
        connecting.cancel()

    def told(result: Any) -> None:
        if not left:
            waiter.callback(result)
        elif isinstance(result, UpstreamConnection):
            result.abort()  # it came before the endpoint could be stopped

    waiter: Deferred[Any] = Deferred(leave)
    connecting.addBoth(told)
    return waiter


@implementer(IAgent)
class UpstreamAgent:
    """An :class:`IAgent` for APIs, over a :class:`ConnectionPool`.

    :param first_byte_timeout: seconds from the sent request to the response's head.
    """

    def __init__(self, pool: ConnectionPool, first_byte_timeout: float, clock: IReactorTime) -> None:
        self._pool = pool
        self._first_byte_timeout = first_byte_timeout
        self._clock = clock

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send a request, whose body may only be a :class:`WholeBody`.

        Fails as endpoints do, with :exc:`ResponseNeverReceived`, :exc:`ResponseFailed`, :exc:`EncodedAnswer`
        or, without a head in time, :exc:`~twisted.internet.defer.TimeoutError`.
        Cancelling closes the connection and fails with :exc:`CancelledError`.
        """
        if bodyProducer is not None and not isinstance(bodyProducer, WholeBody):
            raise TypeError("the body of a request must be whole")
        body = b"" if bodyProducer is None else bodyProducer.body
        target, key, host = _target(uri)
        sent = _request_bytes(method, target, host, headers, body)
        return Deferred.fromCoroutine(self._send(key, sent))

    async def _send(self, key: Key, sent: bytes) -> IResponse:
        kept = self._pool.take(key)
        if kept is not None:
            try:
                return await self._ask(kept, sent)
            except ResponseNeverReceived as error:
                # Most likely the upstream closed the kept connection as it was used; once, on a new one.
                if not all(reason.check(ConnectionDone, ConnectionLost) for reason in error.reasons):
                    raise
        return await self._ask(await self._pool.open(key), sent)

    async def _ask(self, connection: UpstreamConnection, sent: bytes) -> IResponse:
        answer = connection.ask(sent)
        answer.addTimeout(self._first_byte_timeout, self._clock)
        return _refuse_encoded(await answer)


@lru_cache(maxsize=64)
def _target(uri: bytes) -> tuple[bytes, Key, bytes]:
    """The request target, the key of the connection and the Host field for *uri*."""
    parsed = URI.fromBytes(uri)
    return parsed.originForm, (parsed.scheme, parsed.host, parsed.port), parsed.netloc


def _request_bytes(method: bytes, target: bytes, host: bytes, headers: Headers | None, body: bytes) -> bytes:
    lines = [b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method, target, host)]
    for name, values in headers.getAllRawHeaders() if headers is not None else ():
        if name.lower() not in _NEVER_SENT:
            lines.extend(b"%b: %b\r\n" % (name, value) for value in values)
    if body or method != b"GET":
        lines.append(b"Content-Length: %d\r\n" % len(body))
    return b"".join([*lines, b"\r\n", body])


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
