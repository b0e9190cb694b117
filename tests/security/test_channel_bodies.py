"""How large a body may be and where it is kept; refusals come before it, and can be read (P22)."""

from __future__ import annotations

import json
import tempfile
from typing import Any

import pytest

from chatmock.errors import Kind, Refusal
from tests.conftest import pause, until
from tests.security.channel import MOST, Served, answer, request, say, serving

CHUNKED = b"Transfer-Encoding: chunked"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def chunks(*sizes: int, extension: bytes = b"") -> bytes:
    return b"".join(b"%x%b\r\n%b\r\n" % (size, extension, b"x" * size) for size in sizes) + b"0\r\n\r\n"


@pytest.mark.parametrize("tls", [False, True])
async def test_the_limit_is_exact(tls: bool) -> None:
    async with serving(tls) as served:
        wire = await say(served, request(b"POST", body=b"x" * MOST))
        wire.transport.write(request(b"POST", b"/", CHUNKED) + chunks(MOST - 1000, 1000))
        await until(lambda: served.pages.bodies == [b"x" * MOST] * 2)
        wire.transport.write(request(b"POST", body=b"x" * (MOST + 1)))
        await wire.ended()
        assert wire.statuses == [200, 200, 413]
        wire = await answer(served, request(b"POST", b"/", CHUNKED) + chunks(MOST - 1000, 1001))
        assert wire.statuses == [413]
        assert len(served.pages.seen) == 2


@pytest.mark.parametrize(
    "fields", [[b"Content-Length: 1000000000000"], [b"Content-Length: 100001", b"Expect: 100-continue"]]
)
async def test_a_declared_length_is_refused_before_the_body(fields: list[bytes]) -> None:
    async with serving() as served:
        wire = await answer(served, request(b"POST", b"/", *fields))
        assert wire.statuses == [413]
        error = json.loads(wire.received.partition(b"\r\n\r\n")[2])["error"]
        assert error["code"] == "request_too_large"
        assert "CHATMOCK_MAX_IMAGE_BYTES" in error["message"]


@pytest.mark.parametrize("extension", [b"", b";" + b"a" * 1000])
async def test_framing_counts(extension: bytes) -> None:
    """A body of few bytes in many chunks, or beside long extensions."""
    async with serving(most=10) as served:
        wire = await say(served, request(b"POST", b"/", CHUNKED))
        while not wire.statuses:
            wire.transport.write(b"1" + extension + b"\r\nx\r\n")
            await pause(0)
        await wire.ended()
        assert wire.statuses == [413]


async def test_framing_counts_in_sum() -> None:
    """Extensions alone: the body itself would never be too large."""
    async with serving() as served:
        extended = chunks(*[1] * 200, extension=b";" + b"a" * 1000)
        wire = await answer(served, request(b"POST", b"/", CHUNKED) + extended)
        assert wire.statuses == [413]
        wire = await answer(served, request(b"POST", b"/", CHUNKED, close=True) + chunks(*[1] * 200))
        assert wire.statuses == [200]


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"gzip, identity", b"", b"x"])
async def test_no_compressed_body(coding: bytes) -> None:
    async with serving() as served:
        wire = await answer(served, request(b"POST", b"/", b"Content-Encoding: " + coding, body=b"hello"))
        assert wire.statuses == [415]
        assert served.pages.seen == []


async def test_identity_is_no_compression() -> None:
    async with serving() as served:
        fields = [b"Content-Encoding: Identity"]
        assert (await answer(served, request(b"POST", b"/", *fields, body=b"x", close=True))).statuses == [
            200
        ]


async def test_the_client_is_told_to_go_on() -> None:
    async with serving() as served:
        wire = await say(served, request(b"POST", b"/", b"Expect: 100-continue", b"Content-Length: 5"))
        await until(lambda: wire.received == CONTINUE)
        wire.transport.write(b"hello")
        await until(lambda: b"POST / 5" in wire.received)
        wire.transport.write(
            b"POST / HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
        wire.transport.write(b"hello")
        await wire.ended()
        assert wire.received.count(CONTINUE) == 1


async def test_who_does_not_wait_is_not_told_to_go_on() -> None:
    async with serving() as served:
        wire = await say(served, request(b"POST", b"/", b"Content-Length: 5", close=True))
        await until(lambda: served.site.connections.open == 1)
        await pause(0.05)
        wire.transport.write(b"hello")
        assert CONTINUE not in await wire.ended()


class Nobody:
    """Admits nobody."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def admit(self, asking: Any) -> Refusal:
        self.asked.append((asking.method, asking.path, asking.content))
        asking.setHeader(b"www-authenticate", b"Bearer")
        return Refusal(Kind.UNAUTHENTICATED, "no", code="invalid_api_key")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ([b"Content-Length: 50000", b"Expect: 100-continue"], b""),
        ([b"Content-Length: 1000000000000"], b"x" * 70_000),
        ([CHUNKED], b"10000\r\nxxxx"),
        ([b"Content-Encoding: gzip", b"Content-Length: 5"], b"hello"),
        ([], b""),
    ],
)
async def test_who_may_not_ask_is_told_before_the_body(fields: list[bytes], start: bytes, tls: bool) -> None:
    nobody = Nobody()
    async with serving(tls, admission=nobody, times={"linger_seconds": 0.1}) as served:
        wire = await answer(served, request(b"POST", b"/asked?key=1", *fields) + start)
        assert wire.statuses == [401]
        assert b"WWW-Authenticate: Bearer\r\n" in wire.received
        assert nobody.asked == [(b"POST", b"/asked", None)]
        assert served.pages.seen == []


async def test_who_cannot_be_understood_is_not_asked_for() -> None:
    nobody = Nobody()
    async with serving(admission=nobody) as served:
        assert (await answer(served, request(b"POST", b"/", CHUNKED, b"Content-Length: 1"))).statuses == [400]
        assert nobody.asked == []


async def write_on(served: Served, data: bytes) -> tuple[int, bytes]:
    """Send *data* as a client that does not read before everything is sent; bytes sent, and the answer."""
    import socket

    from twisted.internet.threads import deferToThread

    def blocking() -> tuple[int, bytes]:
        sent, received = 0, b""
        with socket.create_connection(("127.0.0.1", served.port), 5) as sock:
            try:
                while sent < len(data):
                    sent += sock.send(data[sent : sent + 65536])
            except OSError:
                pass  # the server does not take any more
            while piece := sock.recv(65536):
                received += piece
        return sent, received

    told: tuple[int, bytes] = await deferToThread(blocking)
    return told


async def test_a_refusal_is_read_by_who_writes_on() -> None:
    """Left unread, those bytes would reset the connection, and the answer would be lost."""
    async with serving() as served:
        for fields in ([b"Content-Length: 1500000"], [CHUNKED]):
            data = request(b"POST", b"/", *fields) + b"16e360\r\n" + b"x" * 1_500_000
            sent, received = await write_on(served, data)
            assert (sent, received[:12]) == (len(data), b"HTTP/1.1 413")


async def test_a_refused_client_does_not_write_on_for_ever() -> None:
    # Over TCP it is told the end of the answer, and this one would go by itself.
    async with serving(tls=True, times={"linger_bytes": 200_000, "linger_seconds": 60.0}) as served:
        wire = await say(served, request(b"POST", b"/", b"Content-Length: 1000000000000"))
        for _ in range(40):
            if not wire.gone:
                wire.transport.write(b"x" * 50_000)
                await pause(0.001)
        await wire.ended()


async def test_a_refused_client_that_stays_is_left() -> None:
    for tls in (False, True):
        async with serving(tls, times={"linger_seconds": 0.1}) as served:
            wire = await say(served, request(b"POST", b"/", b"Content-Length: 1000000000000"))
            await until(lambda wire=wire: bool(wire.statuses))  # type: ignore[misc]
            await until(lambda served=served: served.site.connections.open == 0, 5)  # type: ignore[misc]


async def test_no_file_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_file(*args: Any, **more: Any) -> None:
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, no_file)
    monkeypatch.setattr("twisted.web.http._getContentFile", no_file)
    async with serving(most=400_000) as served:
        wire = await say(served, request(b"POST", body=b"x" * 300_000))
        wire.transport.write(request(b"POST", b"/", CHUNKED, close=True) + chunks(300_000))
        await wire.ended()
        assert wire.statuses == [200, 200]


async def test_a_client_that_leaves_in_its_body_leaves_nothing() -> None:
    async with serving() as served:
        wire = await say(served, request(b"POST", b"/", b"Content-Length: 5000") + b"x" * 4000)
        await until(lambda: served.site.connections.open == 1)
        wire.transport.abortConnection()
        await until(lambda: served.site.connections.open == 0)
        assert served.pages.seen == []
