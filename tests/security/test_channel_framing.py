"""What a head may be, and where a body ends: whatever could be read in two ways is refused (P21, P23, P27)."""

from __future__ import annotations

import json
import socket
import ssl

import pytest
from twisted.internet.threads import deferToThread

from tests.conftest import until
from tests.security.channel import Wire, answer, request, say, serving

HOST = b"Host: localhost\r\n"
POST = b"POST /asked HTTP/1.1\r\n" + HOST
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

REFUSED = {
    # the first line
    "no version": (400, b"GET /asked\r\n\r\n"),
    "HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/1.2": (400, b"GET /asked HTTP/1.2\r\n" + HOST + b"\r\n"),
    "two spaces": (400, b"GET  /asked HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a space before": (400, b" GET /asked HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a space after": (400, b"GET /asked HTTP/1.1 \r\n" + HOST + b"\r\n"),
    "a tab": (400, b"GET\t/asked HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a method that is no token": (400, b"G(T /asked HTTP/1.1\r\n" + HOST + b"\r\n"),
    "two empty lines before": (400, b"\r\n\r\nGET /asked HTTP/1.1\r\n" + HOST + b"\r\n"),
    "no path": (400, b"GET asked HTTP/1.1\r\n" + HOST + b"\r\n"),
    "an asterisk": (400, b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n"),
    "another scheme": (400, b"GET ftp://localhost/asked HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a user in the target": (400, b"GET http://me@localhost/asked HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a target without a host": (400, b"GET http:///asked HTTP/1.1\r\n" + HOST + b"\r\n"),
    "bytes that are no UTF-8": (400, request(b"GET", b"/asked%ff")),
    "half a character": (400, request(b"GET", b"/%e2%82")),
    "a path beyond ASCII": (400, request(b"GET", "/gefragt/ä".encode())),
    "TRACE": (405, request(b"TRACE", b"/asked")),
    "CONNECT": (405, b"CONNECT http://localhost/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "lower case": (405, request(b"get", b"/asked")),
    "a method nobody knows": (405, request(b"BREW", b"/asked")),
    "a long target": (414, request(b"GET", b"/" + b"a" * 8200)),
    "an endless target": (414, b"GET /" + b"a" * 9000),
    "a long method": (414, b"G" * 9000 + b" / HTTP/1.1\r\n" + HOST + b"\r\n"),
    # fields
    "101 fields": (431, request(b"GET", b"/asked", *[b"a: b"] * 100)),
    "a long field": (431, request(b"GET", b"/asked", b"a: " + b"b" * 8200)),
    "a large head": (431, request(b"GET", b"/asked", *[b"a: " + b"b" * 4000] * 5)),
    "an endless head": (431, b"GET /asked HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 3000),
    "a folded field": (400, request(b"GET", b"/asked", b"a: b", b" c")),
    "a folded first field": (400, b"GET /asked HTTP/1.1\r\n " + HOST + b"\r\n"),
    "a folded length": (400, POST + b"Content-Length:\r\n 5\r\n\r\nhello"),
    "no colon": (400, request(b"GET", b"/asked", b"a")),
    "no name": (400, request(b"GET", b"/asked", b": a")),
    "a space before the colon": (400, POST + b"Content-Length : 5\r\n\r\nhello"),
    "a name that is no token": (400, request(b"GET", b"/asked", b"a(b): c")),
    "a NUL": (400, request(b"GET", b"/asked", b"a: b\0c")),
    "a bare CR": (400, request(b"GET", b"/asked", b"a: b\rContent-Length: 5")),
    "a bare LF": (400, request(b"GET", b"/asked", b"a: b\nContent-Length: 5")),
    "bare LFs only": (400, b"GET /asked HTTP/1.1\nHost: localhost\n\n"),
    "a vertical tab": (400, request(b"GET", b"/asked", b"a: \x0bb")),
    "Latin-1 in a field": (400, request(b"GET", b"/asked", b"Authorization: Bearer \xe4")),
    "UTF-8 in a field": (400, request(b"GET", b"/asked", "X-Title: Geschäft".encode())),
    "a TLS handshake": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 32),
    "no host": (400, b"GET /asked HTTP/1.1\r\n\r\n"),
    "no host, HTTP/1.0": (400, b"GET /asked HTTP/1.0\r\n\r\n"),
    "two hosts": (400, request(b"GET", b"/asked", HOST.strip())),
    "an empty host": (400, b"GET /asked HTTP/1.1\r\nHost:\r\n\r\n"),
    "two hosts in one": (400, b"GET /asked HTTP/1.1\r\nHost: localhost, localhost\r\n\r\n"),
    "a host with a path": (400, b"GET /asked HTTP/1.1\r\nHost: localhost/x\r\n\r\n"),
    "a host with a user": (400, b"GET /asked HTTP/1.1\r\nHost: a@localhost\r\n\r\n"),
    "a host with an empty label": (400, b"GET /asked HTTP/1.1\r\nHost: a..b\r\n\r\n"),
    "a host with a long label": (400, b"GET /asked HTTP/1.1\r\nHost: " + b"a" * 64 + b"\r\n\r\n"),
    "a port that is none": (400, b"GET /asked HTTP/1.1\r\nHost: localhost:http\r\n\r\n"),
    # framing
    "two lengths": (400, POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + SMUGGLED),
    "the same length twice": (400, POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    "two lengths in one": (400, POST + b"Content-Length: 5, 5\r\n\r\nhello"),
    "a signed length": (400, POST + b"Content-Length: +5\r\n\r\nhello"),
    "a negative length": (400, POST + b"Content-Length: -5\r\n\r\nhello"),
    "a hexadecimal length": (400, POST + b"Content-Length: 0x5\r\n\r\nhello"),
    "a length with an underscore": (400, POST + b"Content-Length: 1_0\r\n\r\nhello"),
    "an empty length": (400, POST + b"Content-Length:\r\n\r\nhello"),
    "a length with a fraction": (400, POST + b"Content-Length: 5.0\r\n\r\nhello"),
    "20 digits": (400, POST + b"Content-Length: 18446744073709551621\r\n\r\nhello"),
    "5000 digits": (400, POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhello"),
    "a length and chunks": (400, POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED),
    "chunks and a length": (400, POST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "identity and a length": (400, POST + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello"),
    "identity": (400, POST + b"Transfer-Encoding: identity\r\n\r\n"),
    "two codings": (400, POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n"),
    "two codings in one": (400, POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    "gzip, chunked": (400, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "a coding nobody knows": (400, POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "a quoted coding": (400, POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n'),
    "a coding after a vertical tab": (400, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "an empty coding": (400, POST + b"Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello"),
    "a folded coding": (400, POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    "chunks in HTTP/1.0": (400, b"POST /asked HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n"),
    # chunks
    "a signed chunk": (400, POST + CHUNKED + b"\r\n+5\r\nhello\r\n0\r\n\r\n"),
    "a chunk with 0x": (400, POST + CHUNKED + b"\r\n0x5\r\nhello\r\n0\r\n\r\n"),
    "a chunk with an underscore": (400, POST + CHUNKED + b"\r\n0_5\r\nhello\r\n0\r\n\r\n"),
    "a chunk after a space": (400, POST + CHUNKED + b"\r\n 5\r\nhello\r\n0\r\n\r\n"),
    "a chunk without a size": (400, POST + CHUNKED + b"\r\n;a=b\r\nhello\r\n0\r\n\r\n"),
    "a chunk longer than it says": (400, POST + CHUNKED + b"\r\n5\r\nhello!\r\n0\r\n\r\n"),
    "a chunk that ends in LF": (400, POST + CHUNKED + b"\r\n5\r\nhello\n0\r\n\r\n" + SMUGGLED),
    "a chunk's size that ends in LF": (400, POST + CHUNKED + b"\r\n5\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a control character beside a chunk": (400, POST + CHUNKED + b"\r\n5;a=\x01\r\nhello\r\n0\r\n\r\n"),
    "a long extension": (400, POST + CHUNKED + b"\r\n5;" + b"a" * 2000 + b"\r\nhello\r\n0\r\n\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("tls", [False, True])
async def test_one_answer_and_the_end(tls: bool) -> None:
    async with serving(tls, times={"linger_seconds": 0.03}) as served:
        for name, (status, data) in REFUSED.items():
            served.lines.clear()
            wire = await answer(served, data, SMUGGLED)
            assert wire.statuses == [status], (name, wire.received)
            assert b"Connection: close\r\n" in wire.received, name
            assert set(json.loads(body_of(wire))["error"]) == {"message", "type", "param", "code"}, name
            assert len(wire.received) < 1500, name
            assert (served.pages.seen, name) == ([], name)


@pytest.mark.parametrize("name", ["bare LFs only", "a TLS handshake", "two lengths", "TRACE", "101 fields"])
async def test_one_byte_at_a_time(name: str) -> None:
    status, data = REFUSED[name]
    async with serving() as served:
        wire = await answer(served, *[bytes([byte]) for byte in data])
        assert wire.statuses == [status]
        assert served.pages.seen == []


def body_of(wire: Wire) -> bytes:
    return wire.received.partition(b"\r\n\r\n")[2]


async def test_what_is_refused_names_what_is_allowed() -> None:
    async with serving() as served:
        wire = await answer(served, request(b"TRACE"))
        assert b"Allow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT\r\n" in wire.received


TAKEN = {
    "an empty line before": b"\r\nGET /asked HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    "99 more fields": request(b"GET", b"/asked", *[b"a: b"] * 98, close=True),
    "a long target": request(b"GET", b"/asked?" + b"a" * 8100, close=True),
    "absolute form": b"GET http://localhost/asked HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    "an address": b"GET /asked HTTP/1.1\r\nHost: [::1]:8000\r\nConnection: close\r\n\r\n",
    "a dot at the end": b"GET /asked HTTP/1.1\r\nHost: a_box.lan.:80\r\nConnection: close\r\n\r\n",
    "close among others": b"GET /asked HTTP/1.1\r\n" + HOST + b"Connection: x, Close\r\n\r\n",
    "tabs around a value": request(b"GET", b"/asked", b"a:\t b \t", close=True),
    "HTTP/1.0": b"GET /asked HTTP/1.0\r\n" + HOST + b"\r\n",
    "escapes": request(b"GET", b"/asked%20%c3%a4%zz", close=True),
    "an empty body": request(b"POST", b"/asked", b"Content-Length: 0", close=True),
    "a body of a GET": request(b"GET", b"/asked", body=b"hello", close=True),
    "chunks": request(b"POST", b"/asked", CHUNKED.strip(), close=True) + b"5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
async def test_what_is_allowed_is_answered(name: str) -> None:
    async with serving() as served:
        wire = await answer(served, TAKEN[name])
        assert b" 200 OK\r\n" in wire.received, wire.received
        assert served.pages.seen[0].split(b" ", 1)[1].startswith(b"/asked")
        assert served.pages.bodies[0] in (b"", b"hello")
        pieces = [bytes([byte]) for byte in TAKEN[name]]
        assert b" 200 OK\r\n" in (await answer(served, *pieces)).received
        assert served.pages.seen[0] == served.pages.seen[1]


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with serving() as served:
        paths = [b"/%d" % number for number in range(150)]
        wire = await answer(served, b"".join(request(b"GET", path) for path in paths), request(close=True))
        assert served.pages.seen == [b"GET " + path for path in [*paths, b"/"]]
        assert wire.statuses == [200] * 151


async def test_a_connection_is_used_again() -> None:
    async with serving() as served:
        wire = await say(served, request(b"POST", b"/1", body=b"one"))
        await until(lambda: b"POST /1 3" in wire.received)
        wire.transport.write(request(b"POST", b"/2", CHUNKED.strip()) + b"3\r\ntwo\r\n0\r\n\r\n")
        await until(lambda: b"POST /2 3" in wire.received)
        wire.transport.write(request(b"HEAD", b"/3", close=True))
        await wire.ended()
        assert served.pages.bodies == [b"one", b"two", b""]


async def test_no_http_2() -> None:
    assert (await _negotiated(["h2", "http/1.1"])) == "http/1.1"
    with pytest.raises(ssl.SSLError):
        await _negotiated(["h2"])


async def _negotiated(offered: list[str]) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(offered)
    async with serving(tls=True) as served:

        def shake() -> str | None:
            with (
                socket.create_connection(("127.0.0.1", served.port), 5) as plain,
                context.wrap_socket(plain) as sock,
            ):
                return sock.selected_alpn_protocol()

        negotiated: str | None = await deferToThread(shake)
        return negotiated
