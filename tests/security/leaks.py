"""Finds secrets, whole or in part, in whatever form they got somewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from urllib.parse import unquote_to_bytes

RUN = 12
"""Bytes of a secret that must not be found in one piece."""


def leaked(said: bytes, secrets: Mapping[str, bytes]) -> list[str]:
    """Which of *secrets*, by name, are in *said* with a run of `RUN` bytes, and how: plain or as part of a URL, in
    base64 of either alphabet beginning anywhere, or in hex."""
    views = {
        said,
        unquote_to_bytes(said),
        unquote_to_bytes(unquote_to_bytes(said)),
        said.replace(b"\\/", b"/"),
    }
    lower = said.lower()
    return [
        f"{name} ({form})"
        for name, secret in secrets.items()
        for form in sorted(
            {
                form
                for form, run in _runs(secret)
                if any(run in view for view in ((lower,) if form == "hex" else views))
            }
        )
    ]


@cache
def _runs(secret: bytes) -> tuple[tuple[str, bytes], ...]:
    """Every run of *secret* in every form."""
    assert len(secret) >= RUN
    runs = {secret[start : start + RUN] for start in range(len(secret) - RUN + 1)}
    return tuple((form, written) for run in sorted(runs) for form, many in _written(run) for written in many)


def _written(run: bytes) -> Iterator[tuple[str, Iterable[bytes]]]:
    yield "plain", [run]
    yield "hex", [run.hex().encode()]
    texts = {_inside(run, before) for before in range(3)}
    yield "base64", texts | {text.translate(bytes.maketrans(b"+/", b"-_")) for text in texts}


def _inside(run: bytes, before: int) -> bytes:
    """The base64 of *run* after *before* bytes of something else: the characters that depend on it alone."""
    text = base64.b64encode(bytes(before) + run)
    bits = 8 * (before + len(run))
    return text[-(-8 * before // 6) : bits // 6]
