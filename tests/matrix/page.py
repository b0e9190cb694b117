"""The page of the matrix: docs/matrix.md, written from the table by a run in which all of it has come true."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from tests.matrix import table
from tests.matrix.table import Absent, Outcome, Refused, Works

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"

_HEAD = """\
# Who gets what from whom

This page is written by the tests (`tests/matrix/`). Every cell is tried with the official SDK of the client's API, once streamed and once
whole, against a daemon in front of a fake of the provider that refuses what the real one refuses.

- **yes**: it comes as the API says, and as the upstream said it.
- **yes** with a number: it comes in another way, told below the table.
- **an HTTP status**: it is refused with this status, as an error that the SDK raises and that names what is not there.
- **–**: there is nothing to ask, or nothing to tell, for the reason below the table.

The columns:

{features}

The SDKs are `openai` for the three APIs of OpenAI, `ollama` and `anthropic`. To try it, and to write this page anew where the table in
`tests/matrix/table.py` has changed:

```sh
pytest tests/matrix -n auto
```

A run of all cells in which none fails writes the page; a page that is not what the table says fails the tests.
"""


def page() -> str:
    """The whole page."""
    features = "\n".join(f"- `{name}`: {what}" for name, what in table.FEATURES.items())
    parts = [_HEAD.format(features=features)]
    for dialect in table.dialects():
        parts.append(_section(dialect))
    return "\n".join(parts)


def is_stale() -> bool:
    """Whether the page is not what the table says."""
    return not PAGE.exists() or PAGE.read_text("utf-8") != page()


def write() -> None:
    """Write it, at once whole: several processes of a run may do so."""
    new = PAGE.with_name(f".{PAGE.name}.{os.getpid()}")
    new.write_text(page(), "utf-8")
    new.replace(PAGE)


def note(folder: Path, worker: str, come_true: Iterable[str]) -> None:
    """Keep in *folder*, which the processes of a run share, which cells have come true in *worker*."""
    new = folder / f"{worker}.new"
    new.write_text(json.dumps(sorted(come_true)), "utf-8")
    new.replace(folder / f"{worker}.json")


def has_come_true(folder: Path) -> bool:
    """Whether every cell has, in one process or another."""
    told = {id for part in folder.glob("*.json") for id in json.loads(part.read_text("utf-8"))}
    return told == {cell.id for cell in table.cells()}


def _section(dialect: str) -> str:
    """The table of one dialect: a row for each provider."""
    notes: dict[str, int] = {}
    rows = [
        ["provider", *(f"`{feature}`" for feature in table.FEATURES)],
        ["---"] * (1 + len(table.FEATURES)),
        *(
            [
                f"`{provider}`",
                *(_shown(table.outcome(dialect, provider, each), notes) for each in table.FEATURES),
            ]
            for provider in table.providers()
        ),
    ]
    lines = [f"## {dialect}", "", *(f"| {' | '.join(row)} |" for row in rows), ""]
    lines += [f"{number}. {note[0].upper()}{note[1:]}." for note, number in notes.items()]
    return "\n".join([*lines, ""] if notes else lines)


def _shown(outcome: Outcome, notes: dict[str, int]) -> str:
    match outcome:
        case Works(""):
            return "yes"
        case Works(how):
            return f"yes ({_note(f'it {how}', notes)})"
        case Refused(status, _, why):
            return f"{status} ({_note(why, notes)})"
        case Absent(why):
            return f"– ({_note(why, notes)})"


def _note(text: str, notes: dict[str, int]) -> int:
    return notes.setdefault(text, len(notes) + 1)
