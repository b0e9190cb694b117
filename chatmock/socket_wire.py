"""Between the HTTP channel and Autobahn: how a WebSocket is asked for (RFC 6455, 4.2.1), what it writes to, and its log."""

from __future__ import annotations

import re
from typing import Any, Final

from chatmock.errors import Kind, Refusal, bad_request

VERSION: Final = b"13"
"""Of the protocol."""
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")


def handshake_key(request: Any) -> bytes:
    """The ``Sec-WebSocket-Key`` of *request*.

    :raises Refusal: when it does not ask for a WebSocket.
    """
    fields = request.requestHeaders
    if b"websocket" not in _tokens(fields, b"upgrade") or b"upgrade" not in _tokens(fields, b"connection"):
        request.setHeader(b"allow", b"POST")
        request.setHeader(b"upgrade", b"websocket")
        raise Refusal(Kind.METHOD_NOT_ALLOWED, "This path answers POST, and WebSockets (Upgrade: websocket).")
    if fields.getRawHeaders(b"sec-websocket-version", ()) != [VERSION]:
        request.setHeader(b"sec-websocket-version", VERSION)
        raise bad_request("Sec-WebSocket-Version must be 13.", code="invalid_handshake")
    keys = fields.getRawHeaders(b"sec-websocket-key", ())
    if (
        request.method != b"GET"
        or request.clientproto != b"HTTP/1.1"
        or len(keys) != 1
        or not _KEY.fullmatch(keys[0])
        or request.content.read(1)
    ):
        raise bad_request(
            "A WebSocket begins with GET over HTTP/1.1, one Sec-WebSocket-Key and no body.",
            code="invalid_handshake",
        )
    found: bytes = keys[0]
    return found


def _tokens(fields: Any, name: bytes) -> set[bytes]:
    return {each.strip().lower() for value in fields.getRawHeaders(name, ()) for each in value.split(b",")}


class Wire:
    """The channel's connection as Autobahn sees it: it ends politely in any case, within the channel's deadlines."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def write(self, data: bytes) -> None:
        """Send *data*."""
        self._channel.transport.write(data)

    def getPeer(self) -> Any:
        """The address of the peer."""
        return self._channel.transport.getPeer()

    def loseConnection(self) -> None:
        """End it."""
        self._channel.loseConnection()

    abortConnection = loseConnection

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have *producer* paused while the client takes nothing."""
        self._channel.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """There is nothing to pause any more."""
        self._channel.unregisterProducer()

    @property
    def is_stalled(self) -> bool:
        """Whether the client has not taken yet what was sent to it."""
        return bool(self._channel.is_stalled)


class Silent:
    """Takes Autobahn's log lines, which may have in them what a client sends."""

    def __getattr__(self, name: str) -> Any:
        return _say_nothing


def _say_nothing(*_: object, **__: object) -> None:
    """Log nothing."""
