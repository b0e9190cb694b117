"""Anthropic's list of models: ``GET /v1/models`` and ``/v1/models/{id}``, in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.catalogue import Row
from chatmock.dialects.anthropic_fields import fault
from chatmock.durations import LATEST, rfc3339
from chatmock.model import Model

MOST: Final = 1000
"""Models on a page, and those of one whose client does not say how many it wants."""
_PATTERNS: Final = frozenset("*?[")


@attrs.frozen
class Page:
    """Which part of the list a client wants."""

    limit: int = MOST
    after: str | None = None
    before: str | None = None

    @classmethod
    def read(cls, limit: str | None, after: str | None, before: str | None) -> Page:
        """The page that the query arguments ask for.

        :raises Refusal: bad request, for a limit that is none.
        """
        if limit is None:
            return cls(MOST, after, before)
        if not (limit.isascii() and limit.isdecimal()) or not 1 <= int(limit[:5]) <= MOST:
            raise fault("limit", f"It is a number from 1 to {MOST}.")
        return cls(int(limit), after, before)

    def of(self, rows: Sequence[Row]) -> tuple[Sequence[Row], bool]:
        """The part of *rows*, and whether there are more in the direction that the client goes.

        :raises Refusal: bad request, when the client goes on from a model that is not there.
        """
        names = [row[0] for row in rows]
        start = 0 if self.after is None else _place(names, self.after, "after_id") + 1
        end = len(rows) if self.before is None else _place(names, self.before, "before_id")
        rows = rows[start:end]
        from_end = self.before is not None and self.after is None
        return rows[-self.limit :] if from_end else rows[: self.limit], len(rows) > self.limit


def models_page(rows: Sequence[Row], page: Page) -> bytes:
    """The *page* of *rows*, which :func:`chatmock.catalogue.listing` gives."""
    shown, more = page.of(rows)
    data = [_entry(name, model) for name, _, model in shown]
    ends = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return jsontext.dumps({"data": data, "has_more": more, "first_id": ends[0], "last_id": ends[1]})


def model_body(row: Row) -> bytes:
    """One entry of the list."""
    return jsontext.dumps(_entry(row[0], row[2]))


def with_aliases(rows: Sequence[Row], aliases: Mapping[str, str]) -> list[Row]:
    """*rows*, and before them the names that stand for one of them; patterns are no names."""
    known = {row[0]: row for row in rows}
    named = [
        (name, *known[model][1:])
        for name, model in aliases.items()
        if model in known and name not in known and not _PATTERNS & set(name)
    ]
    return [*named, *rows]


def _place(names: Sequence[str], name: str, field: str) -> int:
    if name not in names:
        raise fault(field, "There is no such model here.")
    return names.index(name)


def _entry(name: str, model: Model | None) -> dict[str, Any]:
    # Anthropic, too, tells an age that is not known as the beginning of Unix time.
    created = 0 if model is None or model.created is None else model.created
    entry: dict[str, Any] = {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": rfc3339(min(max(created, 0), LATEST)),
        "lifecycle": "active",
    }
    if model is not None and model.context_length is not None:
        entry["max_input_tokens"] = model.context_length
    return entry
