"""Durations, and points in time, as people and files write them. Pure: the time zone is the caller's."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

LATEST: Final = 4_102_444_800.0
"""Unix seconds of the year 2100: what lies beyond is no time of ours, but a mistake or milliseconds."""
LONGEST: Final = 10 * 366 * 86_400.0
"""Seconds: nothing that is worth waiting for takes longer."""

_MINUTE: Final = 60
_UNITS: Final = (("d", 1440), ("h", 60), ("m", 1))
_WEEK_MINUTES: Final = 10080
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(?:\.[0-9]{0,20})?")


def duration(seconds: float, parts: int = 3) -> str:
    """*seconds* as ``2d3h5m``, rounded down; ``under 1m`` for less than a minute, ``0m`` for none or less.

    :param parts: how many of days, hours and minutes at most, the greatest first.
    """
    if seconds <= 0:
        return "0m"
    left = int(seconds // _MINUTE)
    if left == 0:
        return "under 1m"
    found: list[tuple[int, str]] = []
    for unit, minutes in _UNITS:
        count, left = divmod(left, minutes)
        if count or found:
            found.append((count, unit))
    return "".join(f"{count}{unit}" for count, unit in found[:parts] if count)


def distance(at: float, now: float) -> str:
    """How far *at* is from *now*, both in Unix seconds: ``in 3d4h``, ``2h ago``."""
    return f"in {duration(at - now, 2)}" if at > now else f"{duration(now - at, 2)} ago"


def limit_label(minutes: int) -> str:
    """What people call a limit over *minutes*: ``5 hour limit``, ``Weekly limit``, ``30 day limit``.

    A minute more or less counts as none: windows are also told as 299 or 10079 minutes.
    """
    if abs(minutes - _WEEK_MINUTES) <= 1:
        return "Weekly limit"
    for name, length in (("day", 1440), ("hour", 60)):
        count = round(minutes / length)
        if count and abs(minutes - count * length) <= 1:
            return f"{count} {name} limit"
    return f"{minutes} minute limit"


def rfc3339(at: float) -> str:
    """*at*, in Unix seconds from 0 to :data:`LATEST`, as ``2026-07-26T10:00:00Z``."""
    return dt.datetime.fromtimestamp(int(at), dt.UTC).isoformat().replace("+00:00", "Z")


def instant(text: str) -> float | None:
    """The Unix seconds of an ISO 8601 text, taken as UTC where it names no zone; None where it is none."""
    try:
        read = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return sane((read if read.tzinfo is not None else read.replace(tzinfo=dt.UTC)).timestamp())


def sane(at: float | None) -> float | None:
    """*at* if it is a point in time from 1970 to :data:`LATEST`, else None."""
    return at if at is not None and 0 <= at <= LATEST else None


def bounded(value: object, most: float) -> float | None:
    """The number that an upstream says, from 0 to *most*, also where it is written as a text; None for all else."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        return None
    return float(value)
