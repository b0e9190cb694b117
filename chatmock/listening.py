"""The HTTP server's own parts: how large a body may be and where it is kept, and one line of log a request.

Twisted's server has no limit on bodies, writes larger ones (prompts, pictures) to files, parses forms before
routing and speaks HTTP/2 as soon as it can (spec security.md §0); none of that here.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.tcp import Server
from twisted.logger import Logger
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from chatmock.dialects.openai_errors import error_body
from chatmock.errors import Kind, Refusal

_IDLE_SECONDS = 75
_access_log = Logger(namespace="chatmock.access")


class BoundedRequest(Request):
    """A request whose body is kept in memory and bounded, whether its length is declared or not.

    What is too much is read and dropped up to as much again, so that the client can read why; then the
    connection is cut.
    """

    channel: Any  # an HTTPChannel, which knows its site
    defaultContentType = None
    arrived = 0.0
    _left = 0
    _refused = False
    _all_sent = False
    """Whether nothing of the stream waits in the transport's buffer; false where that is not known."""

    def gotLength(self, length: int | None) -> None:
        """The head has been read; *length* is that of the body, None for a chunked one."""
        site: BoundedSite = self.channel.site
        self.arrived = site.clock.seconds()
        self.content = BytesIO()
        self._left = site.max_body_bytes
        if length is not None and length > self._left:
            self._refused = True
            self.requestHeaders.removeHeader(b"expect")

    def handleContentChunk(self, data: bytes) -> None:
        """More of the body."""
        self._left -= len(data)
        if self._left >= 0 and not self._refused:
            super().handleContentChunk(data)
            return
        self._refused = True
        self.content = BytesIO()
        if self._left < -self.channel.site.max_body_bytes:
            self.channel.forceAbortClient()

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

    def process(self) -> None:
        """Route the request, now that its body has come."""
        if not self._refused:
            super().process()
            return
        most = self.channel.site.max_body_bytes
        message = (
            f"The request body is larger than {most} bytes, which follows from CHATMOCK_MAX_TOTAL_BYTES and"
            " CHATMOCK_MAX_IMAGE_BYTES."
        )
        body = error_body(Refusal(Kind.TOO_LARGE, message, code="request_too_large"))
        self.setHeader(b"server", b"chatmock")
        self.setResponseCode(413)
        self.setHeader(b"content-type", b"application/json")
        self.setHeader(b"content-length", b"%d" % len(body))
        self.setHeader(b"connection", b"close")
        self.write(body)
        self.finish()

    def render(self, resrc: IResource) -> None:
        """Ask *resrc* for the answer; which Twisted runs here is nobody's business."""
        self.setHeader(b"server", b"chatmock")
        super().render(resrc)


def _flush(transport: object) -> bool:
    """Send what *transport* has buffered; whether it is a plain socket that has nothing left to send."""
    if type(transport) is not Server or transport.TLS or transport.disconnecting:
        return False
    return transport.doWrite() is None and not transport.dataBuffer


class BoundedSite(Site):
    """The daemon's HTTP server.

    :param max_body_bytes: the most bytes of one request's body.
    """

    noisy = False

    def __init__(self, resource: IResource, clock: IReactorTime, max_body_bytes: int) -> None:
        super().__init__(
            resource, requestFactory=BoundedRequest, timeout=_IDLE_SECONDS, parsePOSTFormSubmission=False
        )
        self.clock = clock
        self.max_body_bytes = max_body_bytes
        self.displayTracebacks = False

    def acceptableProtocols(self) -> list[bytes]:
        """HTTP/1.1 only: none of the limits here hold in HTTP/2."""
        return [b"http/1.1"]

    def log(self, request: Any) -> None:
        """One line for each answered request: never its query, its headers or its content."""
        path = request.uri.partition(b"?")[0][:200].decode("ascii", "backslashreplace")
        method = request.method.decode("ascii", "backslashreplace")
        line = (
            f"{request.getClientAddress().host} {method} {path} {request.code} {request.sentLength} bytes"
            f" {(self.clock.seconds() - request.arrived) * 1000:.0f} ms"
        )
        # One field, already whole: formatting several costs a small request a tenth of its time.
        _access_log.info(
            "{line}",
            line=line if line.isprintable() else "".join(c if c.isprintable() else "?" for c in line),
        )
