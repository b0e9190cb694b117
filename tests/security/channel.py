"""A bounded server with a resource of its own, over TCP or TLS, and clients that send bytes as they are told to."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import attrs
import trustme
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    connectProtocol,
    wrapClientTLS,
    wrapServerTLS,
)
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.logger import formatEvent, globalLogPublisher
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from chatmock.http_terms import Bounds
from chatmock.listening import BoundedSite
from tests.conftest import until

MOST = 100_000
SOCKET_BUFFER = 64 * 1024
HELD = b"/held"
"""A path that is not answered before the test says so."""


class Pages(Resource):
    """Answers each request with what it was: method, path and the length of its body."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes] = []
        self.bodies: list[bytes] = []
        self.held: list[Any] = []
        self.left: list[Any] = []
        self.size = 0
        """Bytes by which an answer is longer than it says above."""

    def render(self, request: Any) -> Any:
        self.seen.append(request.method + b" " + request.path)
        self.bodies.append(request.content.read())
        if request.path == HELD:
            request.notifyFinish().addBoth(self.left.append)
            self.held.append(request)
            return NOT_DONE_YET
        answer = b"%b %b %d" % (request.method, request.path, len(self.bodies[-1])) + b"." * self.size
        request.setHeader(b"content-length", b"%d" % len(answer))
        return answer


@attrs.define
class Served:
    """A running server."""

    site: BoundedSite
    pages: Pages
    port: int
    tls: bool
    lines: list[str]
    """What it has logged of requests and connections."""


@cache
def certificate() -> CertificateOptions:
    issued = trustme.CA().issue_cert("localhost")
    pem = issued.private_key_pem.bytes() + b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    options: CertificateOptions = PrivateCertificate.loadPEM(pem).options()
    return options


@asynccontextmanager
async def serving(tls: bool = False, host: str = "127.0.0.1", **more: Any) -> AsyncIterator[Served]:
    """Run a server; *more* goes to :class:`BoundedSite`. In the end no connection is left."""
    pages, lines = Pages(), []
    bounds = attrs.evolve(more.pop("bounds", Bounds()), **more.pop("times", {}))
    site = BoundedSite(pages, reactor, more.pop("most", MOST), bounds=bounds, **more)
    endpoint: Any = TCP4ServerEndpoint(reactor, 0, interface=host)
    if tls:
        endpoint = wrapServerTLS(certificate(), endpoint)
    port: Any = await endpoint.listen(site)
    port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)  # else the system's own grows

    def observe(event: Any) -> None:
        if event.get("log_namespace") == "chatmock.access":
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    try:
        yield Served(site, pages, port.getHost().port, tls, lines)
    finally:
        globalLogPublisher.removeObserver(observe)
        await port.stopListening()
    await until(lambda: site.connections.open == 0, 5)


class Wire(Protocol):
    """A client that does what it is told."""

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.lost: Deferred[None] = Deferred()
        self.gone = False

    def sip(self) -> None:
        """Take a little from now on, and no more."""
        self.transport.resumeProducing()
        reactor.callLater(0.005, self.transport.pauseProducing)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        self.gone = True
        self.lost.callback(None)

    @property
    def statuses(self) -> list[int]:
        """Of all answers."""
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", self.received)]

    async def ended(self) -> bytes:
        """Wait until the server has closed; what it said."""
        await until(lambda: self.gone, 5)
        return self.received


async def connect(served: Served, source: str = "127.0.0.1", plain: bool = False) -> Wire:
    """Connect, over TLS where the server speaks it, unless *plain*."""
    endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", served.port, bindAddress=(source, 0))
    if served.tls and not plain:
        endpoint = wrapClientTLS(CertificateOptions(), endpoint)
    wire: Wire = await connectProtocol(endpoint, Wire())
    return wire


async def say(served: Served, *pieces: bytes) -> Wire:
    """Connect and send *pieces*."""
    wire = await connect(served)
    for piece in pieces:
        wire.transport.write(piece)
    return wire


async def answer(served: Served, *pieces: bytes) -> Wire:
    """Send *pieces* on a connection, and wait until the server has closed it."""
    wire = await say(served, *pieces)
    await wire.ended()
    return wire


def request(
    method: bytes = b"GET", path: bytes = b"/", *fields: bytes, body: bytes = b"", close: bool = False
) -> bytes:
    """A request; with a body, its length is declared."""
    lines = [b"%b %b HTTP/1.1" % (method, path), b"Host: localhost", *fields]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class SilentAtClose(Protocol):
    """A TLS client that never says its last word (``close_notify``)."""

    transport: Any

    def __init__(self, data: bytes) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out)
        self._data = data
        self._shaken = False
        self.received = b""
        self.told_to_close = False
        self.gone = False

    def connectionMade(self) -> None:
        self._go_on()

    def dataReceived(self, data: bytes) -> None:
        self._in.write(data)
        self._go_on()

    def connectionLost(self, reason: Any = None) -> None:
        self.gone = True

    def _go_on(self) -> None:
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
                self._tls.write(self._data)
            while piece := self._tls.read(65536):
                self.received += piece
            self.told_to_close = True
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:
            self.told_to_close = True
        finally:
            self.transport.write(self._out.read())
