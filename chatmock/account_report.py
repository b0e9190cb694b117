"""What ``chatmock info`` says of the ChatGPT account, for people and for programs (spec chatgpt.md, 1.10). Pure.

An :class:`AccountReport` holds no secret: only what may be shown goes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.durations import distance, duration, instant, limit_label, rfc3339, sane
from chatmock.model import Model
from chatmock.providers.chatgpt.tokens import Owner, Tokens, owner
from chatmock.providers.chatgpt.usage_windows import Credits, Snapshot, Window

_REASONS: Final = {
    "refresh_token_expired": "the login is too old",
    "refresh_token_reused": "another program has used its refresh token",
    "refresh_token_invalidated": "it was revoked",
    "invalid_grant": "ChatGPT does not accept it any more",
}
_SEGMENTS: Final = 30
_COLOURS: Final = ((90.0, 91), (75.0, 93), (50.0, 94), (0.0, 92))
"""From how many percent used, and the terminal's code: bright red, yellow, blue, green."""
_MOST_CHARS: Final = 200
_MOST_LINE: Final = 10_000
_NO_USAGE: Final = "Not known yet: ChatGPT tells them with each answer, so make a request first."
_NO_MODELS: Final = "Not known yet: the daemon asks for them when it runs."


@attrs.frozen
class WindowReport:
    """One limit, as it is to be shown."""

    key: str
    """``primary``, ``secondary``, ``bengalfox-primary``."""
    label: str
    used_percent: float
    """At the time of the snapshot."""
    window_minutes: int | None
    resets_at: float | None
    """Unix seconds."""
    has_reset: bool
    """Whether it has started anew since the snapshot, so that nobody knows what is used now."""

    @property
    def remaining_percent(self) -> float:
        """What was left at the time of the snapshot."""
        return max(100.0 - self.used_percent, 0.0)


@attrs.frozen
class AccountReport:
    """The account as far as the files tell. All texts are fit for a terminal; times are Unix seconds."""

    where: str
    """The login's file."""
    now: float
    foreign: bool = False
    """Whether the file is the Codex CLI's own, which is only read."""
    owner: Owner | None = None
    """Whose login it is; None when nobody is signed in."""
    expires_at: float | None = None
    """The end of the access token."""
    last_refresh: float | None = None
    login_needed: str = ""
    """Why only a new login helps."""
    captured_at: float | None = None
    windows: tuple[WindowReport, ...] = ()
    credits: Credits | None = None
    models: tuple[Model, ...] = ()
    trouble: str = ""
    """What could not be read, and what to do about it."""


def report(
    tokens: Tokens | None,
    where: str,
    foreign: bool,
    windows: Snapshot | None,
    models: Sequence[Model],
    now: float,
    trouble: str = "",
) -> AccountReport:
    """What is to be said.

    :param tokens: the login; without one there is nothing to say of limits and models. *where*: its file.
    :param foreign: whether that file is the Codex CLI's own. *windows*: the last snapshot of the limits.
    :param models: those to pick from. *now*: Unix seconds. *trouble*: what could not be read.
    """
    if tokens is None:
        return AccountReport(_shown(where, _MOST_LINE), now, trouble=_shown(trouble, _MOST_LINE))
    found = owner(tokens)
    told_plan = None if windows is None else windows.windows.plan
    return AccountReport(
        where=_shown(where, _MOST_LINE),
        now=now,
        foreign=foreign,
        owner=Owner(
            _shown(found.login) or None,
            plan_name(_shown(found.plan or told_plan)) or None,
            _shown(found.account_id) or None,
            _shown(found.plan_until) or None,
        ),
        expires_at=sane(tokens.expires_at),
        last_refresh=instant(tokens.last_refresh),
        login_needed=_shown(tokens.login_needed),
        captured_at=None if windows is None else windows.captured_at,
        windows=()
        if windows is None
        else tuple(_window(windows, each, now) for each in windows.windows.windows),
        credits=None if windows is None else windows.windows.credits,
        models=tuple(attrs.evolve(model, id=_shown(model.id)) for model in models),
        trouble=_shown(trouble, _MOST_LINE),
    )


def plan_name(plan: str) -> str:
    """What people call the *plan* that the issuer calls ``plus``, ``self_serve_business``."""
    return plan.replace("_", " ").title()


def _window(snapshot: Snapshot, window: Window, now: float) -> WindowReport:
    minutes, family = window.window_minutes, window.family
    label = f"{window.position.title()} limit" if minutes is None else limit_label(minutes)
    resets_at = sane(snapshot.resets_at(window))
    return WindowReport(
        f"{_shown(family)}-{window.position}" if family else window.position,
        f"{_shown(snapshot.windows.names.get(family, family))} {label}" if family else label,
        window.used_percent,
        minutes,
        resets_at,
        resets_at is not None and resets_at <= now,
    )


def _shown(text: str | None, most: int = _MOST_CHARS) -> str:
    """*text* from elsewhere, so that it cannot steer a terminal."""
    return "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in (text or "")[:most]
    )


def _notes(said: AccountReport) -> Iterator[str]:
    """What the owner should know or do."""
    if said.trouble:
        yield said.trouble
    if said.owner is None:
        yield "Run `chatmock login` to sign in."
        return
    if said.foreign:
        yield (
            "This login is the Codex CLI's own: chatmock only reads it and will not refresh it."
            " `chatmock login` makes one for chatmock."
        )
    if said.login_needed:
        reason = _REASONS.get(said.login_needed)
        why = f"{reason} ({said.login_needed})" if reason else said.login_needed
        yield f"Log in again with `chatmock login`: {why}."
    elif said.foreign and said.expires_at is not None and said.expires_at <= said.now:
        yield "Its access token has expired: run `codex` once, or `chatmock login`."


def as_text(said: AccountReport, colour: bool, local: Callable[[float], str]) -> str:
    """The report for people, without a line end.

    :param colour: whether to colour the bars. *local*: writes Unix seconds as the reader's own time.
    """
    lines = ["Account", *(f"  {line}" for line in _account_lines(said, local))]
    if said.owner is None:
        return "\n".join(lines)
    lines += ["", "Usage limits"]
    if said.captured_at is None:
        lines.append(f"  {_NO_USAGE}")
    else:
        lines.append(f"  Last updated: {local(said.captured_at)}")
        for window in said.windows:
            lines += [
                f"  {window.label}",
                *(f"    {line}" for line in _window_lines(said, window, colour, local)),
            ]
        if said.credits is not None and (left := _credits(said.credits)):
            lines.append(f"  Credits: {left}")
    lines += ["", "Models", *(f"  {line}" for line in _model_lines(said))]
    return "\n".join(lines)


def _account_lines(said: AccountReport, local: Callable[[float], str]) -> Iterator[str]:
    owner_ = said.owner
    if owner_ is None:
        yield "Not signed in"
    else:
        yield "Signed in with ChatGPT"
        yield f"Login: {owner_.login or 'unknown'}"
        yield f"Plan: {owner_.plan or 'unknown'}"
        if owner_.plan_until is not None:
            until = instant(owner_.plan_until)
            yield f"Plan until: {owner_.plan_until if until is None else local(until)}"
        if owner_.account_id is not None:
            yield f"Account ID: {owner_.account_id}"
        if said.expires_at is not None:
            verb = "expires" if said.expires_at > said.now else "expired"
            yield f"Access token: {verb} {distance(said.expires_at, said.now)} ({local(said.expires_at)})"
        if said.last_refresh is not None:
            yield f"Last refresh: {distance(said.last_refresh, said.now)} ({local(said.last_refresh)})"
        yield f"File: {said.where}"
    yield from _notes(said)


def _window_lines(
    said: AccountReport, window: WindowReport, colour: bool, local: Callable[[float], str]
) -> Iterator[str]:
    used, at = window.used_percent, window.resets_at
    if window.has_reset and at is not None:
        yield f"Was reset at {local(at)}, since the last update; {used:.1f}% was used before."
        return
    yield f"{usage_bar(used, colour)} {used:5.1f}% used | {window.remaining_percent:5.1f}% left"
    if at is not None:
        yield f"Resets in: {duration(at - said.now)} at {local(at)}"


def usage_bar(used: float, colour: bool) -> str:
    """The bar for *used* percent: thirty segments in brackets."""
    filled, rest = divmod(min(used, 100.0) * _SEGMENTS / 100, 1)
    bar = f"{'█' * int(filled)}{'▓' if rest > 0.5 else ''}".ljust(_SEGMENTS, "░")
    if not colour:
        return f"[{bar}]"
    code = next(code for least, code in _COLOURS if used >= least)
    return f"[\x1b[{code}m{bar}\x1b[0m]"


def _credits(credits_: Credits) -> str:
    if credits_.unlimited:
        return "unlimited"
    return credits_.balance or "some" if credits_.has_credits else ""


def _model_lines(said: AccountReport) -> Iterator[str]:
    if not said.models:
        yield _NO_MODELS
    for model in said.models:
        yield f"{model.id} ({', '.join(model.efforts)})" if model.efforts else model.id


def as_json(said: AccountReport) -> bytes:
    """The report for programs: :func:`as_values` as JSON."""
    return jsontext.indented(jsontext.dumps(as_values(said)))


def as_values(said: AccountReport) -> dict[str, Any]:
    """The report as plain values: ``account``, ``available_models``, ``usage_limits``."""
    return {
        "account": _account_values(said),
        "available_models": {
            "live": False,
            "message": None if said.models else _NO_MODELS,
            "models": [{"slug": model.id, "reasoning_efforts": list(model.efforts)} for model in said.models],
        },
        "usage_limits": {
            **_times("last_updated", said.captured_at),
            "message": _NO_USAGE if said.captured_at is None else None,
            "windows": [_window_values(said, window) for window in said.windows],
            "credits": None if said.credits is None else attrs.asdict(said.credits),
        },
    }


def _account_values(said: AccountReport) -> dict[str, Any]:
    owner_ = said.owner or Owner(None, None, None, None)
    until = None if owner_.plan_until is None else instant(owner_.plan_until)
    return {
        "signed_in": said.owner is not None,
        "provider": "chatgpt",
        "login": owner_.login,
        "plan": owner_.plan,
        "account_id": owner_.account_id,
        "message": "Not signed in" if said.owner is None else "Signed in with ChatGPT",
        "hint": " ".join(_notes(said)) or None,
        "access_token_expires_at": _rfc3339(said.expires_at),
        "last_refresh": _rfc3339(said.last_refresh),
        "plan_until": owner_.plan_until if until is None else rfc3339(until),
        "read_only": said.foreign,
        "login_needed": said.login_needed or None,
        "file": said.where if said.owner is not None else None,
    }


def _window_values(said: AccountReport, window: WindowReport) -> dict[str, Any]:
    """What is used is not told of a window that has been reset since: it would be taken for what is used now."""
    left = None if window.resets_at is None else max(window.resets_at - said.now, 0.0)
    return {
        "key": window.key,
        "label": window.label,
        "used_percent": None if window.has_reset else window.used_percent,
        "remaining_percent": None if window.has_reset else window.remaining_percent,
        "window_minutes": window.window_minutes,
        "resets_in_seconds": None if left is None else int(left),
        "resets_in": None if left is None else duration(left),
        **_times("resets_at", window.resets_at),
        "has_reset": window.has_reset,
    }


def _times(name: str, at: float | None) -> dict[str, str | None]:
    """A time for people, in UTC, and for programs."""
    text = _rfc3339(at)
    plain = None if text is None else f"{text[:10]} {text[11:16]} UTC"
    return {name: plain, f"{name}_rfc3339": text}


def _rfc3339(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)
