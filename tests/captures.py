"""The recordings of real upstreams, read in place; tests skip with a message where they are absent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import attrs
import pytest

ROOT = Path(os.environ.get("CHATMOCK_CAPTURES") or Path(__file__).parents[2] / "shared" / "captures")


@attrs.frozen
class Recording:
    """One recorded exchange."""

    name: str
    upstream: str
    kind: str
    """``sse`` or ``json``."""
    status: int
    response: bytes = attrs.field(repr=False)
    request: dict[str, Any] | None = attrs.field(repr=False)

    def __str__(self) -> str:
        return self.name


def recordings(*upstreams: str) -> list[Recording]:
    """The recordings of *upstreams*; empty where there are none."""
    index = ROOT / "index.jsonl"
    if not index.exists():
        return []
    entries = [json.loads(line) for line in index.read_text().splitlines()]
    return [_load(entry) for entry in entries if entry["upstream"] in upstreams]


def _load(entry: dict[str, Any]) -> Recording:
    request = entry.get("request")
    return Recording(
        entry["file"],
        entry["upstream"],
        entry["kind"],
        entry["status"],
        (ROOT / entry["response"]).read_bytes(),
        json.loads((ROOT / request).read_bytes()) if request else None,
    )


def parametrised(found: list[Recording]) -> Any:
    """A parametrisation over *found*, or one skipped case that says what is missing."""
    if found:
        return pytest.mark.parametrize(
            "recording", [pytest.param(r, id=r.name.rpartition("/")[2]) for r in found]
        )
    skipped = pytest.param(
        None, marks=pytest.mark.skip(reason=f"no recordings in {ROOT.name}: set CHATMOCK_CAPTURES")
    )
    return pytest.mark.parametrize("recording", [skipped])
