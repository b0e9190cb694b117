"""A fake upstream that speaks OpenAI chat over real HTTP, and refuses what the real ones refuse.

What it answers is set by the test: recorded bytes cut as told, or a function of the request. It counts its
connections and remembers its requests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site


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


@attrs.define
class Asked:
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: Any


class OpenAIServer:
    """The fake; listens on a free loopback port once `listen` is called."""

    def __init__(self, reactor: Any, key: str | None = "upstream-key", prefix: str = "/v1") -> None:
        self._reactor = reactor
        self.key = key
        self.prefix = prefix
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Reply] = lambda asked: Reply()
        self.models: Sequence[dict[str, Any]] | None = None
        self.open_connections = 0
        self.connections = 0
        self.active = 0
        """Requests being answered now."""
        self.abort_next = False
        """Whether the next request finds its connection dying, as one that was kept too long."""
        self.port: Any = None

    def listen(self) -> None:
        """Open the port."""
        site = _CountingSite(_Leaf(self), self)
        self.port = self._reactor.listenTCP(0, site, interface="127.0.0.1")

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port.getHost().port}{self.prefix}"

    def chats(self) -> list[Asked]:
        """The chat requests so far."""
        return [asked for asked in self.asked if asked.path.endswith("/chat/completions")]

    def reply(self, pieces: Iterable[bytes], **more: Any) -> None:
        """Answer every chat request alike."""
        fixed = Reply(list(pieces), **more)
        self.answer = lambda asked: fixed

    def reply_json(self, value: Any, status: int = 200, **more: Any) -> None:
        """Answer every chat request with a JSON body."""
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.reply([data], status=status, content_type=b"application/json", **more)

    def respond(self, asked: Asked) -> Reply:
        """What to answer to *asked*: a refusal where the real one would refuse it."""
        if self.key is not None and asked.headers.get("authorization") != f"Bearer {self.key}":
            return _error(401, "Incorrect API key provided: wrong.", "invalid_api_key")
        if asked.path == f"{self.prefix}/models":
            if self.models is None:
                return _error(404, "no such path", None)
            listing = json.dumps({"object": "list", "data": list(self.models)}).encode()
            return Reply([listing], content_type=b"application/json")
        if asked.path != f"{self.prefix}/chat/completions":
            return _error(404, f"no such path: {asked.path}", None)
        if not isinstance(asked.body, dict) or not asked.body.get("model") or not asked.body.get("messages"):
            return _error(400, "model and messages are required", None)
        if "gzip" in asked.headers.get("accept-encoding", ""):
            return _error(400, "this server would compress its answer", None)
        if asked.body.get("stream_options") and not asked.body.get("stream"):
            return _error(400, "stream_options needs stream", None)
        return self.answer(asked)


class _CountingSite(Site):
    def __init__(self, resource: Resource, server: OpenAIServer) -> None:
        super().__init__(resource)
        self._server = server

    def buildProtocol(self, addr: Any) -> Any:
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

    def __init__(self, server: OpenAIServer) -> None:
        super().__init__()
        self._server = server

    def render(self, request: Request) -> Any:
        server = self._server
        if server.abort_next:
            server.abort_next = False
            request.transport.abortConnection()
            return NOT_DONE_YET
        data = request.content.read()
        path = request.path.decode()
        headers = {k.decode().lower(): v[-1].decode() for k, v in request.requestHeaders.getAllRawHeaders()}
        asked = Asked(path, headers, json.loads(data) if data else None)
        server.asked.append(asked)
        reply = server.respond(asked)
        server.active += 1

        def over(_: Any) -> None:
            server.active -= 1

        request.notifyFinish().addBoth(over)
        playing = Deferred.fromCoroutine(_play(request, reply, server._reactor))
        request.notifyFinish().addErrback(lambda _: playing.cancel())
        playing.addErrback(lambda failure: None)
        return NOT_DONE_YET


def _error(status: int, message: str, code: str | None) -> Reply:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return Reply([json.dumps(body).encode()], status=status, content_type=b"application/json")


async def _play(request: Request, reply: Reply, clock: IReactorTime) -> None:
    if reply.before:
        await deferLater(clock, reply.before)
    request.setResponseCode(reply.status)
    request.setHeader(b"content-type", reply.content_type)
    for name, value in reply.headers.items():
        request.setHeader(name, value)
    for piece in reply.pieces:
        if request._disconnected:
            return
        request.write(piece)
        await deferLater(clock, reply.pause)
    if reply.ending == "cut":
        request.transport.abortConnection()
    elif reply.ending == "hang":
        await Deferred()
    else:
        request.finish()
