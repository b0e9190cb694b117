"""The body of an HTTP/1.1 request, counted as it comes: the bytes that count, and those of its framing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from twisted.web.http import _ChunkedTransferDecoder, _MalformedChunkedDataError

from chatmock.errors import Kind, Refusal
from chatmock.http_head import malformed

MOST_FRAMING_BYTES: Final = 64 * 1024
"""By which a chunked body may be longer on the wire than a body may be: chunk sizes, their extensions, trailers."""

_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*")


class BodyReader:
    """Hands a body on to *sink* and finds its end.

    :param length: bytes declared, which have been checked; None for a chunked body.
    :param most: bytes that a body may have.
    """

    def __init__(self, length: int | None, most: int, sink: Callable[[bytes], object]) -> None:
        self._most = most
        self._left = most if length is None else length
        self._raw_left = most + MOST_FRAMING_BYTES
        self._sink = sink
        self._rest: bytes | None = None
        self._chunks = _ChunkedTransferDecoder(self._take, self._end) if length is None else None

    def feed(self, data: bytes) -> bytes | None:
        """Take the next bytes; what follows the body, once it has ended, else None.

        :raises Refusal: too large, or bad request for framing that is none.
        """
        if self._chunks is None:
            self._rest = data[self._left :] if len(data) >= self._left else None
            piece = data[: self._left]
            self._left -= len(piece)
            self._sink(piece)
            return self._rest
        self._raw_left -= len(data)
        if self._raw_left < 0:
            raise too_large(self._most)
        try:
            self._chunks.dataReceived(data)
        except _MalformedChunkedDataError:
            raise malformed("The request's chunks are malformed.") from None
        self._check_chunks(self._chunks)
        return self._rest

    def _check_chunks(self, chunks: _ChunkedTransferDecoder) -> None:
        """What Twisted's decoder lets pass: a trailer with half a line end, behind which others see a request, and a
        chunk whose size other servers cannot count."""
        if not all(map(_TRAILER.fullmatch, chunks._trailerHeaders)):  # noqa: SLF001  # no other way
            raise malformed("The request's trailers are malformed.")
        chunks._trailerHeaders.clear()  # noqa: SLF001
        if chunks.state == "BODY" and chunks.length > self._left:
            raise too_large(self._most)

    def _take(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise too_large(self._most)
        self._sink(data)

    def _end(self, rest: bytes) -> None:
        self._rest = rest


def too_large(most: int) -> Refusal:
    """A body has more than *most* bytes."""
    return Refusal(
        Kind.TOO_LARGE,
        f"The request body is larger than {most} bytes, which follows from CHATMOCK_MAX_TOTAL_BYTES and"
        " CHATMOCK_MAX_IMAGE_BYTES.",
        code="request_too_large",
    )
