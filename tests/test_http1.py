"""The response reader: any split gives the same body, and nothing that cannot be trusted is read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmock.http1 import HEAD_LIMIT, BadResponse, ResponseReader

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(stream: bytes, cuts: list[int] | None = None) -> tuple[ResponseReader, bytes]:
    reader = ResponseReader()
    places = [0, *sorted(cuts or []), len(stream)]
    body = b"".join(reader.feed(stream[a:b]) for a, b in pairwise(places))
    return reader, body


@pytest.mark.parametrize(
    ("stream", "body", "complete", "keep_alive"),
    [
        (OK + b"Content-Length: 3\r\n\r\nabc", b"abc", True, True),
        (OK + b"Content-Length: 3\r\n\r\nab", b"ab", False, True),
        (OK + b"Content-Length: 0\r\n\r\n", b"", True, True),
        (OK + b"Connection: close\r\nContent-Length: 1\r\n\r\na", b"a", True, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", b"a", True, False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True, True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na", b"a", True, True),
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", b"a", True, True),
        (OK + b"\r\nto the end", b"to the end", False, False),
        (CHUNKED + b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789", True, True),
        (CHUNKED + b"3\r\nabc\r\n0\r\nTrailer: x\r\nMore: y\r\n\r\n", b"abc", True, True),
        (CHUNKED + b"3\r\nabc\r\n0\r\n", b"abc", False, True),
        (CHUNKED + b"3\r\nab", b"ab", False, True),
        (OK + b"Content-Length: 1\r\n\r\nab", b"a", True, False),
        (OK + b"Content-Length: 0\r\n\r\nab", b"", True, False),
        (CHUNKED + b"1\r\na\r\n0\r\n\r\nmore", b"a", True, False),
        (CHUNKED + b"1\r\na\r\n0\r\nT: x\r\n\r\n" + OK, b"a", True, False),
        (b"HTTP/1.1 204 No Content\r\n\r\nab", b"", True, False),
    ],
)
def test_framing(stream: bytes, body: bytes, complete: bool, keep_alive: bool) -> None:
    for cuts in ([], list(range(len(stream)))):
        reader, got = read(stream, cuts)
        assert (got, reader.complete, reader.keep_alive) == (body, complete, keep_alive)


@given(pieces=st.lists(st.binary(min_size=1, max_size=40), max_size=12), data=st.data())
def test_chunks_at_any_split(pieces: list[bytes], data: st.DataObject) -> None:
    stream = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    reader, body = read(stream, cuts)
    assert body == b"".join(pieces)
    assert reader.complete
    assert not reader.feed(b"")


@pytest.mark.parametrize(
    "stream",
    [
        b"garbage\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 99 Odd\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        OK + b"No colon\r\n\r\n",
        OK + b"Na me: x\r\n\r\n",
        OK + b" folded: x\r\n\r\n",
        OK + b"X: a\x00b\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        CHUNKED + b"x\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"0x3\r\nabc\r\n",
        CHUNKED + b"3\r\nabcde",
        CHUNKED + b"3\r\nabc\rX",
        CHUNKED + b"1" * 2000,
        CHUNKED + b"0\r\n" + b"T: x\r\n" * 20_000,
    ],
)
def test_what_cannot_be_trusted_is_refused(stream: bytes) -> None:
    with pytest.raises(BadResponse):
        read(stream)
    with pytest.raises(BadResponse):
        read(stream, list(range(0, len(stream), 7)))


def test_an_endless_head_is_refused_in_time() -> None:
    reader = ResponseReader()
    reader.feed(OK)
    with pytest.raises(BadResponse, match="too large"):
        for _ in range(HEAD_LIMIT):
            reader.feed(b"X: y\r\n")


def test_endless_announcements_are_refused_in_time() -> None:
    reader = ResponseReader()
    with pytest.raises(BadResponse, match="too large"):
        for _ in range(HEAD_LIMIT):
            reader.feed(b"HTTP/1.1 100 Continue\r\n\r\n")


def test_the_end_of_the_connection_ends_only_what_says_so() -> None:
    assert read(OK + b"\r\nabc")[0].close()
    assert not read(OK + b"Content-Length: 9\r\n\r\nabc")[0].close()
    assert not read(CHUNKED + b"3\r\nabc\r\n")[0].close()
    assert not ResponseReader().close()
