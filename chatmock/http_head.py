"""The head of an HTTP/1.1 request: bytes in, a bounded and unambiguous head or a refusal out (RFC 9112). Pure.

Twisted's parser takes any method, no Host or two, folded lines, ``Transfer-Encoding`` beside ``Content-Length``, 500
fields and numbers of any length (spec security.md, 1.1). What two servers could read in two ways is refused here, so
that nothing is smuggled past a proxy in front.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

import attrs

from chatmock.errors import Kind, Refusal

MOST_FIELDS: Final = 100
MOST_HEAD_BYTES: Final = 16 * 1024
"""Of the request line and all fields."""
MOST_LINE_BYTES: Final = 8 * 1024
METHODS: Final = (b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT")
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VISIBLE: Final = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.([01])")
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#]*)([^#]*)")
_LABELS: Final = rb"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?"
_HOST: Final = re.compile(rb"(?!.{262})(?:" + _LABELS + rb"|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")


@attrs.frozen
class RequestLine:
    """The first line."""

    method: bytes
    target: bytes = attrs.field(repr=False)
    """As received: ``/path?query``, or the absolute form with scheme and authority."""
    minor_version: int
    authority: bytes | None
    """``host[:port]`` out of a target in absolute form."""
    path: bytes
    """As received, still with its ``%`` escapes, without the query; begins with ``/``."""
    query: bytes = attrs.field(repr=False)


@attrs.frozen
class RequestFields:
    """The fields, and what they say of the body and of the connection."""

    by_name: Mapping[bytes, list[bytes]] = attrs.field(repr=False)
    """Values in the order received, by name in lower case."""
    length: int | None
    """Bytes of the body, 0 for none; None for a chunked one."""
    keep_alive: bool
    """Whether the client may send another request on the connection."""
    awaits_continue: bool
    """Whether the client sends its body only when it is told to go on."""


def split_head(data: bytes) -> tuple[Sequence[bytes], bytes] | None:
    """The lines of the head that *data* begins with, and what follows it; None while it is not complete.

    :raises Refusal: as soon as it cannot become one: too large, or bytes that no head has.
    """
    end = data.find(b"\r\n\r\n", 0, MOST_HEAD_BYTES + 4)
    if end < 0:
        _check_unfinished(data[: MOST_HEAD_BYTES + 1])
        return None
    block = data[:end]
    _check_bytes(block)
    lines = block.split(b"\r\n")
    if len(lines[0]) > MOST_LINE_BYTES:
        raise _target_too_long()
    if len(lines) > MOST_FIELDS + 1 or max(map(len, lines)) > MOST_LINE_BYTES:
        raise _head_too_large()
    return lines, data[end + 4 :]


def read_request_line(line: bytes) -> RequestLine:
    """Read the first line, whatever its method.

    :raises Refusal: bad request.
    """
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise malformed("The first line is not that of an HTTP/1.1 request.")
    method, target, minor = match.groups()
    authority, rest = None, target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        authority, rest = absolute[1], absolute[2]
        rest = rest if rest.startswith(b"/") else b"/" + rest
    path, _, query = rest.partition(b"?")
    if not path.startswith(b"/"):
        raise malformed("The request's target is no path.")
    return RequestLine(method, target, int(minor), authority, path, query)


def read_fields(line: RequestLine, lines: Sequence[bytes]) -> RequestFields:
    """Read the *lines* after the first, and check *line* with them.

    :raises Refusal: bad request, or method not allowed.
    """
    if line.method not in METHODS:
        allowed = b", ".join(METHODS).decode()
        raise Refusal(
            Kind.METHOD_NOT_ALLOWED, f"This server knows the methods {allowed}.", code="method_not_allowed"
        )
    if b"%" in line.path:
        _check_escapes(line.path)
    by_name: dict[bytes, list[bytes]] = {}
    for each in lines:
        name, colon, value = each.partition(b":")
        if not (name and colon) or name.translate(None, _TOKEN):  # a folded line begins with a space
            raise malformed("A header field is malformed.")
        by_name.setdefault(name.lower(), []).append(value.strip(b" \t"))
    _check_host(line, by_name)
    connection = b",".join(by_name.get(b"connection", ())).lower()
    keep_alive = line.minor_version == 1 and b"close" not in [each.strip() for each in connection.split(b",")]
    expected = by_name.get(b"expect")
    awaits = line.minor_version == 1 and expected is not None and expected[0].lower() == b"100-continue"
    return RequestFields(by_name, _body_length(line, by_name), keep_alive, awaits)


def malformed(message: str) -> Refusal:
    """The client does not speak HTTP as it should."""
    return Refusal(
        Kind.BAD_REQUEST,
        f"{message} The client, or a proxy before it, is at fault.",
        code="malformed_request",
    )


def _check_unfinished(data: bytes) -> None:
    """Refuse the beginning of a head that no more bytes can mend."""
    _check_bytes(data.removesuffix(b"\r"))
    if len(data) <= MOST_LINE_BYTES:
        return
    if not 0 <= data.find(b"\r\n") <= MOST_LINE_BYTES:
        raise _target_too_long()
    if len(data) > MOST_HEAD_BYTES:
        raise _head_too_large()


def _check_bytes(data: bytes) -> None:
    """Only visible ASCII, and line ends that are whole: everything else is read differently by different servers."""
    if data.translate(None, _VISIBLE):
        raise malformed("The request's head has bytes that are no visible ASCII.")
    ends = data.count(b"\r\n")
    if data.count(b"\r") != ends or data.count(b"\n") != ends:
        raise malformed("The request's head has half a line end.")


def _check_escapes(path: bytes) -> None:
    try:
        unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("The path's % escapes are not UTF-8.") from None


def _check_host(line: RequestLine, by_name: Mapping[bytes, list[bytes]]) -> None:
    """Exactly one host, of a form there can be (RFC 9112, 3.2); which ones are allowed is not decided here."""
    hosts = by_name.get(b"host", ())
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise malformed("A request has exactly one valid Host field.")
    if line.authority is not None and not _HOST.fullmatch(line.authority):
        raise malformed("The request's target names no valid host.")


def _body_length(line: RequestLine, by_name: Mapping[bytes, list[bytes]]) -> int | None:
    """Where the body ends (RFC 9112, 6.3): said once, in one way."""
    lengths, codings = by_name.get(b"content-length"), by_name.get(b"transfer-encoding")
    if codings is not None:
        if lengths or len(codings) > 1 or codings[0].lower() != b"chunked" or line.minor_version == 0:
            raise malformed("The request's Transfer-Encoding cannot be trusted.")
        return None
    if lengths is None:
        return 0
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise malformed("The request's Content-Length is none.")
    return int(lengths[0])


def _target_too_long() -> Refusal:
    return Refusal(
        Kind.URI_TOO_LONG,
        f"The request's first line has more than {MOST_LINE_BYTES} bytes.",
        code="uri_too_long",
    )


def _head_too_large() -> Refusal:
    return Refusal(
        Kind.HEAD_TOO_LARGE,
        f"The request's head is larger than allowed: {MOST_FIELDS} fields, {MOST_LINE_BYTES} bytes a line,"
        f" {MOST_HEAD_BYTES} bytes in all.",
        code="head_too_large",
    )
