"""A client of the Responses API's WebSocket, on the test's reactor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure

from tests.conftest import Daemon, until
from tests.test_lifetimes import connect

ENDS = ("response.completed", "response.incomplete", "response.failed", "error")
HANDSHAKE: Mapping[str, str] = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class SocketClient(WebSocketClientProtocol):
    """One socket, and what came by it."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Any] = []
        self.pings = 0
        self.answers_pings = True
        self.opened: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self.closed: tuple[int | None, str | None] | None = None
        """Code and reason of the close frame that came, once the connection is over."""
        self._read = 0

    def onOpen(self) -> None:
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        assert not isBinary
        self.frames.append(json.loads(payload))

    def onPing(self, payload: bytes) -> None:
        self.pings += 1
        if self.answers_pings:
            super().onPing(payload)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.closed = self.remoteCloseCode, self.remoteCloseReason
        if not self.opened.called:
            self.opened.errback(reason)
        self.lost.callback(None)

    def say(self, **fields: Any) -> None:
        """Send a frame."""
        self.say_raw(json.dumps(fields).encode())

    def say_raw(self, payload: bytes, isBinary: bool = False) -> None:
        self.sendMessage(payload, isBinary)

    def create(self, **fields: Any) -> None:
        """Ask for a response."""
        self.say(**{"type": "response.create", "model": "m", "input": "Hi", **fields})

    async def answer(self) -> list[Any]:
        """The frames up to and with the next that ends a response."""
        await until(lambda: any(each["type"] in ENDS for each in self.frames[self._read :]))
        taken: list[Any] = []
        while not taken or taken[-1]["type"] not in ENDS:
            taken.append(self.frames[self._read])
            self._read += 1
        return taken

    async def whole(self) -> list[Any]:
        """The frames of a stream that fails."""
        taken: list[Any] = []
        while not taken or taken[-1]["type"] != "response.failed":
            taken += await self.answer()
        return taken

    async def ask(self, **fields: Any) -> Any:
        """The response object that a request ends with."""
        self.create(**fields)
        last = (await self.answer())[-1]
        assert last["type"] == "response.completed", last
        return last["response"]

    async def refused(self, **fields: Any) -> Any:
        """The error that a request ends with."""
        self.create(**fields)
        return await self.error()

    async def error(self) -> Any:
        """The error that comes next."""
        last = (await self.answer())[-1]
        assert last["type"] == "error", last
        assert last["status"] == last["status_code"]
        return last

    def leave(self, rudely: bool = True) -> None:
        if rudely:
            self.transport.abortConnection()
        else:
            self.sendClose(1000)


async def open_socket(
    daemon: Daemon,
    headers: Mapping[str, str] | None = None,
    query: str = "",
    tls: CertificateOptions | None = None,
) -> SocketClient:
    """An open socket."""
    port = int(daemon.url.rpartition(":")[2])
    scheme = "ws" if tls is None else "wss"
    factory = WebSocketClientFactory(
        f"{scheme}://127.0.0.1:{port}/v1/responses{query}", headers=dict(headers or {}), reactor=reactor
    )
    factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0, serverConnectionDropTimeout=0)
    factory.protocol = SocketClient
    endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    if tls is not None:
        endpoint = wrapClientTLS(tls, endpoint)
    client: SocketClient = await endpoint.connect(factory)
    await client.opened
    return client


async def shake_hands(
    daemon: Daemon, line: str = "GET /v1/responses HTTP/1.1", **changed: str | None
) -> bytes:
    """The bytes that answer a handshake with *changed* fields (None leaves one out), up to the end of the head."""
    fields = {**HANDSHAKE, **{name.replace("_", "-"): value for name, value in changed.items()}}
    body = fields.pop("body", None) or ""
    client = await connect(daemon)
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    client.transport.write(f"{line}\r\n{head}\r\n{body}".encode())
    await until(lambda: b"\r\n\r\n" in client.received)
    client.leave()
    await client.lost
    return client.received
