"""How much of the plan's limits is used: out of response headers, and in the file that keeps it (spec chatgpt.md, 2.11)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

import attrs

from chatmock import jsontext
from chatmock.durations import LATEST, LONGEST, bounded, instant
from chatmock.jsontext import JSONError, Struct
from chatmock.providers.chatgpt.contract import USAGE_HEADERS

Position = Literal["primary", "secondary"]

_POSITIONS: Final[tuple[Position, ...]] = ("primary", "secondary")
_USED: Final = re.compile(r"(?:([a-z0-9_-]+)-)?(?:primary|secondary)-used-percent")
_MOST_PERCENT: Final = 10_000.0
_MOST_MINUTES: Final = LONGEST / 60
_MOST_BALANCE: Final = 1e15
_MOST_FAMILIES: Final = 32
"""Families are kept once told; without an end an upstream that invents names would fill the file."""


@attrs.frozen
class Window:
    """One limit: how much of it is used, and when it starts anew."""

    family: str
    """Empty for the plan's own limits, else the name of a separately metered group of models."""
    position: Position
    used_percent: float
    """From 0; more than 100 where the limit was overrun."""
    window_minutes: int | None = None
    """How long it is."""
    resets_in_seconds: int | None = None
    """Counted from when it was told."""
    resets_at: float | None = None
    """Unix seconds."""


@attrs.frozen
class Credits:
    """What is bought besides the plan."""

    has_credits: bool | None = None
    balance: str | None = None
    """A decimal number, as told."""
    unlimited: bool | None = None


@attrs.frozen
class UsageWindows:
    """Everything one answer tells. What it does not tell is None, or empty."""

    windows: tuple[Window, ...]
    """The plan's own first, then family by family, in each the primary one first."""
    plan: str | None = None
    """The issuer's name for it: ``plus``."""
    active_limit: str | None = None
    """The limit that the answered request counted against."""
    credits: Credits | None = None
    primary_over_secondary_limit_percent: float | None = None
    names: Mapping[str, str] = attrs.field(factory=dict)
    """What people call a family, where that is told."""


@attrs.frozen
class Snapshot:
    """The limits as they were at one time."""

    windows: UsageWindows
    captured_at: float
    """Unix seconds."""
    account_id: str = ""
    """Whose limits they are; empty where that is not known."""

    def of(self, account_id: str) -> Snapshot | None:
        """This snapshot, unless it is known to be another account's than *account_id*."""
        known = self.account_id and account_id
        return None if known and self.account_id != account_id else self

    def resets_at(self, window: Window) -> float | None:
        """When *window*, one of these, starts anew, in Unix seconds."""
        if window.resets_at is not None:
            return window.resets_at
        return None if window.resets_in_seconds is None else self.captured_at + window.resets_in_seconds


def tells_usage(headers: Iterable[str]) -> bool:
    """Whether among the names of *headers*, in lower case, is one of those read here."""
    return any(name.startswith(USAGE_HEADERS) for name in headers)


def read_windows(headers: Mapping[str, str]) -> UsageWindows | None:
    """What the response *headers* (names in lower case) tell; None when they tell no window.

    Numbers are read tolerantly (``18000.0`` is an integer too), and what is none is left out.
    """
    told = {
        name.removeprefix(USAGE_HEADERS): value.strip()
        for name, value in headers.items()
        if name.startswith(USAGE_HEADERS)
    }
    families = sorted({found[1] or "" for name in told if (found := _USED.fullmatch(name))})[:_MOST_FAMILIES]
    windows = tuple(window for family in families for window in _family(told, family))
    if not windows:
        return None
    names = {each.family: told.get(f"{each.family}-limit-name", "") for each in windows if each.family}
    return UsageWindows(
        windows,
        told.get("plan-type") or None,
        told.get("active-limit") or None,
        _credits(told),
        bounded(told.get("primary-over-secondary-limit-percent"), _MOST_PERCENT),
        {family: name for family, name in names.items() if name},
    )


def _family(told: Mapping[str, str], family: str) -> Iterator[Window]:
    for position in _POSITIONS:
        prefix = f"{family}-{position}-" if family else f"{position}-"
        used = bounded(told.get(f"{prefix}used-percent"), _MOST_PERCENT)
        minutes = _whole(told.get(f"{prefix}window-minutes"), _MOST_MINUTES)
        resets_at = bounded(told.get(f"{prefix}reset-at"), LATEST) or None
        # A limit that the plan does not have is told as one of no length.
        if used is None or (used == minutes == 0 and resets_at is None):
            continue
        resets_in = _whole(told.get(f"{prefix}reset-after-seconds"), LONGEST)
        yield Window(family, position, used, minutes or None, resets_in, resets_at)


def _credits(told: Mapping[str, str]) -> Credits | None:
    balance = told.get("credits-balance")
    found = Credits(
        _flag(told.get("credits-has-credits")),
        None if bounded(balance, _MOST_BALANCE) is None else balance,
        _flag(told.get("credits-unlimited")),
    )
    return None if found == Credits() else found


def _flag(text: str | None) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get((text or "").lower())


def _whole(value: object, most: float) -> int | None:
    number = bounded(value, most)
    return None if number is None else int(number)


def merge(before: Snapshot | None, now: Snapshot) -> Snapshot:
    """*now*, with the families that only *before* tells; none of those when the plan is another one."""
    if before is None:
        return now
    old, new = before.windows, now.windows
    if old.plan and new.plan and old.plan != new.plan:
        return now
    told = {window.family for window in new.windows}
    room = max(_MOST_FAMILIES - len(told), 0)
    kept = sorted({window.family for window in old.windows} - told)[:room]
    windows = (
        *new.windows,
        *(_moved(before, window, now.captured_at) for window in old.windows if window.family in kept),
    )
    over = new.primary_over_secondary_limit_percent
    merged = UsageWindows(
        tuple(sorted(windows, key=lambda window: (window.family, window.position))),
        new.plan or old.plan,
        new.active_limit or old.active_limit,
        new.credits or old.credits,
        old.primary_over_secondary_limit_percent if over is None else over,
        {**{family: name for family, name in old.names.items() if family in {*told, *kept}}, **new.names},
    )
    return Snapshot(merged, now.captured_at, now.account_id)


def _moved(before: Snapshot, window: Window, now: float) -> Window:
    """A *window* told *before* in a snapshot of *now*: its reset stays where it was."""
    at = before.resets_at(window)
    if at is None:
        return window
    return attrs.evolve(window, resets_at=at, resets_in_seconds=max(round(at - now), 0))


class _WindowShape(Struct):
    used_percent: float
    window_minutes: float | None = None
    resets_in_seconds: float | None = None
    resets_at: float | None = None


class _CreditsShape(Struct, omit_defaults=True):
    has_credits: bool | None = None
    balance: str | None = None
    unlimited: bool | None = None


class _FamilyShape(Struct, omit_defaults=True):
    limit_name: str | None = None
    primary: _WindowShape | None = None
    secondary: _WindowShape | None = None


class _FileShape(Struct, omit_defaults=True):
    """The first three keys are what the file has always held; the others came later."""

    captured_at: str
    account_id: str | None = None
    primary: _WindowShape | None = None
    secondary: _WindowShape | None = None
    families: Mapping[str, _FamilyShape] | None = None
    plan: str | None = None
    active_limit: str | None = None
    credits: _CreditsShape | None = None
    primary_over_secondary_limit_percent: float | None = None


_read_file = jsontext.reader(_FileShape)


def to_json(snapshot: Snapshot) -> bytes:
    """The file ``usage_limits.json``."""
    windows = snapshot.windows
    families = dict.fromkeys(window.family for window in windows.windows if window.family)
    own = _windows_of(windows, "")
    shape = _FileShape(
        captured_at=dt.datetime.fromtimestamp(snapshot.captured_at, dt.UTC).isoformat(),
        account_id=snapshot.account_id or None,
        primary=own.get("primary"),
        secondary=own.get("secondary"),
        families={
            family: _FamilyShape(limit_name=windows.names.get(family), **_windows_of(windows, family))
            for family in families
        }
        or None,
        plan=windows.plan,
        active_limit=windows.active_limit,
        credits=None if windows.credits is None else _CreditsShape(**attrs.asdict(windows.credits)),
        primary_over_secondary_limit_percent=windows.primary_over_secondary_limit_percent,
    )
    return jsontext.indented(jsontext.dumps(shape)) + b"\n"


def _windows_of(windows: UsageWindows, family: str) -> dict[str, _WindowShape]:
    return {
        window.position: _WindowShape(
            window.used_percent, window.window_minutes, window.resets_in_seconds, window.resets_at
        )
        for window in windows.windows
        if window.family == family
    }


def from_json(data: bytes) -> Snapshot:
    """Read ``usage_limits.json``, also as older versions and other programs wrote it, without ``families``.

    :raises JSONError: when it is no JSON, of another shape, or holds no window or no time.
    """
    file = _read_file(data)
    captured_at = instant(file.captured_at)
    if captured_at is None:
        raise JSONError("captured_at is no time")
    families = {name: shape for name, shape in sorted((file.families or {}).items()) if name}
    shapes: dict[str, _FamilyShape | _FileShape] = {"": file, **families}
    windows = tuple(window for family, shape in shapes.items() for window in _windows_from(family, shape))
    if not windows:
        raise JSONError("it holds no window")
    credit = file.credits
    return Snapshot(
        UsageWindows(
            windows,
            file.plan,
            file.active_limit,
            None if credit is None else Credits(credit.has_credits, credit.balance, credit.unlimited),
            bounded(file.primary_over_secondary_limit_percent, _MOST_PERCENT),
            {family: shape.limit_name for family, shape in families.items() if shape.limit_name},
        ),
        captured_at,
        file.account_id or "",
    )


def _windows_from(family: str, shape: _FamilyShape | _FileShape) -> Iterator[Window]:
    for position in _POSITIONS:
        window: _WindowShape | None = getattr(shape, position)
        if window is None:
            continue
        if bounded(window.used_percent, _MOST_PERCENT) is None:
            raise JSONError(f"used_percent of {position} is no percentage")
        yield Window(
            family,
            position,
            window.used_percent,
            _whole(window.window_minutes, _MOST_MINUTES),
            _whole(window.resets_in_seconds, LONGEST),
            bounded(window.resets_at, LATEST),
        )
