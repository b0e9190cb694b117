"""The HTTP server of every fake upstream: it reads requests, plays replies piece by piece, and sees clients leave."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site


class Course:
    """How a reply is played: as it stands. A fake that has a say in it makes its own."""

    def last_words(self) -> bytes | None:
        """Asked before each piece: what is written instead of it and of all that follow; None to go on."""
        return None

    def wrote(self, count: int) -> None:
        """The first *count* pieces have been written."""

    def released(self) -> Deferred[None]:
        """Fires when a reply that hangs shall end."""
        return Deferred()

    def end(self) -> None:
        """The reply is complete; not called for one that is cut, or whose client has left."""


@attrs.define
class Reply:
    """What to answer."""

    pieces: Sequence[bytes] = ()
    """The body, written one piece at a time."""
    status: int = 200
    content_type: bytes = b"text/event-stream"
    headers: dict[bytes, bytes] = attrs.field(factory=dict)
    pause: float = 0.0
    """Seconds between pieces; with 0 each still is a write, and so a packet, of its own."""
    before: float = 0.0
    """Seconds before the status."""
    ending: str = "complete"
    """``complete``, ``cut`` (the connection is aborted) or ``hang`` (nothing more comes)."""
    course: Course = attrs.field(factory=Course, eq=False)


@attrs.frozen
class Asked:
    """A request that came in."""

    method: str
    path: str
    """As it was sent, without the query."""
    query: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Names in lower case; of a repeated one the last value."""
    content: bytes = b""
    body: Any = None
    """What the fake reads in it, see `PlayingSite.read`."""


class PlayingSite(ABC):
    """A fake; it listens on a free loopback port once `listen` is called, and remembers its requests.

    :param prefix: what the base URL has after the port.
    """

    def __init__(self, reactor: Any, prefix: str = "") -> None:
        self.reactor = reactor
        self.prefix = prefix
        self.asked: list[Asked] = []
        self.connections = 0
        self.open_connections = 0
        self.active = 0
        """Requests being answered now."""
        self.abort_next = False
        """Whether the next request finds its connection dying, as one that was kept too long."""
        self.port: Any = None

    def listen(self) -> None:
        """Open the port."""
        self.port = self.reactor.listenTCP(0, _Factory(self), interface="127.0.0.1")

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port.getHost().port}{self.prefix}"

    def read(self, asked: Asked) -> Any:
        """The `Asked.body` of *asked*, which has everything else already: its JSON; None where it is empty."""
        return json.loads(asked.content) if asked.content else None

    @abstractmethod
    def respond(self, asked: Asked) -> Reply:
        """What to answer to *asked*: a refusal where the real one would refuse it."""


class _Factory(Site):
    noisy = False

    def __init__(self, site: PlayingSite) -> None:
        super().__init__(_Leaf(site), parsePOSTFormSubmission=False)
        self._site = site

    def buildProtocol(self, addr: Any) -> Any:
        """Count the connection for as long as it is open."""
        protocol = super().buildProtocol(addr)
        site = self._site
        site.open_connections += 1
        site.connections += 1
        lost = protocol.connectionLost

        def connection_lost(reason: Any) -> None:
            site.open_connections -= 1
            lost(reason)

        protocol.connectionLost = connection_lost
        return protocol

    def log(self, request: Any) -> None:
        """Quiet."""


class _Leaf(Resource):
    isLeaf = True

    def __init__(self, site: PlayingSite) -> None:
        super().__init__()
        self._site = site

    def render(self, request: Request) -> Any:
        site = self._site
        if site.abort_next:
            site.abort_next = False
            request.transport.abortConnection()
            return NOT_DONE_YET
        asked = _asked(request)
        asked = attrs.evolve(asked, body=site.read(asked))
        site.asked.append(asked)
        reply = site.respond(asked)
        site.active += 1

        def over(_: Any) -> None:
            site.active -= 1

        request.notifyFinish().addBoth(over)
        playing = Deferred.fromCoroutine(_play(request, reply, site.reactor))
        request.notifyFinish().addErrback(lambda _: playing.cancel())
        playing.addErrback(lambda failure: failure.trap(CancelledError))
        return NOT_DONE_YET


def _asked(request: Request) -> Asked:
    headers = {k.decode().lower(): v[-1].decode() for k, v in request.requestHeaders.getAllRawHeaders()}
    path, _, query = request.uri.decode().partition("?")
    return Asked(request.method.decode(), path, query, headers, request.content.read())


async def _play(request: Request, reply: Reply, clock: Any) -> None:
    course = reply.course
    if reply.before:
        await deferLater(clock, reply.before)
    request.setResponseCode(reply.status)
    request.setHeader(b"content-type", reply.content_type)
    for name, value in reply.headers.items():
        request.setHeader(name, value)
    for count, piece in enumerate(reply.pieces, 1):
        last = course.last_words()
        if last is not None:
            request.write(last)
            break
        request.write(piece)
        course.wrote(count)
        await deferLater(clock, reply.pause)
    if reply.ending == "cut":
        request.transport.abortConnection()
        return
    if reply.ending == "hang":
        await course.released()
    course.end()
    request.finish()
