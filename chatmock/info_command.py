"""``chatmock info``: what the files on this machine tell of the accounts, and the running daemon of its providers.

It asks nobody else, and changes nothing.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from twisted.python import usage

from chatmock import daemon_report, jsontext
from chatmock.account_report import AccountReport, as_text, as_values, report
from chatmock.daemon_client import NoDaemonError, ask, daemon_url
from chatmock.daemon_report import DaemonReport, plain
from chatmock.errors import Refusal
from chatmock.jsontext import JSONError
from chatmock.login_files import (
    MODELS_FILE,
    MOST_BYTES,
    MOST_MODELS_BYTES,
    USAGE_FILE,
    FoundLogin,
    find_login,
    login_files,
)
from chatmock.model import Model
from chatmock.options import ServeOptions
from chatmock.providers import PROVIDERS
from chatmock.providers.chatgpt.models import read_models
from chatmock.providers.chatgpt.usage_windows import from_json
from chatmock.providers.qwen.token import expiry_note
from chatmock.settings import Settings
from chatmock.state_files import read_bounded, state_folder

T = TypeVar("T")


class InfoOptions(usage.Options):
    """``chatmock info``."""

    optFlags: ClassVar = [["json", None, "Print JSON, without any secret."]]
    longdesc = (
        "Shows the ChatGPT account, its usage limits and models, which other providers are usable, and which of them"
        " the running daemon leaves alone because they refuse."
    )


def info(options: InfoOptions, environ: Mapping[str, str], out: Callable[[str], None]) -> int:
    """Give the report to *out*, in one text without a line end; returns the exit status.

    That is 0 whether or not somebody is signed in, and 1 when no login was found and a file could not be read.

    :raises usage.UsageError: when a setting has a value that is not allowed.
    :raises SettingError: when nobody knows the home folder that the state folder is in.
    """
    settings = ServeOptions().settings(environ)
    found = find_login(login_files(settings))
    said = _report(settings, found)
    others, daemon = _others(settings), _daemon(settings)
    if options["json"]:
        told = {**as_values(said), "providers": others, "daemon": daemon_report.as_values(daemon)}
        out(jsontext.indented(jsontext.dumps(told)).decode())
    else:
        colour = sys.stdout is not None and sys.stdout.isatty() and not environ.get("NO_COLOR")
        texts = [as_text(said, colour, _local), _others_text(others), daemon_report.as_text(daemon)]
        out("\n\n".join(texts))
    return 1 if found.tokens is None and found.trouble else 0


def _local(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).astimezone().strftime("%b %d, %Y %H:%M %Z")


def _read(path: Path, most: int, read: Callable[[bytes], T], trouble: list[str]) -> T | None:
    """What *read* makes of a file; None for one that is not there, or with a line more in *trouble*."""
    try:
        return read(read_bounded(path, most))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = f"cannot be read: {error.strerror or type(error).__name__}"
    except JSONError as error:
        why = f"is damaged: {error}"
    trouble.append(f"{path} {why}. The daemon writes it anew when it can; remove it if that does not help.")
    return None


def _report(settings: Settings, found: FoundLogin) -> AccountReport:
    folder, tokens = state_folder(settings.home), found.tokens
    trouble = [found.trouble] if found.trouble else []
    windows, models = None, None
    if tokens is not None:
        account = tokens.account_id
        windows = _read(folder / USAGE_FILE, MOST_BYTES, lambda data: from_json(data).of(account), trouble)
        models = _read(
            folder / MODELS_FILE, MOST_MODELS_BYTES, lambda data: _read_models(data, account), trouble
        )
    return report(
        tokens, str(found.path or ""), found.foreign, windows, models or (), time.time(), " ".join(trouble)
    )


def _read_models(data: bytes, account_id: str) -> Sequence[Model]:
    """The models to pick from in the cache (spec chatgpt.md, 2.9); none when they are another account's.

    :raises JSONError: when it is no such cache.
    """
    if (jsontext.loads_object(data).get("account_id") or "") != account_id:
        return ()
    try:
        return [model for model in read_models(data) if model.listed]
    except Refusal:
        raise JSONError("it holds no list of models") from None


def _daemon(settings: Settings) -> DaemonReport:
    """What the running daemon says of its providers."""
    url = daemon_url(settings)
    try:
        reply = ask(settings, "GET", "/readyz")
    except NoDaemonError as error:
        return DaemonReport(url, str(error))
    providers, status = reply.body.get("providers"), reply.body.get("status")
    if reply.status not in (200, 503) or not isinstance(providers, Mapping):
        return DaemonReport(url, reply.trouble or f"it answered {reply.status}", running=True)
    return DaemonReport(url, "", True, plain(status), providers)


def _others(settings: Settings) -> list[dict[str, Any]]:
    """Every provider but ChatGPT, what it lacks, and what is known of its credential."""
    qwen = settings.qwen_auth_token
    found = [_other("qwen", qwen is not None, "QWEN_AUTH_TOKEN")]
    if qwen is not None:
        found[0]["note"] = f"the token {expiry_note(qwen, time.time())}"
    found += [_other(name, e.build(settings) is not None, e.needs) for name, e in PROVIDERS.items()]
    return found


def _other(name: str, usable: bool, needs: str) -> dict[str, Any]:
    return {"name": name, "usable": usable, "missing": None if usable else needs}


def _others_text(others: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"  {each['name']}: {'usable' if each['usable'] else 'not usable (set ' + each['missing'] + ')'}"
        f"{', ' + each['note'] if 'note' in each else ''}"
        for each in others
    ]
    return "\n".join(["Other providers", *lines])
