"""Pictures in ``data:`` URLs, as clients write them, and in the one form that upstreams read (spec chatgpt.md, 4.1)."""

from __future__ import annotations

import binascii
import urllib.parse

_MARK = ";base64,"
_MOST_HEAD_CHARS = 256
_STANDARD = str.maketrans({"-": "+", "_": "/", "\r": None, "\n": None})


def cleaned(url: str) -> str:
    """*url* with standard base64: without percent signs and line breaks, of the usual alphabet, padded.

    All but ``data:image/…;base64,…`` is returned as it is, and so is what is no base64 at all. The usual,
    well-formed picture is looked at, but not copied.
    """
    if not url.startswith("data:image/"):
        return url
    mark = url.find(_MARK, 0, _MOST_HEAD_CHARS)
    start = mark + len(_MARK)
    if mark < 0 or _is_standard(url, start):
        return url
    text = urllib.parse.unquote(url[start:]) if url.find("%", start) >= 0 else url[start:]
    text = text.translate(_STANDARD).rstrip("=")
    text += "=" * (-len(text) % 4)
    return url[:start] + text if _is_base64(text) else url


def _is_standard(url: str, start: int) -> bool:
    """Whether nothing in the text from *start* on is to be changed. It may still be no base64: then it stays, too."""
    return (len(url) - start) % 4 == 0 and all(url.find(mark, start) < 0 for mark in "%-_\r\n")


def _is_base64(text: str) -> bool:
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return False
    return True
