"""One HTTP request and its answer: Twisted's, with a body in memory, answers that say little, and fast streams."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final

from twisted.internet.tcp import Server
from twisted.web.http import datetimeToString, parse_qs
from twisted.web.resource import IResource
from twisted.web.server import Request

from chatmock.admission.client import Client
from chatmock.dialects import Dialect
from chatmock.dialects.refusing import ANTHROPIC_HEADERS, dialect_of
from chatmock.errors import Refusal
from chatmock.heads import refuse
from chatmock.http_head import RequestLine

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,64}")


class BoundedRequest(Request):
    """A request of a :class:`~chatmock.http_channel.BoundedChannel`, which reads and bounds it.

    Twisted would keep larger bodies in files, parse forms before routing and tell its version.
    """

    channel: Any  # a BoundedChannel, which knows its site
    client: Any
    """Who asks: a :class:`~chatmock.admission.client.Client`, set anew by who admits. (Twisted has the peer there.)"""
    defaultContentType = None
    __repr__ = object.__repr__  # Twisted's shows the whole URL
    content: BytesIO
    refused = False
    """Whether the answer is that of the channel, not of a route."""
    request_id = ""
    """What its log lines and its answer are told apart by: the client's ``X-Request-Id``, else one made here."""
    _all_sent = False
    """Whether nothing of the stream waits in the transport's buffer; false where that is not known."""

    def __init__(self, channel: Any) -> None:
        super().__init__(channel)
        self._peer = self.client
        self.client = Client(getattr(self._peer, "host", ""))
        self.arrived: float = channel.site.clock.seconds()
        """When its head was there, in the seconds of the site's clock."""
        self.method = self.uri = b"-"
        self.path = b"/"
        self.clientproto = b"HTTP/1.1"
        headers = self.responseHeaders
        headers.setRawHeaders(b"server", [b"chatmock"])
        headers.setRawHeaders(b"cache-control", [b"no-store"])
        headers.setRawHeaders(b"vary", [b"Origin"])
        headers.setRawHeaders(b"x-content-type-options", [b"nosniff"])

    def take_line(self, line: RequestLine) -> None:
        """Its first line has been read."""
        self.method, self.uri, self.path = line.method, line.target, line.path
        if line.minor_version == 0:
            self.clientproto = b"HTTP/1.0"
        self.args = parse_qs(line.query, True) if line.query else {}

    def take_fields(self, by_name: Mapping[bytes, list[bytes]]) -> None:
        """Its fields have been read."""
        headers = self.requestHeaders
        for name, values in by_name.items():
            headers.setRawHeaders(name, values)
        given = by_name.get(b"x-request-id", ())
        self.identify(given[0] if len(given) == 1 else b"")

    def identify(self, given: bytes = b"") -> None:
        """Give it the id that the client has *given*, or one of our own."""
        fits = _REQUEST_ID.fullmatch(given)
        self.request_id = given.decode("ascii") if fits else f"req_{secrets.token_hex(12)}"
        self.responseHeaders.setRawHeaders(b"x-request-id", [self.request_id.encode()])

    def getClientAddress(self) -> Any:
        """The address of the peer."""
        return self._peer

    def received(self) -> None:
        """Its body is complete: have it answered."""
        self.content.seek(0)
        self.process()

    def refuse(self, refusal: Refusal) -> None:
        """Answer with *refusal* in the dialect of the path; the connection ends with it."""
        self.refused = True
        if not self.request_id:
            self.identify()
        self.setHeader(b"connection", b"close")
        self.setHeader(b"date", datetimeToString())
        self.write(refuse(self, self._dialect(), refusal))
        self.finish()

    def _dialect(self) -> Dialect:
        versioned = any(map(self.requestHeaders.hasHeader, ANTHROPIC_HEADERS))
        return dialect_of(self.path.decode("ascii"), versioned)

    def write(self, data: bytes) -> None:
        """Write a piece of the answer; in a stream each is framed and sent in one go."""
        if not (self.startedWriting and self.chunked and data) or self.finished or self.channel is None:
            super().write(data)
            return
        self.sentLength += len(data)
        framed = b"%x\r\n%b\r\n" % (len(data), data)
        if not self._all_sent:
            self._all_sent = _flush(self.channel.transport)
        if self._all_sent and not self.channel.transport.disconnecting:
            # Send without waiting for the reactor to find the socket writable, which costs two more system calls
            # and a turn for each record.
            sent = self.channel.transport.writeSomeData(framed)
            if sent == len(framed):
                return
            self._all_sent = False
            framed = framed[sent:] if isinstance(sent, int) else framed
        self.channel.write(framed)

    def render(self, resrc: IResource) -> None:
        """Ask *resrc* for the answer; which Twisted runs here is nobody's business."""
        self.setHeader(b"server", b"chatmock")
        super().render(resrc)


def _flush(transport: object) -> bool:
    """Send what *transport* has buffered; whether it is a plain socket that has nothing left to send."""
    if type(transport) is not Server or transport.TLS or transport.disconnecting:
        return False
    return transport.doWrite() is None and not transport.dataBuffer
