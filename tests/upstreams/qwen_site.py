"""The HTTP side of a fake chat.qwen.ai: reads requests, plays answers, and sees clients leave."""

from __future__ import annotations

import json
from typing import Any, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.upstreams.openai_server import Reply
from tests.upstreams.qwen_chats import Turn
from tests.upstreams.qwen_store import BUCKET

STOPPED = b'data: {"response.stopped": {}}\n\n'
"""How a stream ends whose client is still there after ``/stop``."""
_PREFIX = "/api/v2/"


@attrs.frozen
class Asked:
    """A request that came in."""

    method: str
    path: str
    """As it was sent, without the query."""
    query: str
    headers: dict[str, str]
    """Names in lower case."""
    content: bytes
    body: Any
    """The JSON; None where there is none."""

    @property
    def endpoint(self) -> str:
        """The path without ``/api/v2/``; ``store`` for everything in the object store."""
        if self.path.startswith(f"/{BUCKET}/"):
            return "store"
        return self.path.removeprefix(_PREFIX)


class Answers(Protocol):
    """What stands behind the site."""

    reactor: Any
    open_connections: int
    connections: int
    active: int

    def respond(self, asked: Asked) -> tuple[Reply, Turn | None]:
        """What to answer, and the turn whose answer that is."""


class QwenSite(Site):
    """The server."""

    noisy = False

    def __init__(self, server: Answers) -> None:
        super().__init__(_Leaf(server), parsePOSTFormSubmission=False)
        self._server = server

    def buildProtocol(self, addr: Any) -> Any:
        """Count the connection for as long as it is open."""
        protocol = super().buildProtocol(addr)
        server = self._server
        server.open_connections += 1
        server.connections += 1
        lost = protocol.connectionLost

        def connection_lost(reason: Any) -> None:
            server.open_connections -= 1
            lost(reason)

        protocol.connectionLost = connection_lost
        return protocol

    def log(self, request: Any) -> None:
        """Quiet."""


class _Leaf(Resource):
    isLeaf = True

    def __init__(self, server: Answers) -> None:
        super().__init__()
        self._server = server

    def render(self, request: Request) -> Any:
        server = self._server
        reply, turn = server.respond(_asked(request))
        server.active += 1

        def over(_: Any) -> None:
            server.active -= 1

        request.notifyFinish().addBoth(over)
        playing = Deferred.fromCoroutine(_play(request, reply, turn, server.reactor))
        request.notifyFinish().addErrback(lambda _: playing.cancel())
        playing.addErrback(lambda failure: failure.trap(CancelledError))
        return NOT_DONE_YET


def _asked(request: Request) -> Asked:
    headers = {k.decode().lower(): v[-1].decode() for k, v in request.requestHeaders.getAllRawHeaders()}
    path, _, query = request.uri.decode().partition("?")
    content = request.content.read()
    is_json = headers.get("content-type", "").startswith("application/json") and request.method == b"POST"
    return Asked(
        request.method.decode(),
        path,
        query,
        headers,
        content,
        json.loads(content) if is_json and content else None,
    )


async def _play(request: Request, reply: Reply, turn: Turn | None, clock: Any) -> None:
    """Write *reply*. The chat is free once the record that ends the answer is out, or after /stop, which ends the stream."""
    if reply.before:
        await deferLater(clock, reply.before)
    request.setResponseCode(reply.status)
    request.setHeader(b"content-type", reply.content_type)
    for name, value in reply.headers.items():
        request.setHeader(name, value)
    for at, piece in enumerate(reply.pieces, 1):
        if turn is not None and turn.stopped:
            request.write(STOPPED)
            break
        request.write(piece)
        if turn is not None and turn.over_after == at:
            turn.end()
        await deferLater(clock, reply.pause)
    if reply.ending == "cut":
        request.transport.abortConnection()
        return
    if reply.ending == "hang" and not (turn is not None and turn.stopped):
        await (turn.stopping() if turn is not None else Deferred())
    if turn is not None:
        turn.end()
    request.finish()
