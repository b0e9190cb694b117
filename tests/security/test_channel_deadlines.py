"""How long each state of a connection may last, and that every close comes to an end (P5, P20)."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import LoopingCall

from chatmock.unsent import unsent_bytes
from tests.conftest import pause, until
from tests.security.channel import (
    HELD,
    SOCKET_BUFFER,
    Served,
    SilentAtClose,
    Wire,
    connect,
    request,
    say,
    serving,
)

SHORT = 0.3
SLOW = 9_000_000
BOTH = pytest.mark.parametrize("tls", [False, True])


async def drip(wire: Wire, data: bytes) -> None:
    """Send a byte now and then, as long as nothing is answered."""
    for byte in data:
        if wire.gone or wire.statuses:
            return
        wire.transport.write(bytes([byte]))
        await pause(0.02)


@BOTH
async def test_a_head_that_drips(tls: bool) -> None:
    async with serving(tls, times={"head_seconds": SHORT}) as served:
        wire = await connect(served)
        await drip(wire, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 30)
        await wire.ended()
        assert wire.statuses == [408]
        assert b"request_timeout" in wire.received


@BOTH
async def test_a_second_head_that_drips(tls: bool) -> None:
    async with serving(tls, times={"head_seconds": SHORT}) as served:
        wire = await say(served, request())
        await until(lambda: wire.statuses == [200])
        wire.received = b""
        await drip(wire, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 30)
        await wire.ended()
        assert wire.statuses == [408]


@BOTH
@pytest.mark.parametrize("fields", [[b"Content-Length: 5000"], [b"Transfer-Encoding: chunked"]])
@pytest.mark.parametrize("begun", [b"", b"1\r\nx\r\n"])
async def test_a_body_that_drips(tls: bool, fields: list[bytes], begun: bytes) -> None:
    async with serving(tls, times={"body_seconds": SHORT}) as served:
        wire = await say(served, request(b"POST", b"/", *fields) + begun)
        await drip(wire, b"1\r\nx\r\n" * 30)
        await wire.ended()
        assert wire.statuses == [408]
        assert served.pages.seen == []


@BOTH
async def test_who_says_nothing(tls: bool) -> None:
    async with serving(tls, times={"head_seconds": SHORT}) as served:
        wire = await connect(served)
        assert await wire.ended() == b""


@BOTH
async def test_who_has_nothing_more_to_ask(tls: bool) -> None:
    async with serving(tls, times={"idle_seconds": SHORT}) as served:
        wire = await say(served, request(), request())
        await wire.ended()
        assert wire.statuses == [200, 200]


@pytest.mark.parametrize(("more", "rest"), [(b"", b""), (b"\r\n", b""), (b"\r", b"\n")])
async def test_an_idle_connection_may_last_longer_than_a_head(more: bytes, rest: bytes) -> None:
    """Line ends after a body, which some clients send, begin no head."""
    async with serving(times={"head_seconds": SHORT, "idle_seconds": 60.0}) as served:
        wire = await say(served, request() + more)
        await until(lambda: wire.statuses == [200])
        await pause(2 * SHORT)
        wire.transport.write(rest + request(close=True))
        await wire.ended()
        assert wire.statuses == [200, 200]


@BOTH
async def test_an_answer_may_take_its_time(tls: bool) -> None:
    short = dict.fromkeys(["head_seconds", "body_seconds", "idle_seconds", "stall_seconds"], SHORT)
    async with serving(tls, times=short) as served:
        wire = await say(served, request(b"POST", HELD, body=b"hello", close=True))
        await pause(3 * SHORT)
        served.pages.held[0].write(b"done")
        served.pages.held[0].finish()
        await wire.ended()
        assert b"done" in wire.received


async def test_a_handshake_that_does_not_come() -> None:
    async with serving(tls=True, times={"head_seconds": SHORT}) as served:
        silent = await connect(served, plain=True)
        assert await silent.ended() == b""
        begun = await connect(served, plain=True)
        begun.transport.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        await begun.ended()


@pytest.mark.parametrize("asked", [request(close=True), request(b"TRACE"), request()])
async def test_a_tls_client_that_does_not_take_part_in_the_close(asked: bytes) -> None:
    times = {"close_seconds": SHORT, "linger_seconds": 0.1, "idle_seconds": SHORT}
    async with serving(tls=True, times=times) as served:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", served.port)
        client: Any = await connectProtocol(endpoint, SilentAtClose(asked))
        await until(lambda: client.told_to_close, 5)
        assert b"HTTP/1.1 " in client.received
        await until(lambda: client.gone, 5)


async def asked(served: Served, size: int, data: bytes) -> Wire:
    """A client that has asked with *data* for answers of *size* bytes, and takes nothing from now on."""
    wire = await say(served, request())
    await until(lambda: wire.statuses == [200])  # over TLS the handshake is done too
    wire.received = b""
    served.pages.seen.clear()
    served.pages.size = size
    wire.transport.write(data)
    wire.transport.pauseProducing()
    await until(lambda: len(served.pages.seen) == 1)
    return wire


@BOTH
@pytest.mark.parametrize("close", [False, True])
async def test_who_does_not_take_its_answer(tls: bool, close: bool) -> None:
    async with serving(tls, times={"stall_seconds": SHORT, "close_seconds": 0.1}) as served:
        wire = await asked(served, 20_000_000, request(close=close))
        await until(lambda: served.site.connections.open == 0, 5)
        wire.transport.resumeProducing()
        await wire.ended()
        assert len(wire.received) < 20_000_000


async def test_who_does_not_take_its_answers_is_not_read() -> None:
    """Each request is small and each answer is not: no more than one waits."""
    async with serving(times={"stall_seconds": 60.0}) as served:
        wire = await asked(served, 10_000_000, request() * 100)
        await pause(SHORT)
        assert len(served.pages.seen) == 1
        served.pages.size = 0
        wire.transport.resumeProducing()
        await until(lambda: len(wire.statuses) == 100)
        wire.transport.abortConnection()


@BOTH
async def test_who_asks_on_without_taking_answers_is_not_read(tls: bool) -> None:
    """Else what it asks would fill the memory."""
    async with serving(tls, times={"stall_seconds": 60.0}) as served:
        wire = await asked(served, 10_000_000, request())
        wire.transport.write(request() * 500_000)
        left = -1
        while left != unsent_bytes(wire.transport):  # the sockets' buffers fill up first
            left = unsent_bytes(wire.transport)
            await pause(SHORT)
        assert left > 1_000_000
        wire.transport.abortConnection()


@BOTH
@pytest.mark.parametrize("close", [False, True])
async def test_who_takes_its_answer_slowly_gets_all_of_it(tls: bool, close: bool) -> None:
    """Longer than the answer may stand still, but it does not."""
    async with serving(tls, times={"stall_seconds": 1.0, "close_seconds": 0.25}) as served:
        wire = await asked(served, SLOW, request(close=close))
        handle = wire.transport.socket if not tls else wire.transport.transport.socket
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
        sipping = LoopingCall(wire.sip)
        sipping.start(0.1)
        await until(lambda: wire.gone or len(wire.received) > SLOW)
        sipping.stop()
        await pause(0.02)
        assert len(wire.received) > SLOW
        if not wire.gone:
            wire.transport.abortConnection()
