"""Sends requests to upstreams through treq, and tells faults of the network from answers."""

from __future__ import annotations

from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, NoReturn, Protocol

from hyperlink import EncodedURL
from OpenSSL import SSL
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet import defer, error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol as BodyProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS, IResponse

from chatmock.errors import Kind, Refusal
from chatmock.providers.interface import EVENT_STREAM, UpstreamRequest
from chatmock.upstream_agent import ConnectionPool, EncodedAnswer, NoCookies, UpstreamAgent, WholeBody

ERROR_BODY_LIMIT = 64 * 1024
ERROR_BODY_SECONDS = 5.0
_NO_COOKIES = CookieJar(DefaultCookiePolicy(allowed_domains=[]))


class Upstream(Protocol):
    """Where requests to an upstream go."""

    def send(self, title: str, request: UpstreamRequest) -> Deferred[IResponse]:
        """Send *request*; fires with the response at its headers, whatever its status.

        :param title: what people call the upstream, for messages.

        Fails with :exc:`Refusal` (upstream failed or timed out). Cancelling closes the connection and fails
        with :exc:`CancelledError`.
        """


class UpstreamClient:
    """The :class:`Upstream` over HTTP.

    :param connect_timeout: seconds to connect; *first_byte_timeout*: from there to the response's headers.
    :param idle_connections: how many idle connections to keep for each host.
    :param policy: how certificates are checked; the system's authorities by default.
    """

    def __init__(
        self,
        reactor: Any,
        connect_timeout: float,
        first_byte_timeout: float,
        idle_connections: int,
        policy: IPolicyForHTTPS | None = None,
    ) -> None:
        self._clock = reactor
        self._first_byte_timeout = first_byte_timeout
        self._pool = ConnectionPool(
            reactor, policy or BrowserLikePolicyForHTTPS(), connect_timeout, max(idle_connections, 2)
        )
        self._http = HTTPClient(
            UpstreamAgent(self._pool, first_byte_timeout, reactor),
            cookiejar=NoCookies(),
            data_to_body_producer=WholeBody,
        )

    def send(self, title: str, request: UpstreamRequest) -> Deferred[IResponse]:
        """Send *request*; see :class:`Upstream`."""
        answer: Deferred[Any] = self._http.request(
            request.method,
            _parsed(request.url),
            headers=Headers({name: [value] for name, value in request.headers.items()}),
            data=request.body,
            cookies=_NO_COOKIES,
            allow_redirects=False,
            unbuffered=True,
            reactor=self._clock,
        )
        timeout = self._first_byte_timeout
        answer.addErrback(_explain, title, timeout)
        return answer.addCallback(lambda response: response.original)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class _ReadyURL(EncodedURL):
    """A URL that treq need not put through IDNA and back to text for every request: a third of its share."""

    def to_uri(self) -> EncodedURL:
        return self

    def to_text(self, with_password: bool = False) -> str:
        return _text(self, with_password)


@lru_cache(maxsize=64)
def _text(url: _ReadyURL, with_password: bool) -> str:
    return EncodedURL.to_text(url, with_password)


@lru_cache(maxsize=64)
def _parsed(url: str) -> EncodedURL:
    return _ReadyURL.from_text(EncodedURL.from_text(url).to_uri().to_text())


def _explain(failure: Failure, title: str, timeout: float) -> NoReturn:
    """Turn a failure of the HTTP client into a refusal that names no host, path or address."""
    causes = [failure, *getattr(failure.value, "reasons", ())]

    def by(*kinds: type[BaseException]) -> bool:
        return any(cause.check(*kinds) for cause in causes)

    if by(CancelledError, error.ConnectingCancelledError):
        raise CancelledError
    if by(defer.TimeoutError):
        raise Refusal(
            Kind.UPSTREAM_TIMED_OUT,
            f"{title} did not begin to answer within {timeout:g} s (CHATMOCK_FIRST_BYTE_TIMEOUT).",
            code="upstream_timeout",
        )
    if by(error.DNSLookupError):
        raise _failed(f"The name of {title} cannot be resolved: check this machine's network.", "dns")
    if by(VerificationError, SSL.Error):
        raise _failed(f"The certificate of {title} cannot be verified. Nothing was sent.", "tls")
    if by(error.TimeoutError, error.TCPTimedOutError):
        raise Refusal(
            Kind.UPSTREAM_TIMED_OUT,
            f"{title} cannot be reached in time.",
            code="upstream_timeout",
            retryable=True,
        )
    if by(error.ConnectError):
        raise _failed(f"{title} cannot be reached: the connection was refused.", "connect", retryable=True)
    if by(EncodedAnswer):
        raise _failed(f"{title} sent a compressed answer, which chatmock does not take.", "encoding")
    if by(error.ConnectionDone, error.ConnectionLost):
        raise _failed(f"{title} closed the connection without an answer.", "connect", retryable=True)
    raise _failed(f"{title} does not answer in HTTP that can be understood.", "protocol")


def _failed(message: str, cause: str, retryable: bool = False) -> Refusal:
    return Refusal(Kind.UPSTREAM_FAILED, message, code=f"upstream_{cause}", retryable=retryable)


def response_headers(response: IResponse) -> dict[str, str]:
    """The headers for :meth:`Provider.refusal`: names in lower case, of repeated ones the last."""
    return {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in response.headers.getAllRawHeaders()
    }


def is_answer(response: IResponse, stream: bool, stream_type: str = EVENT_STREAM) -> bool:
    """Whether *response* is what was asked for: a success, and a stream of *stream_type* where one was asked for."""
    kind = (response.headers.getRawHeaders(b"content-type") or [b""])[-1].partition(b";")[0].strip().lower()
    return response.code == 200 and (not stream or kind == stream_type.encode())


def discard(response: IResponse) -> None:
    """Close the connection of a response whose body nobody wants."""
    response.deliverBody(_Unwanted())


class _Unwanted(BodyProtocol):
    def connectionMade(self) -> None:
        if self.transport is not None:
            self.transport.stopProducing()  # type: ignore[attr-defined]


def read_start(response: IResponse, clock: IReactorTime, limit: int, timeout: float) -> Deferred[bytes]:
    """Read at most *limit* bytes of a body within *timeout* seconds; what is there by then is the result.

    Cancelling closes the connection.
    """
    reader = _StartReader(clock, limit, timeout)
    response.deliverBody(reader)
    return reader.done


class _StartReader(BodyProtocol):
    def __init__(self, clock: IReactorTime, limit: int, timeout: float) -> None:
        self._body = bytearray()
        self._limit = limit
        self._timer: IDelayedCall = clock.callLater(timeout, self._stop)
        self._finished = False
        self.done: Deferred[bytes] = Deferred(lambda _: self._stop(cancelled=True))

    def dataReceived(self, data: bytes) -> None:
        self._body += data
        if len(self._body) >= self._limit:
            self._stop()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._finish()

    def _stop(self, cancelled: bool = False) -> None:
        if cancelled:
            self._finished = True
            if self._timer.active():
                self._timer.cancel()
        if self.transport is not None:
            self.transport.stopProducing()  # type: ignore[attr-defined]
        self._finish()

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        if self._timer.active():
            self._timer.cancel()
        self.done.callback(bytes(self._body[: self._limit]))
