"""Heads of requests, as values: however they are cut, and whatever they are made of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.errors import Refusal
from chatmock.http_head import (
    MOST_HEAD_BYTES,
    RequestFields,
    RequestLine,
    read_fields,
    read_request_line,
    split_head,
)

HEAD = b"POST /v1/x?a=b HTTP/1.1\r\nHost: box.lan:8000\r\nContent-Length: 12\r\nX-A: 1\r\nx-a: 2\r\n\r\n"
FAST = settings(max_examples=100, deadline=None)


def read(data: bytes) -> tuple[RequestLine, RequestFields, bytes] | None:
    found = split_head(data)
    if found is None:
        return None
    lines, rest = found
    line = read_request_line(lines[0])
    return line, read_fields(line, lines[1:]), rest


def test_a_head() -> None:
    found = read(HEAD + b"hello")
    assert found is not None
    line, fields, rest = found
    assert line == RequestLine(b"POST", b"/v1/x?a=b", 1, None, b"/v1/x", b"a=b")
    assert fields.by_name == {b"host": [b"box.lan:8000"], b"content-length": [b"12"], b"x-a": [b"1", b"2"]}
    assert (fields.length, fields.keep_alive, fields.awaits_continue, rest) == (12, True, False, b"hello")


@pytest.mark.parametrize(
    ("target", "authority", "path", "query"),
    [
        (b"/", None, b"/", b""),
        (b"//a/../b", None, b"//a/../b", b""),
        (b"http://box.lan", b"box.lan", b"/", b""),
        (b"HTTP://box.lan:1?a", b"box.lan:1", b"/", b"a"),
        (b"https://[::1]/a?b?c", b"[::1]", b"/a", b"b?c"),
    ],
)
def test_targets(target: bytes, authority: bytes | None, path: bytes, query: bytes) -> None:
    line = read_request_line(b"GET %b HTTP/1.0" % target)
    assert line == RequestLine(b"GET", target, 0, authority, path, query)


@pytest.mark.parametrize(
    ("field", "kept"), [(b"close", False), (b"a, CLOSE", False), (b"closed", True), (b"keep-alive", True)]
)
def test_who_stays(field: bytes, kept: bool) -> None:
    line = RequestLine(b"GET", b"/", 1, None, b"/", b"")
    assert read_fields(line, [b"Host: a", b"Connection: " + field]).keep_alive is kept
    line = RequestLine(b"GET", b"/", 0, None, b"/", b"")
    assert not read_fields(line, [b"Host: a", b"Connection: keep-alive"]).keep_alive


def test_a_part_of_a_head_is_no_head_and_no_fault() -> None:
    for end in range(len(HEAD)):
        assert split_head(HEAD[:end]) is None


@FAST
@given(st.binary(max_size=300))
def test_anything_is_a_head_or_refused(data: bytes) -> None:
    try:
        found = read(data)
    except Refusal:
        return
    assert found is None or found[1].by_name[b"host"]


@FAST
@given(st.data())
def test_one_changed_byte_makes_no_second_reading(data: st.DataObject) -> None:
    """What is let through has one host, and one length that its digits say."""
    position = data.draw(st.integers(0, len(HEAD) - 1))
    changed = HEAD[:position] + data.draw(st.binary(max_size=3)) + HEAD[position + 1 :]
    try:
        found = read(changed)
    except Refusal:
        return
    if found is None:
        return
    _, fields, _ = found
    assert len(fields.by_name[b"host"]) == 1
    lengths = fields.by_name.get(b"content-length")
    assert b"transfer-encoding" not in fields.by_name or fields.length is None
    if lengths is not None:
        assert lengths == [lengths[0]]
        assert lengths[0].isdigit()
        assert fields.length == int(lengths[0])


@pytest.mark.parametrize("data", [b"a", b"a b", b"GET / HTTP/1.1\r\na: b\r\n"])
def test_no_head_grows_for_ever(data: bytes) -> None:
    with pytest.raises(Refusal):
        split_head(data * MOST_HEAD_BYTES)
