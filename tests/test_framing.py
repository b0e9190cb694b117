"""The parsers of event streams and of lines, at every split."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmock.framing import LineParser, Record, RecordTooLarge, SSEParser, sse_record


def read(stream: bytes, cuts: list[int] | None = None, limit: int = 1 << 20) -> list[Record]:
    parser = SSEParser(limit)
    records: list[Record] = []
    places = [0, *sorted(cuts or []), len(stream)]
    for a, b in pairwise(places):
        records += parser.feed(stream[a:b])
    return records + parser.close()


@pytest.mark.parametrize(
    ("stream", "records"),
    [
        (b"data: a\n\ndata: b\n\n", [Record(b"a"), Record(b"b")]),
        (b"data:a\n\n", [Record(b"a")]),
        (b"data:  a\n\n", [Record(b" a")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [Record(b"a"), Record(b"b")]),
        (b"data: a\r\rdata: b\r\r", [Record(b"a"), Record(b"b")]),
        (b"data: a\r\n\ndata: b\n\r\n", [Record(b"a"), Record(b"b")]),
        (b"data: a\ndata: b\n\n", [Record(b"a\nb")]),
        (b"data\n\n", [Record(b"")]),
        (b"data: \n\n", [Record(b"")]),
        (b"event: e\ndata: a\nid: 7\nretry: 1\n\n", [Record(b"a", b"e")]),
        (b"event: e\n\n", []),
        (b": hello\n\n: again\ndata: a\n\n", [Record(b"a")]),
        (b"\n\n\n\ndata: a\n\n\n\n", [Record(b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Record(b"a")]),
        (b"data: \xef\xbb\xbfa\n\n", [Record(b"\xef\xbb\xbfa")]),
        ("data: ä→😺\n\n".encode(), [Record("ä→😺".encode())]),
        (b"data: a\n\ndata: unended", [Record(b"a"), Record(b"unended")]),
        (b"data: a\n\ndata: unended\n", [Record(b"a"), Record(b"unended")]),
        (b"unknown: x\ndata: a\n\n", [Record(b"a")]),
        (b"", []),
    ],
)
def test_format(stream: bytes, records: list[Record]) -> None:
    assert read(stream) == records
    assert read(stream, list(range(len(stream)))) == records


lines = st.sampled_from(
    [
        b"data: x",
        b"data:",
        b'data: {"a":1}',
        "data: ä😺".encode(),
        b": c",
        b"event: e",
        b"",
        b"",
        b"junk",
        b"data",
    ]
)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
streams = st.lists(st.tuples(lines, ends).map(b"".join), max_size=30).map(b"".join)


@given(stream=streams, bom=st.booleans(), data=st.data())
def test_any_split_gives_the_same_records(stream: bytes, bom: bool, data: st.DataObject) -> None:
    stream = (b"\xef\xbb\xbf" if bom else b"") + stream
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    assert read(stream, cuts) == read(stream)


@given(payloads=st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b and b"\r" not in b)))
def test_what_is_framed_is_read(payloads: list[bytes]) -> None:
    assert [r.data for r in read(b"".join(map(sse_record, payloads)))] == payloads


def test_comments_are_counted() -> None:
    parser = SSEParser()
    parser.feed(b": one\n\n: two\n\ndata: x\n")
    assert parser.comments == 2


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_a_record_over_the_limit_fails(piece: int) -> None:
    parser = SSEParser(limit=100)
    stream = b"data: " + b"x" * 200 + b"\n\n"
    with pytest.raises(RecordTooLarge, match="100 bytes"):
        for start in range(0, len(stream), piece):
            parser.feed(stream[start : start + piece])


def test_a_record_at_the_limit_passes() -> None:
    record = b"data: " + b"x" * 94
    assert len(record) == 100
    assert read(record + b"\n\n", limit=100) == [Record(b"x" * 94)]


def test_an_endless_comment_fails() -> None:
    parser = SSEParser(limit=100)
    with pytest.raises(RecordTooLarge):
        for _ in range(50):
            parser.feed(b":::")


def test_reading_a_large_record_in_small_pieces_takes_one_look_at_each() -> None:
    """A quadratic reader would look at 2 MB some 30,000 times: count the looks, not the time."""
    looks = 0

    class CountingBuffer(bytearray):
        def rfind(self, sub: bytes, start: int = 0) -> int:  # type: ignore[override]
            nonlocal looks
            looks += len(self) - start
            return super().rfind(sub, start)

    parser = SSEParser(limit=4 << 20)
    parser._buffer = CountingBuffer()
    size = 2 << 20
    stream = b"data: " + b"x" * size + b"\n\n"
    records = []
    for start in range(0, len(stream), 64):
        records += parser.feed(stream[start : start + 64])
    assert [len(record.data) for record in records] == [size]
    assert looks < 2 * len(stream)


# --- lines


def lines_of(stream: bytes, cuts: list[int] | None = None, limit: int = 1 << 20) -> list[bytes]:
    parser = LineParser(limit)
    lines: list[bytes] = []
    for a, b in pairwise([0, *sorted(cuts or []), len(stream)]):
        lines += parser.feed(stream[a:b])
    return lines + parser.close()


@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\r\n\r\n  \n{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b"", []),
        (b"\n\n\n", []),
        (b"a", [b"a"]),
        (b"\xff\n\xc3\xa9\n", [b"\xff", b"\xc3\xa9"]),
    ],
)
def test_lines_at_every_byte(stream: bytes, lines: list[bytes]) -> None:
    assert lines_of(stream) == lines
    assert lines_of(stream, list(range(len(stream)))) == lines
    for cut in range(len(stream)):
        assert lines_of(stream, [cut]) == lines


@given(
    lines=st.lists(
        st.binary(min_size=1, max_size=9).filter(lambda line: b"\n" not in line and line.strip() == line)
    ),
    data=st.data(),
)
def test_lines_at_any_split(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=9))
    assert lines_of(stream, cuts) == lines


@pytest.mark.parametrize(
    "stream", [b"x" * 11, b"a\n" + b"x" * 11, b"x" * 11 + b"\n", b"a\n" + b"x" * 11 + b"\nb\n"]
)
@pytest.mark.parametrize("pieces", [1, 3, 20])
def test_a_line_too_long_is_refused(stream: bytes, pieces: int) -> None:
    with pytest.raises(RecordTooLarge, match="longer than 10 bytes"):
        lines_of(stream, [len(stream) * n // pieces for n in range(pieces)], limit=10)
    assert lines_of(b"x" * 10 + b"\n" + b"y" * 10, [3], limit=10) == [b"x" * 10, b"y" * 10]


def test_long_lines_take_linear_time() -> None:
    """Each byte is looked at once, however small the pieces: a line of 4 MiB in pieces of 256 bytes."""
    parser = LineParser(1 << 23)
    looked_at = 0

    class Counted(bytes):
        def rfind(self, *args: object) -> int:
            nonlocal looked_at
            looked_at += len(self)
            return super().rfind(*args)

    for _ in range(1 << 14):
        assert parser.feed(Counted(b"x" * 256)) == []
    assert parser.feed(b"\n") == [b"x" * (1 << 22)]
    assert looked_at == 1 << 22
