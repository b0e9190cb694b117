"""What ``chatmock keys list`` tells of the keys: never a token, nor its digest. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from chatmock.durations import rfc3339
from chatmock.keys.entries import PRIORITIES, Entry

_PRIORITY_NAMES: Final = {number: name for name, number in PRIORITIES.items()}
_HEADINGS: Final = ("NAME", "STATE", "CREATED", "EXPIRES", "RPM", "AT ONCE", "PRIORITY", "ADMIN", "MODELS")


def as_values(entries: Sequence[Entry], now: float) -> Mapping[str, Any]:
    """The keys for programs: ``{"keys": [{"name": …, "state": "active", "created": "2026-07-26T10:00:00Z", …}]}``.

    Limits that are those of everybody, and times that are not set, are null.

    :param now: Unix seconds.
    """
    return {"keys": [_values(entry, now) for entry in entries]}


def _values(entry: Entry, now: float) -> Mapping[str, Any]:
    key = entry.key
    times = {name: getattr(entry, name) for name in ("created", "expires", "revoked")}
    return {
        "name": key.name,
        "state": entry.state(now),
        **{name: None if at is None else rfc3339(at) for name, at in times.items()},
        "rpm": key.rpm,
        "concurrency": key.concurrency,
        "models": key.models,
        "priority": _priority(key.priority),
        "admin": key.admin,
    }


def as_text(entries: Sequence[Entry], now: float, local: Callable[[float], str]) -> str:
    """The keys for people: a table, without a line end.

    :param now: Unix seconds.
    :param local: writes Unix seconds as a time of the day here.
    """
    if not entries:
        return "There are no client keys. Make one: chatmock keys add NAME"
    rows = [_HEADINGS, *(_cells(entry, now, local) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cells(entry: Entry, now: float, local: Callable[[float], str]) -> tuple[str, ...]:
    key = entry.key
    return (
        key.name,
        entry.state(now),
        local(entry.created),
        "never" if entry.expires is None else local(entry.expires),
        "-" if key.rpm is None else str(key.rpm),
        "-" if key.concurrency is None else str(key.concurrency),
        _priority(key.priority),
        "yes" if key.admin else "-",
        ",".join(key.models) or "all",
    )


def _priority(number: int) -> str:
    return _PRIORITY_NAMES.get(number, str(number))
