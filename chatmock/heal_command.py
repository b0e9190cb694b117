"""``chatmock heal``: has the running daemon ask a provider again that it leaves alone because it refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from twisted.python import usage

from chatmock.daemon_client import NoDaemonError, Reply, ask
from chatmock.daemon_report import plain, seconds_in_words
from chatmock.options import ServeOptions
from chatmock.settings import Settings


class HealOptions(usage.Options):
    """``chatmock heal [PROVIDER]``."""

    synopsis = "Usage: chatmock heal [PROVIDER]"
    longdesc = (
        "A provider that refuses (a login, a usage limit, repeated faults) is left alone for a while and then tried"
        " again by itself. This has it tried by the next request; without a name, all of them."
    )
    optFlags: ClassVar[list[Any]] = []

    def parseArgs(self, provider: str | None = None) -> None:
        """Which provider."""
        self["provider"] = provider


class _RefusedError(Exception):
    """The daemon answers, but does not do it."""


def heal(
    options: HealOptions,
    environ: Mapping[str, str],
    out: Callable[[str], None],
    complain: Callable[[str], None],
) -> int:
    """Clear what the daemon leaves alone, and give *out* a line for each; returns the exit status.

    That is 1, with a line for *complain*, when no daemon answers or it refuses.

    :raises usage.UsageError: when a setting has a value that is not allowed.
    """
    settings = ServeOptions().settings(environ)
    try:
        named = options["provider"]
        names = _left_alone(settings) if named is None else [named]
        lines = [line for name in names for line in _heal(settings, name)]
    except NoDaemonError as error:
        complain(f"no daemon answers: {error}. Start it with: chatmock serve")
        return 1
    except _RefusedError as error:
        complain(str(error))
        return 1
    out("\n".join(lines or ["There is nothing to clear: no provider is left alone."]))
    return 0


def _left_alone(settings: Settings) -> Sequence[str]:
    """The providers that are not asked, or of which a model is not."""
    providers = _checked(ask(settings, "GET", "/readyz"), {200, 503}).get("providers")
    if not isinstance(providers, Mapping):
        return []
    return [name for name, each in providers.items() if _is_left_alone(each)]


def _is_left_alone(told: object) -> bool:
    return isinstance(told, Mapping) and (told.get("state") in ("cooling", "probing") or "models" in told)


def _heal(settings: Settings, name: str) -> Sequence[str]:
    path = f"/api/providers/{quote(name, safe='')}/heal"
    cleared = _checked(ask(settings, "POST", path), {200}).get("cleared")
    lines = [_line(name, each) for each in cleared or [] if isinstance(each, Mapping)]
    return lines or [f"{plain(name)}: there was nothing to clear"]


def _line(name: str, cleared: Mapping[str, Any]) -> str:
    model, since = cleared.get("model"), cleared.get("since")
    which = plain(name) if model is None else f"{plain(name)}, {plain(model)}"
    return f"{which}: cleared; it had refused for {seconds_in_words(since)} ({plain(cleared.get('reason'))})"


def _checked(reply: Reply, good: set[int]) -> Mapping[str, Any]:
    if reply.status not in good:
        raise _RefusedError(f"the daemon refuses: {plain(reply.trouble) or f'it answered {reply.status}'}")
    return reply.body
