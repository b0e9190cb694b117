"""The smuggling list: requests whose end two servers might see at different places (spec security.md, 1.1 and P23).

Each has :data:`SMUGGLED` where one reading finds another request and the right one finds none, or a malformed one.
`tests/security/test_smuggling.py` sends them straight to a daemon, `fronts.py` through nginx and HAProxy too.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
_HOST = b"Host: localhost\r\n"
_POST = b"POST /asked HTTP/1.1\r\n" + _HOST
_GET = b"GET /asked HTTP/1.1\r\n" + _HOST
_END = b"0\r\n\r\n"
_LATER = b"GET /later HTTP/1.1\r\n" + _HOST + b"\r\n"


@attrs.frozen
class Case:
    """One of them."""

    name: str
    data: bytes
    answers: Sequence[int] = (400,)
    """The status of each answer, when the daemon itself is asked. A refused one is the connection's last."""

    @property
    def closes(self) -> bool:
        """Whether the daemon closes the connection with the last answer."""
        return self.answers[-1] in (400, 413) or b"\r\nConnection: close\r\n" in self.data


def _post(name: str, fields: bytes, body: bytes, *answers: int) -> Case:
    return Case(name, _POST + fields + b"\r\n" + body, answers or (400,))


def _get(name: str, fields: bytes, *answers: int) -> Case:
    return Case(name, _GET + fields + b"\r\n" + SMUGGLED, answers or (400,))


def _both(name: str, coding: bytes, *answers: int) -> Case:
    """A length that covers the smuggled request, and *coding*, by which the body ends before it."""
    body = _END + SMUGGLED
    return _post(name, b"Content-Length: %d\r\n" % len(body) + coding, body, *answers)


def _length(name: str, field: bytes, *answers: int) -> Case:
    """A *field* by which the body may end after five bytes, and one reading of it sees none or another end."""
    return _post(name, field, b"hello" + SMUGGLED, *answers)


def _chunked(name: str, body: bytes, *answers: int) -> Case:
    return _post(name, b"Transfer-Encoding: chunked\r\n", body, *answers)


_INSIDE = b"%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED) + _END

_TWO_ENDS = [
    _both("CL.TE", b"Transfer-Encoding: chunked\r\n"),
    _post("TE.CL", b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", _INSIDE),
    _post("TE before CL 0", b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", _END + SMUGGLED),
    _both("CL.TE in a strange case", b"tRANSFER-eNCODING: CHUNKED\r\n"),
    _both("CL.TE after a tab", b"Transfer-Encoding:\tchunked\r\n"),
    Case(
        "CL.TE in HTTP/1.0",
        b"POST /asked HTTP/1.0\r\n" + _HOST + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n"
        % len(_END + SMUGGLED) + _END + SMUGGLED,
    ),
    Case(
        "TE in HTTP/1.0",
        b"POST /asked HTTP/1.0\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n" + _END + SMUGGLED,
    ),
    _both("identity beside CL", b"Transfer-Encoding: identity\r\n"),
]  # fmt: skip

_CODINGS = [
    _both("TE: xchunked", b"Transfer-Encoding: xchunked\r\n"),
    _both("TE: chunked, identity", b"Transfer-Encoding: chunked, identity\r\n"),
    _both("TE: identity, chunked", b"Transfer-Encoding: identity, chunked\r\n"),
    _both("TE: chunked, chunked", b"Transfer-Encoding: chunked, chunked\r\n"),
    _both("TE.TE", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n"),
    _both("TE.TE the other way", b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n"),
    _both("TE with a parameter", b"Transfer-Encoding: chunked;q=1\r\n"),
    _both("TE quoted", b'Transfer-Encoding: "chunked"\r\n'),
    _both("TE empty", b"Transfer-Encoding:\r\n"),
    _both("TE: ,chunked", b"Transfer-Encoding: ,chunked\r\n"),
    _both("TE before a colon with a space", b"Transfer-Encoding : chunked\r\n"),
    _both("TE before a colon with a tab", b"Transfer-Encoding\t: chunked\r\n"),
    _both("TE with a vertical tab", b"Transfer-Encoding: \x0bchunked\r\n"),
    _both("TE with a form feed", b"Transfer-Encoding: chunked\x0c\r\n"),
    _both("TE with a NUL", b"Transfer-Encoding: chunked\0\r\n"),
    _both("TE beyond ASCII", b"Transfer-Encoding: chunked\xa0\r\n"),
    _both("TE folded", b"Transfer-Encoding:\r\n chunked\r\n"),
    _both("TE as a folded line", b"X: y\r\n Transfer-Encoding: chunked\r\n"),
    _both("TE behind a bare LF", b"X: y\nTransfer-Encoding: chunked\r\n"),
    _both("TE behind a bare CR", b"X: y\rTransfer-Encoding: chunked\r\n"),
    _both("TE, its name with a line end", b"Transfer-Encoding\r\n: chunked\r\n"),
    _both("Transfer_Encoding", b"Transfer_Encoding: chunked\r\n", 404),
    _both("TE: chunked, the other field", b"TE: chunked\r\n", 404),
]

_LENGTHS = [
    _length("two lengths", b"Content-Length: 5\r\nContent-Length: %d\r\n" % len(b"hello" + SMUGGLED)),
    _length("the same length twice", b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    _length("a list of lengths", b"Content-Length: 5, 5\r\n"),
    _length("a list of two lengths", b"Content-Length: 5, %d\r\n" % len(b"hello" + SMUGGLED)),
    _length("+5", b"Content-Length: +5\r\n"),
    _length("-5", b"Content-Length: -5\r\n"),
    _length("0x5", b"Content-Length: 0x5\r\n"),
    _length("1_0", b"Content-Length: 1_0\r\n"),
    _length("5 0", b"Content-Length: 5 0\r\n"),
    _length("5.0", b"Content-Length: 5.0\r\n"),
    _length("5;", b"Content-Length: 5;\r\n"),
    _length("quoted", b'Content-Length: "5"\r\n'),
    _length("empty", b"Content-Length:\r\n"),
    _length("2^64 + 5", b"Content-Length: 18446744073709551621\r\n"),
    _length("a vertical tab behind it", b"Content-Length: 5\x0b\r\n"),
    _length("a NUL behind it", b"Content-Length: 5\0\r\n"),
    _length("digits of another script", "Content-Length: \u0665\r\n".encode()),
    _length("a space before the colon", b"Content-Length : 5\r\n"),
    _length("a length folded", b"Content-Length:\r\n 5\r\n"),
    _length("a length behind a bare LF", b"X: y\nContent-Length: 5\r\n"),
    _length("a length behind a bare CR", b"X: y\rContent-Length: 5\r\n"),
    _post("a length with zeros before it", b"Content-Length: %08d\r\n" % len(SMUGGLED), SMUGGLED, 404),
    Case("a GET with a body", _GET + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, (404,)),
    Case("a HEAD with a body", _GET.replace(b"GET", b"HEAD") + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED)
         + SMUGGLED, (404,)),
    _post("a length named by Connection", b"Connection: Content-Length\r\nContent-Length: %d\r\n"
          % len(SMUGGLED), SMUGGLED, 404),
]  # fmt: skip

_CHUNKS = [
    _chunked("a request in a chunk", _INSIDE, 404),
    _chunked("a chunk of +5", b"+5\r\nhello\r\n" + _END + SMUGGLED),
    _chunked("a chunk of -5", b"-5\r\nhello\r\n" + _END + SMUGGLED),
    _chunked("a chunk of 0x5", b"0x5\r\nhello\r\n" + _END + SMUGGLED),
    _chunked("a chunk of 0_5", b"0_5\r\nhello\r\n" + _END + SMUGGLED),
    _chunked("a chunk behind a space", b" 5\r\nhello\r\n" + _END + SMUGGLED),
    _chunked("a chunk of 2^64 + 5", b"10000000000000005\r\nhello\r\n" + _END + SMUGGLED, 413),
    _chunked("a chunk without a size", b"\r\nhello\r\n" + _END + SMUGGLED),
    _chunked("a size that ends in LF", b"5\nhello\r\n" + _END + SMUGGLED),
    _chunked("a size that ends in CR", b"5\rhello\r\n" + _END + SMUGGLED),
    _chunked("a chunk that ends in LF", b"5\r\nhello\n" + _END + SMUGGLED),
    _chunked("a chunk longer than it says", b"5\r\nhello!!\r\n" + _END + SMUGGLED),
    _chunked("a chunk without an end", b"5\r\nhello0\r\n\r\n" + SMUGGLED),
    _chunked("an extension with an LF", b"5;\nxx\r\nhello\r\n" + _END + SMUGGLED),
    _chunked("an extension with a CR", b"5;a\rb\r\nhello\r\n" + _END + SMUGGLED),
    _chunked("an extension with a NUL", b"5;a\0\r\nhello\r\n" + _END + SMUGGLED),
    _chunked("a trailer with a bare LF", b"5\r\nhello\r\n0\r\nX: y\n\n" + SMUGGLED),
    _chunked("a trailer that says a length", b"5\r\nhello\r\n0\r\nContent-Length: 44\r\n\r\n", 404),
    _chunked("an end with LFs", b"5\r\nhello\r\n0\n\n" + SMUGGLED),
]

_LINES = [
    Case("bare LFs", b"GET /asked HTTP/1.1\nHost: localhost\n\n" + SMUGGLED),
    Case("bare CRs", b"GET /asked HTTP/1.1\rHost: localhost\r\r" + SMUGGLED),
    Case("a head that ends in CRLF LF", b"GET /asked HTTP/1.1\r\nHost: localhost\r\n\n" + SMUGGLED),
    Case("a line of one space", _GET + b" \r\n" + SMUGGLED),
    _get("a NUL in a field", b"X: a\0b\r\n"),
    _get("a field without a name", b": x\r\n"),
    Case("a head within a head", b"GET /asked HTTP/1.1\r\nHost: localhost\r\nX: y" + SMUGGLED, (400,)),
    _get("two hosts", b"Host: evil.example\r\n"),
    Case("a host folded", b"GET /asked HTTP/1.1\r\nHost:\r\n localhost\r\n\r\n" + SMUGGLED),
    Case("two spaces in the first line", b"GET  /asked HTTP/1.1\r\n" + _HOST + b"\r\n" + SMUGGLED),
    Case("a version in the target", b"GET /asked HTTP/1.1 HTTP/1.1\r\n" + _HOST + b"\r\n" + SMUGGLED),
    Case("HTTP/0.9", b"GET /asked\r\n" + SMUGGLED),
    Case("HTTP/2's first words", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED),
]

_IN_A_ROW = [
    Case("two requests in a row", _GET + b"\r\n" + _LATER, (404, 404)),
    _post("a body, then a request", b"Content-Length: 5\r\n", b"hello" + _LATER, 404, 404),
    _chunked("chunks, then a request", b"5\r\nhello\r\n" + _END + _LATER, 404, 404),
    Case("a request behind the last one", _GET + b"Connection: close\r\n\r\n" + SMUGGLED, (404,)),
    _post("a body that was not waited for", b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(SMUGGLED),
          SMUGGLED, 404),
    Case("an upgrade to h2c", _GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
         b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + _LATER, (404, 404)),
    Case("an upgrade to a WebSocket", _GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
         b"Sec-WebSocket-Version: 777\r\nSec-WebSocket-Key: bm9uY2Vub25jZW5vbmNlbg==\r\n\r\n" + _LATER,
         (404, 404)),
]  # fmt: skip

CASES: Sequence[Case] = [*_TWO_ENDS, *_CODINGS, *_LENGTHS, *_CHUNKS, *_LINES, *_IN_A_ROW]
