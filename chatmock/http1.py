"""HTTP/1.1 responses: bytes in at any split, head and body out; sans-IO and bounded (RFC 9112).

Made for streams of small chunks: one call of :meth:`ResponseReader.feed` strips all the chunk framing that a read
has brought and returns the body's bytes in one piece. Twisted's own client hands chunks on one by one, and its
head has no limit (spec security.md §0.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

HEAD_LIMIT = 64 * 1024
_LINE_LIMIT = 1024
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\Z")
_PLAIN_SIZE = re.compile(rb"[0-9A-Fa-f]+\Z")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([^\r\n]*))?\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\Z")


class BadResponse(ValueError):
    """What came is not an HTTP/1.1 response, or one that cannot be trusted."""


@attrs.frozen
class Head:
    """The status line and the fields."""

    status: int
    phrase: bytes
    fields: Sequence[tuple[bytes, bytes]] = attrs.field(repr=False)
    """Names in lower case, in their order."""
    minor_version: int = 1

    def all(self, name: bytes) -> list[bytes]:
        """Every value of the field *name* (in lower case)."""
        return [value for field, value in self.fields if field == name]


class ResponseReader:
    """Reads one response to a request other than HEAD."""

    __slots__ = (
        "_buffer",
        "_chunk_ends",
        "_chunked",
        "_in_trailer",
        "_interim",
        "_left",
        "complete",
        "head",
        "keep_alive",
    )

    def __init__(self) -> None:
        self.head: Head | None = None
        """The head, once it has come."""
        self.complete = False
        """Whether the whole response has come."""
        self.keep_alive = False
        """Whether the connection may be used again after it."""
        self._buffer = b""
        self._chunked = False
        self._interim = 0
        """Bytes of the heads that announce another one (1xx)."""
        self._left: int | None = None
        """Bytes still to come of the body, or of the chunk; None for up to the connection's end."""
        self._chunk_ends = False
        self._in_trailer = False

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes, return those of the body among them.

        What comes behind the response is nobody's: it is dropped, and the connection is not used again.

        :raises BadResponse: when they cannot go on a response.
        """
        if self.head is None:
            self._buffer += data
            if not self._read_head():
                return b""
            data, self._buffer = self._buffer, b""
        if self.complete:
            if data:
                self.keep_alive = False
            return b""
        if self._chunked:
            return self._read_chunks(self._buffer + data if self._buffer else data)
        if self._left is None:
            return data
        if len(data) > self._left:
            data = data[: self._left]
            self.keep_alive = False
        self._left -= len(data)
        self.complete = self._left == 0
        return data

    @property
    def begun(self) -> bool:
        """Whether anything of the response has come."""
        return self.head is not None or bool(self._buffer)

    def take_head(self) -> Head:
        """The head, of which only the status is kept: a stream may last, and nobody asks for its fields again."""
        head = self.head
        assert head is not None, "the head has come"
        self.head = Head(head.status, b"", (), head.minor_version)
        return head

    def close(self) -> bool:
        """The connection has ended; whether the response is complete by that."""
        if self.head is not None and not self._chunked and self._left is None:
            self.complete = True
        return self.complete

    def _read_head(self) -> bool:
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if self._interim + (end if end >= 0 else len(self._buffer)) > HEAD_LIMIT:
                raise BadResponse("a head that is too large")
            if end < 0:
                return False
            lines = self._buffer[:end].split(b"\r\n")
            self._buffer = self._buffer[end + 4 :]
            head = _parse_head(lines)
            if head.status >= 200:
                self.head = head
                self._frame(head)
                return True
            if head.status == 101:
                raise BadResponse("a switch of protocols that nobody asked for")
            self._interim += end + 4

    def _frame(self, head: Head) -> None:
        """Find out how the body ends (RFC 9112 section 6.3)."""
        codings, lengths = head.all(b"transfer-encoding"), head.all(b"content-length")
        tokens = b",".join(head.all(b"connection")).lower()
        self.keep_alive = head.minor_version == 1 and b"close" not in tokens
        if codings and (lengths or len(codings) > 1 or codings[0].lower() != b"chunked"):
            raise BadResponse("a body that is framed in a way that cannot be trusted")
        if head.status in (204, 304):
            self._left, self.complete = 0, True
        elif codings:
            self._chunked, self._left = True, 0
        elif lengths:
            if len(set(lengths)) > 1 or not re.fullmatch(rb"[0-9]{1,15}", lengths[0]):
                raise BadResponse("a length that is none")
            self._left = int(lengths[0])
            self.complete = self._left == 0
        else:
            self.keep_alive = False

    def _read_chunks(self, data: bytes) -> bytes:
        """Strip the framing of all chunks in *data*; what is not decided yet stays for the next call."""
        if not (self._left or self._chunk_ends or self._in_trailer):
            # One chunk and nothing else: what a stream at the pace of tokens brings nearly always.
            end = data.find(b"\r\n", 1, 8)
            if end > 0 and data.endswith(b"\r\n") and _PLAIN_SIZE.match(data, 0, end) is not None:
                content = data[end + 2 : -2]
                if content and int(data[:end], 16) == len(content):
                    self._buffer = b""
                    return content
        out: list[bytes] = []
        position, size, left = 0, len(data), self._left or 0
        while position < size and not self._in_trailer:
            if left:
                piece = data[position : position + left]
                position += len(piece)
                left -= len(piece)
                out.append(piece)
                self._chunk_ends = left == 0
            elif self._chunk_ends:
                if size - position < 2:
                    break
                if data[position : position + 2] != b"\r\n":
                    raise BadResponse("a chunk that does not end where it says")
                position += 2
                self._chunk_ends = False
            else:
                end = data.find(b"\r\n", position, position + _LINE_LIMIT)
                if end < 0:
                    break
                left = _chunk_size(data[position:end])
                self._in_trailer = left == 0
                position = end + 2
        self._left = left
        self._keep(data[position:])
        return out[0] if len(out) == 1 else b"".join(out)

    def _keep(self, rest: bytes) -> None:
        """Keep what is not decided yet, and look whether the trailer is complete."""
        self._buffer = rest
        if not self._in_trailer:
            if len(rest) >= _LINE_LIMIT:
                raise BadResponse("a chunk's size line that is too long")
            return
        end = 0 if rest.startswith(b"\r\n") else rest.find(b"\r\n\r\n") + 2
        if end == 1:
            if len(rest) > HEAD_LIMIT:
                raise BadResponse("a trailer that is too large")
            return
        if len(rest) > end + 2:
            self.keep_alive = False
        self._buffer = b""
        self.complete = True


def _chunk_size(line: bytes) -> int:
    match = _CHUNK_SIZE.match(line)
    if match is None:
        raise BadResponse("a chunk's size that is none")
    return int(match[1], 16)


def _parse_head(lines: Sequence[bytes]) -> Head:
    status = _STATUS_LINE.match(lines[0])
    if status is None:
        raise BadResponse("no HTTP/1 status line")
    fields = []
    for line in lines[1:]:
        field = _FIELD.match(line)
        if field is None:
            raise BadResponse("a field that is none")
        fields.append((field[1].lower(), field[2]))
    return Head(int(status[2]), status[3] or b"", fields, int(status[1]))
