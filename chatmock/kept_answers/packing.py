"""JSON as it is kept: compressed where that is worth it. Pure."""

from __future__ import annotations

import zlib
from typing import Final

from chatmock.jsontext import JSONError

FROM_BYTES: Final = 4096
"""Shorter texts stay as they are."""
_LEVEL: Final = 1
"""The fastest: conversations repeat much, and shrink by it to about a fifth."""
_MARK: Final = b"\x78"
"""The first byte of what zlib writes; no JSON array or object begins so."""


def packed(text: bytes) -> bytes:
    """*text*, a JSON array or object or packed already, as it is to be kept."""
    if len(text) <= FROM_BYTES or text.startswith(_MARK):
        return text
    shorter = zlib.compress(text, _LEVEL)
    return shorter if len(shorter) < len(text) else text


def unpacked(kept: bytes) -> bytes:
    """The JSON text that :func:`packed` was given.

    :raises JSONError: when it is damaged.
    """
    if not kept.startswith(_MARK):
        return kept
    try:
        return zlib.decompress(kept)
    except zlib.error:
        raise JSONError("what is kept is damaged") from None
