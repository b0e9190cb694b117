"""What ``chatmock info`` says of the running daemon, for people and for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from chatmock.durations import duration

_MOST_CHARS: Final = 200
_MOST_SHOWN: Final = 50


@attrs.frozen
class DaemonReport:
    """The daemon, as far as it could be asked."""

    url: str | None
    """Where it was asked, without a path; None where the settings do not tell."""
    trouble: str = ""
    """Why nothing is known of it; empty where it answers."""
    running: bool = False
    status: str = ""
    """``ok`` or ``degraded``."""
    providers: Mapping[str, Any] = attrs.field(factory=dict)
    """As ``/readyz`` tells them."""


def as_text(said: DaemonReport) -> str:
    """The report for people, without a line end."""
    return "\n".join(["Daemon", *(f"  {line}" for line in _lines(said))])


def as_values(said: DaemonReport) -> dict[str, Any]:
    """The report for programs."""
    return {
        "url": said.url,
        "running": said.running,
        "message": said.trouble or None,
        "status": said.status or None,
        "providers": said.providers,
    }


def _lines(said: DaemonReport) -> Iterator[str]:
    if not said.running:
        yield f"Not running: {said.trouble}"
        return
    yield f"Running at {said.url}"
    if said.trouble:
        yield f"It does not say more: {plain(said.trouble)}"
    for name, told in [*said.providers.items()][:_MOST_SHOWN]:
        if not isinstance(told, Mapping):
            continue
        yield f"{plain(name)}: {_state(told)}"
        models = told.get("models")
        for model, each in [*models.items()][:_MOST_SHOWN] if isinstance(models, Mapping) else ():
            if isinstance(each, Mapping):
                yield f"  {plain(model)}: {_state(each)}"


def _state(told: Mapping[str, Any]) -> str:
    reason = plain(told.get("reason"))
    match told.get("state"):
        case "cooling":
            return f"not asked for {seconds_in_words(told.get('until'))} ({reason})"
        case "probing":
            return f"tried by the next request ({reason})"
        case state:
            return f"{plain(state)} ({reason})" if reason else plain(state)


def seconds_in_words(seconds: object) -> str:
    """*seconds* for people: ``45 s``, ``12m``."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return "some time"
    return f"{seconds:.0f} s" if seconds < 60 else duration(seconds, 2)


def plain(text: object) -> str:
    """*text* fit for a terminal, and not too long; empty for what is no text."""
    if not isinstance(text, str):
        return ""
    return "".join(c if c.isprintable() else "?" for c in text[: 5 * _MOST_CHARS])
