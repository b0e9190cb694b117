"""JSON as Ollama's server writes it, whose clients have seen no other: Go's encoder, and its form of a point in time."""

from __future__ import annotations

import datetime as dt

from chatmock import jsontext
from chatmock.jsontext import JSONError

UNKNOWN_TIME = "0001-01-01T00:00:00Z"
"""Go's time of which nothing is known."""
_SECOND = 1_000_000_000


def escaped(json: bytes) -> bytes:
    """JSON text with the characters escaped that Go escapes for the sake of HTML. They stand in strings only."""
    if b"<" in json or b">" in json or b"&" in json:
        json = json.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")
    if b"\xe2\x80" in json:
        json = json.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return json


def second_of(second: int) -> str:
    """A Unix time in seconds as RFC 3339 has it, without a fraction and a zone."""
    try:
        return dt.datetime.fromtimestamp(second, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return UNKNOWN_TIME[:-1]


def timestamp(at: int) -> str:
    """*at* (Unix nanoseconds) as RFC 3339 with nanoseconds, without zeros at the end."""
    second, rest = divmod(at, _SECOND)
    return second_of(second) + (f".{rest:09}".rstrip("0") if rest else "") + "Z"


def arguments_of(text: str, *, complete: bool) -> object | None:
    """The arguments of a tool call as an object; None while *text* is none.

    :param complete: whether no more of *text* comes: what is no object then is handed on as it is, in one, for only
        the client can say what it makes of it.
    """
    data = text.encode()
    if complete and data.strip() in (b"", b"null"):
        return {}
    try:
        jsontext.check_foreign(data)
        return jsontext.loads_object(data)
    except JSONError:
        return {"arguments": text} if complete else None
