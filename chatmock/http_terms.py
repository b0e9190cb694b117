"""On which terms a connection is served: what it is bounded by, and who is asked."""

from __future__ import annotations

from typing import Protocol

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from chatmock.access_log import AccessLog
from chatmock.connection_counts import ConnectionCounts
from chatmock.errors import Kind, Refusal
from chatmock.http_request import BoundedRequest


class Admission(Protocol):
    """Who may ask."""

    def admit(self, request: BoundedRequest) -> Refusal | None:
        """Why *request* is not answered, by its head alone; None when it is.

        Sets ``request.client``, and what the answer's headers need, whichever it is.
        """


@attrs.frozen
class Bounds:
    """Seconds and bytes of one connection."""

    head_seconds: float = 10.0
    """From the first byte of a head to its last; the first one's, with the TLS handshake, from the connection on."""
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    """Between two requests."""
    stall_seconds: float = 30.0
    """Without the client taking a byte of an answer that waits."""
    linger_seconds: float = 1.0
    linger_bytes: int = 2 * 1024 * 1024
    close_seconds: float = 2.0
    """For the peer to take part in a polite close: TLS waits for its last word, without end."""
    backlog_bytes: int = 8 * 1024
    """That may be sent while a request is answered. Twisted stops reading at 16 KiB, and is then deaf to a client
    that leaves."""


class Server(Protocol):
    """What a channel needs of its site."""

    clock: IReactorTime
    bounds: Bounds
    max_body_bytes: int
    admission: Admission
    connections: ConnectionCounts
    access: AccessLog


class Taker(Protocol):
    """Who takes a connection over from HTTP."""

    def dataReceived(self, data: bytes) -> None:
        """The next bytes of the client."""

    def resumed(self) -> None:
        """The client has taken what was sent to it: until now nothing was read of it."""

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone."""


def encoded_body() -> Refusal:
    """The body is compressed, and what it would grow to is not known."""
    return Refusal(
        Kind.UNSUPPORTED_MEDIA,
        "The request body is compressed (Content-Encoding), and this server reads only bodies that are not.",
        code="unsupported_content_encoding",
    )


def too_slow(what: str, seconds: float) -> Refusal:
    """A part of the request (*what*) did not come in the *seconds* it has."""
    return Refusal(
        Kind.TOO_SLOW,
        f"The {what} of the request did not come in {seconds:g} s. The client or its network is too slow.",
        code="request_timeout",
    )
