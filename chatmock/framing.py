"""Server-sent events and lines of JSON: bytes in at any split, whole records out; sans-IO and bounded.

Server-sent events are the WHATWG "server-sent events" stream: lines end with LF, CR or CRLF, a blank line ends a
record, a line that begins with a colon is a comment, several ``data`` lines are joined with LF, and one byte
order mark may stand at the start.
"""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_RECORD_LIMIT = 1024 * 1024
WHOLE_ANSWER_LIMIT = 32 * 1024 * 1024
"""Bytes of one answer, as far as it is held whole."""
_BOM = b"\xef\xbb\xbf"


class RecordTooLarge(ValueError):
    """A record (or a comment, or a line) of a stream is longer than the limit; the stream cannot be read on."""


class Record(NamedTuple):
    """One record of an event stream."""

    data: bytes
    """The payload: the ``data`` lines, joined with LF. Not checked as UTF-8."""
    event: bytes = b""
    """The ``event`` field, empty where the stream names none."""


class SSEParser:
    """Incremental parser of an event stream.

    :param limit: the most bytes that one record may take before :meth:`feed` raises.
    """

    __slots__ = (
        "_at_start",
        "_buffer",
        "_limit",
        "_scanned",
        "_skip_lf",
        "comments",
    )

    def __init__(self, limit: int = DEFAULT_RECORD_LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._scanned = 0
        self._skip_lf = False
        self._at_start = True
        self.comments = 0
        """How many comment lines have been read so far: keep-alives, in practice."""

    def feed(self, data: bytes) -> list[Record]:
        """Take the next bytes and return the records they complete, which may be none.

        :raises RecordTooLarge: when a record outgrows the limit.
        """
        if self._whole_records(data):
            return self._records(data[:-2])
        if self._at_start:
            data = self._without_bom(data)
        if self._skip_lf or b"\r" in data:
            data = self._with_lf_only(data)
        buffer = self._buffer
        buffer += data
        end = buffer.rfind(b"\n\n", self._scanned)
        if end < 0:
            if len(buffer) > self._limit:
                raise RecordTooLarge(f"a record of the event stream is longer than {self._limit} bytes")
            self._scanned = max(len(buffer) - 1, 0)
            return []
        complete = bytes(buffer[:end])
        del buffer[: end + 2]
        if len(buffer) > self._limit:
            raise RecordTooLarge(f"a record of the event stream is longer than {self._limit} bytes")
        self._scanned = max(len(buffer) - 1, 0)
        return self._records(complete)

    def _whole_records(self, data: bytes) -> bool:
        """Whether *data* is just whole records: what a stream at the pace of tokens brings nearly always."""
        return (
            data.endswith(b"\n\n")
            and not self._buffer
            and b"\r" not in data
            and not (self._at_start or self._skip_lf)
        )

    def close(self) -> list[Record]:
        """End of input: the record that lacks only its blank line, if there is one.

        The standard drops it; servers that close right after the last line mean it.
        """
        rest, self._buffer = bytes(self._buffer), bytearray()
        self._scanned = 0
        return self._records(rest)

    def _records(self, complete: bytes) -> list[Record]:
        records = []
        for block in complete.split(b"\n\n"):
            if len(block) > self._limit:
                raise RecordTooLarge(f"a record of the event stream is longer than {self._limit} bytes")
            if block.startswith(b"data: ") and b"\n" not in block:
                records.append(Record(block[6:]))
            elif block.startswith(b"event: ") and block.count(b"\n") == 1 and b"\ndata: " in block:
                event, _, data = block.partition(b"\ndata: ")
                records.append(Record(data, event[7:]))
            elif (record := self._read_block(block)) is not None:
                records.append(record)
        return records

    def _read_block(self, block: bytes) -> Record | None:
        lines: list[bytes] = []
        event = b""
        for line in block.split(b"\n"):
            if line.startswith(b":"):
                self.comments += 1
                continue
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                lines.append(value)
            elif name == b"event":
                event = value
        return Record(b"\n".join(lines), event) if lines else None

    def _without_bom(self, data: bytes) -> bytes:
        self._buffer += data
        if len(self._buffer) < len(_BOM) and _BOM.startswith(self._buffer):
            return b""
        self._at_start = False
        start = bytes(self._buffer)
        self._buffer.clear()
        return start.removeprefix(_BOM)

    def _with_lf_only(self, data: bytes) -> bytes:
        """*data* with every line end written as LF; a CR is a line end at once, the LF of its pair may come later."""
        if self._skip_lf and data:
            data = data.removeprefix(b"\n")
            self._skip_lf = False
        if data.endswith(b"\r"):
            self._skip_lf = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class LineParser:
    """Incremental parser of a stream with a record on each line (NDJSON). Blank lines are no records.

    :param limit: the most bytes that one line may take before :meth:`feed` raises.
    """

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int = DEFAULT_RECORD_LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the lines they complete, without line ends.

        :raises RecordTooLarge: when a line outgrows the limit.
        """
        end = data.rfind(b"\n")
        if end < 0:
            self._buffer += data
            self._check(len(self._buffer))
            return []
        complete = bytes(self._buffer) + data[:end] if self._buffer else data[:end]
        self._buffer = bytearray(data[end + 1 :])
        self._check(len(self._buffer))
        return self._lines(complete)

    def close(self) -> list[bytes]:
        """End of input: the line that lacks only its end, if there is one."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        return self._lines(rest)

    def _lines(self, complete: bytes) -> list[bytes]:
        lines = [line.strip() for line in complete.split(b"\n")]
        self._check(max(map(len, lines)))
        return [line for line in lines if line]

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise RecordTooLarge(f"a line of the stream is longer than {self._limit} bytes")


def sse_comment(text: str) -> bytes:
    """*text* as a comment, which no reader takes for an event; its lines become one."""
    return b": " + " ".join(text.splitlines()).encode() + b"\n\n"


def sse_record(data: bytes) -> bytes:
    """*data*, which must hold no line break, framed as one record."""
    return b"data: " + data + b"\n\n"
