"""What stands around the bodies: in a request its URL's arguments and headers, in an answer the status and headers."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.web.iweb import IRequest

from chatmock.dialects import Dialect
from chatmock.errors import Kind, Refusal

_MOST_SESSION_CHARS = 256
_RETRY_AFTER = 5.0
"""Seconds to tell who came too often where nobody knows better: a 429 always says when to come again (security.md, P14)."""


def session_of(request: IRequest) -> str | None:
    """The client's own name for the conversation, where it gives one that can stand in a header."""
    for name in (b"x-session-id", b"session_id"):
        for value in request.requestHeaders.getRawHeaders(name, ()):
            text: str = value.decode("latin-1").strip()
            if text and len(text) <= _MOST_SESSION_CHARS and text.isascii() and text.isprintable():
                return text
    return None


def query_argument(request: IRequest, name: bytes) -> str | None:
    """The query argument *name*, None where it is absent or empty."""
    values = request.args.get(name) if request.args else None
    return values[-1].decode("utf-8", "replace") if values and values[-1] else None


def refuse(
    request: IRequest, dialect: Dialect, refusal: Refusal, notes: Mapping[str, str] | None = None
) -> bytes:
    """Set status and headers for *refusal*; returns the body in the client's dialect."""
    body = dialect.refuse(refusal, request_id_of(request))
    request.setResponseCode(dialect.status(refusal))
    set_id(request, dialect)
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-length", b"%d" % len(body))
    wait = refusal.retry_after
    if wait is None and refusal.kind is Kind.RATE_LIMITED:
        wait = _RETRY_AFTER
    if wait is not None:
        request.setHeader(b"retry-after", b"%d" % max(int(wait + 0.999), 1))
    if refusal.kind is Kind.NOT_IMPLEMENTED:
        request.setHeader(b"x-should-retry", b"false")  # the SDKs try again after any other 5xx
    set_notes(request, notes or {})
    return body


def request_id_of(request: IRequest) -> str:
    """The id that the answer has."""
    id: str = getattr(request, "request_id", "")
    return id


def set_id(request: IRequest, dialect: Dialect) -> None:
    """Say the answer's id where the dialect's clients look for it."""
    if dialect.request_id_header is not None:
        request.setHeader(dialect.request_id_header.encode(), request_id_of(request).encode())


def set_whole(request: IRequest, dialect: Dialect, size: int, notes: Mapping[str, str]) -> None:
    """Set the headers of a whole answer of *size* bytes, which nobody stores."""
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-length", b"%d" % size)
    set_id(request, dialect)
    set_notes(request, notes)


def set_notes(request: IRequest, notes: Mapping[str, str]) -> None:
    """Set the headers that tell the client what was changed about its request."""
    for name, note in notes.items():
        request.setHeader(name.encode(), note.encode("ascii", "replace"))
