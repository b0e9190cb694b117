"""The daemon's HTTP server: where channels, requests and the access line meet.

HTTP/1.1 only: Twisted speaks HTTP/2 as soon as its packages are importable, and none of the limits here hold there
(spec security.md §0). Its own access log, its clock of log stamps and its reading of forms are not used either.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource
from twisted.web.server import Site

from chatmock.access_log import AccessLog
from chatmock.connection_counts import ConnectionCounts
from chatmock.errors import Refusal
from chatmock.http_channel import BoundedChannel
from chatmock.http_request import BoundedRequest
from chatmock.http_terms import Admission, Bounds

_MANY = 512


class Everybody:
    """The :class:`~chatmock.http_terms.Admission` of a server that lets its resource decide."""

    def admit(self, request: BoundedRequest) -> Refusal | None:
        """None: *request* is answered."""
        return None


class BoundedSite(Site):
    """An HTTP server whose every connection is bounded.

    :param max_body_bytes: the most bytes of one request's body.
    :param admission: asked once the head of a request has been read, before its body.
    """

    protocol = BoundedChannel  # type: ignore[assignment]  # Twisted would wrap it, to switch to HTTP/2
    noisy = False

    def __init__(
        self,
        resource: IResource,
        clock: IReactorTime,
        max_body_bytes: int,
        admission: Admission | None = None,
        bounds: Bounds | None = None,
        connections: ConnectionCounts | None = None,
    ) -> None:
        super().__init__(resource, BoundedRequest, timeout=None, reactor=clock, parsePOSTFormSubmission=False)
        self.clock = clock
        self.max_body_bytes = max_body_bytes
        self.admission = admission or Everybody()
        self.bounds = bounds or Bounds()
        self.connections = connections or ConnectionCounts(_MANY, _MANY)
        self.access = AccessLog(clock)
        self.displayTracebacks = False

    def acceptableProtocols(self) -> list[bytes]:
        """What is offered in a TLS handshake: HTTP/1.1 only."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Nothing: Twisted would begin to update log stamps, each second."""

    def stopFactory(self) -> None:
        """Nothing, as nothing was started."""

    def log(self, request: Any) -> None:
        """A request has been answered."""
        self.access.answered(request)
