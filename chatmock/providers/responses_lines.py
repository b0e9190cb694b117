"""Records of a Responses stream as lines: every one has its ``event`` line (spec upstreams.md, D3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chatmock.providers import responses_records as wire

HEADS: Final[Mapping[str, bytes]] = {
    kind: b"event: %b\ndata: " % kind.encode() for kind in sorted(wire.KNOWN)
}
"""What stands before the payload of the events that are known."""


def head(kind: str) -> bytes:
    """What stands before the payload of an event *kind*; one whose name would break the line goes without it."""
    known = HEADS.get(kind)
    if known is not None:
        return known
    return b"event: %b\ndata: " % kind.encode() if kind.isprintable() else b"data: "


def is_plain(data: bytes) -> bool:
    """Whether *data* can stand in a line of a stream as it is, for readers that are strict about UTF-8."""
    if data.isascii():
        return b"\n" not in data
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\n" not in data
