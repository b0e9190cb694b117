"""Requests byte for byte, over TCP or TLS, from any address of the loopback, and the one answer to each."""

from __future__ import annotations

import json
from typing import Any

import attrs
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from tests.conftest import Daemon, until
from tests.test_lifetimes import RawClient

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@implementer(IOpenSSLClientConnectionCreator)
class _AnyCertificate:
    """TLS without a look at the certificate."""

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)


@attrs.frozen
class Said:
    """The answer to one request."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The code of an error in OpenAI's form."""
        code: str | None = json.loads(self.body)["error"]["code"]
        return code


async def reach(daemon: Daemon, source: str = "127.0.0.1") -> RawClient:
    """A connection from the address *source*, over TLS where the daemon speaks it."""
    endpoint: Any = TCP4ClientEndpoint(
        reactor, "127.0.0.1", int(daemon.url.rpartition(":")[2]), bindAddress=(source, 0)
    )
    if daemon.url.startswith("https:"):
        endpoint = wrapClientTLS(_AnyCertificate(), endpoint)
    client: RawClient = await connectProtocol(endpoint, RawClient())
    return client


async def say(daemon: Daemon, data: bytes, source: str = "127.0.0.1") -> Said:
    """The answer to *data*, which is no more than one request."""
    client = await reach(daemon, source)
    assert client.transport is not None
    client.transport.write(data)
    await until(lambda: client.lost.called or _is_whole(client.received))
    client.leave()
    await client.lost
    return _read(client.received)


async def ask(
    daemon: Daemon,
    *fields: tuple[str, str],
    method: str = "GET",
    target: str = "/v1/models",
    body: Any = None,
    host: str | None = "127.0.0.1",
    source: str = "127.0.0.1",
) -> Said:
    """The answer to a request with the header *fields*; *body* is sent as JSON that is not called so."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"Host: {host}"] if host is not None else []
    lines += [f"{name}: {value}" for name, value in fields]
    lines += [f"Content-Length: {len(content)}"] if content else []
    return await say(daemon, "\r\n".join([*lines, "", ""]).encode("latin-1") + content, source)


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    lines = head.lower().split(b"\r\n")
    length = next(
        (int(each.partition(b":")[2]) for each in lines if each.startswith(b"content-length:")), None
    )
    if length is not None:
        return len(body) >= length
    return b" 204 " in lines[0] or body.endswith(b"0\r\n\r\n")


def _read(received: bytes) -> Said:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        assert name.lower() not in fields, f"{name} twice"
        fields[name.lower()] = value.strip()
    return Said(int(first.split()[1]), fields, body)
