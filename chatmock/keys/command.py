"""``chatmock keys``: give clients keys of their own, see them, and take them back."""

# mypy: allow-untyped-calls
# The methods of usage.Options are inherited without annotations.

from __future__ import annotations

import datetime as dt
import getopt
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from twisted.python import usage

from chatmock import jsontext
from chatmock.admission.client import Key
from chatmock.durations import LATEST
from chatmock.keys.database import KEYS_FILE, KeysFailed
from chatmock.keys.entries import PRIORITIES, Entry, digest_of, name_fault, new_token
from chatmock.keys.report import as_text, as_values
from chatmock.keys.store import KeyStore
from chatmock.options import ServeOptions
from chatmock.settings.values import Choice, Kind, Whole, shown
from chatmock.state_files import state_folder

Tell = Callable[[str], None]
_DAY: Final = 86400.0
_MOST_DAYS: Final = 36500
_GLOB: Final = re.compile(r"[!-+\--~]{1,200}")
"""Visible ASCII without commas."""


def _option(flag: str, kind: Kind[Any]) -> Callable[[str], Any]:
    """Reads the value of *flag*."""

    def read(text: str) -> Any:
        try:
            return kind.read(text)
        except ValueError:
            raise usage.UsageError(f"--{flag}={shown(text)} is not allowed: give {kind.allowed}") from None

    return read


class _Options(usage.Options):
    """Options whose help starts with their own synopsis, not with all of those above them."""

    synopsis: ClassVar[str]

    def getSynopsis(self) -> str:
        """The synopsis."""
        return self.synopsis


class AddOptions(_Options):
    """``chatmock keys add``."""

    synopsis = "Usage: chatmock keys add NAME [options]"
    optFlags: ClassVar = [["admin", None, "The key may also change the daemon."]]
    optParameters: ClassVar = [
        ["rpm", None, None, "Requests a minute at most.", _option("rpm", Whole(1, 1_000_000))],
        [
            "concurrency",
            None,
            None,
            "Requests answered at the same time at most.",
            _option("concurrency", Whole(1, 10_000)),
        ],
        [
            "priority",
            None,
            "normal",
            "Whose requests go first: low, normal or high.",
            _option("priority", Choice(tuple(PRIORITIES))),
        ],
        [
            "expires",
            None,
            "never",
            "When the key ends: after some days (30d), with a day (2027-01-31), or never.",
        ],
    ]
    longdesc = (
        "Makes a key for a client, device or person, and prints it: this once, for only a digest of it is kept. Clients"
        " send it as their API key. A running daemon takes it within a second."
    )

    def __init__(self) -> None:
        super().__init__()
        self["models"] = ()

    def opt_models(self, patterns: str) -> None:
        """Models that it may name, such as 'qwen*'; several with commas or repeated (default: all)."""
        found = tuple(patterns.split(","))
        for pattern in found:
            if not _GLOB.fullmatch(pattern):
                raise usage.UsageError(
                    f"--models={shown(patterns)} is not allowed: give patterns such as 'qwen*', without white space,"
                    " separated by commas"
                )
        self["models"] = (*self["models"], *found)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Take the name before the options too, where people write it."""
        super().parseOptions(None if options is None else _options_first(self, options))

    def parseArgs(self, *names: str) -> None:
        """Take one name."""
        self["name"] = _one_name("add", names)
        if fault := name_fault(self["name"]):
            raise usage.UsageError(f"a key cannot be called {shown(self['name'])}: {fault}")


class ListOptions(_Options):
    """``chatmock keys list``."""

    synopsis = "Usage: chatmock keys list [--json]"
    optFlags: ClassVar = [["json", None, "Print JSON."]]
    longdesc = (
        "Shows all client keys, the revoked ones too; never the keys themselves, which nobody knows any more."
    )


class RevokeOptions(_Options):
    """``chatmock keys revoke``."""

    synopsis = "Usage: chatmock keys revoke NAME"
    longdesc = "Ends a client key. A running daemon refuses it within a second. Its name may be given again."

    def parseArgs(self, *names: str) -> None:
        """Take one name."""
        self["name"] = _one_name("revoke", names)


class KeysOptions(_Options):
    """``chatmock keys``."""

    synopsis = "Usage: chatmock keys COMMAND [options]"
    subCommands: ClassVar = [
        ["add", None, AddOptions, "Make a key, and print it."],
        ["list", None, ListOptions, "Show the keys there are."],
        ["revoke", None, RevokeOptions, "End a key."],
    ]
    longdesc = (
        "Keys for clients, beside the one CHATMOCK_ACCESS_TOKEN. They are kept in the folder CHATGPT_LOCAL_HOME, by"
        " default ~/.chatgpt-local."
    )

    def postOptions(self) -> None:
        """A command must be named."""
        if self.subCommand is None:
            raise usage.UsageError("name what to do with keys, such as: chatmock keys list")


def keys(options: KeysOptions, environ: Mapping[str, str], out: Tell, complain: Tell) -> int:
    """Run ``chatmock keys``; returns the exit status, 1 for what cannot be done.

    :param out: standard output: is given the key alone, or the list, without a line end.
    :param complain: standard error: is given what people should know besides, as one line.
    :raises usage.UsageError: when a setting has a value that is not allowed.
    :raises SettingError: when nobody knows the home folder that the state folder is in.
    """
    settings = ServeOptions().settings(environ)
    store = KeyStore(state_folder(settings.home) / KEYS_FILE)
    wishes: Any = options.subOptions
    try:
        if options.subCommand == "add":
            _add(store, wishes, out, complain)
        elif options.subCommand == "list":
            _list(store, wishes, out)
        else:
            _revoke(store, wishes["name"], out)
    except KeysFailed as failed:
        complain(str(failed))
        return 1
    return 0


def _add(store: KeyStore, wishes: AddOptions, out: Tell, complain: Tell) -> None:
    now = time.time()
    key = Key(
        wishes["name"],
        wishes["rpm"],
        wishes["concurrency"],
        wishes["models"],
        PRIORITIES[wishes["priority"]],
        bool(wishes["admin"]),
    )
    token = new_token(os.urandom)
    entry = Entry(key, digest_of(token.reveal().encode()), now, expiry(wishes["expires"], now))
    store.add(entry)
    try:
        out(token.reveal())
    except BaseException:
        store.take_back(entry)  # nobody has seen it, and nobody ever will
        raise
    until = "" if entry.expires is None else f" It ends at {_local(entry.expires)}."
    complain(f"this is the key of {key.name}; it is not shown again. A running daemon takes it now.{until}")


def _list(store: KeyStore, wishes: ListOptions, out: Tell) -> None:
    entries, now = store.entries(), time.time()
    if wishes["json"]:
        out(jsontext.indented(jsontext.dumps(as_values(entries, now))).decode())
    else:
        out(as_text(entries, now, _local))


def _revoke(store: KeyStore, name: str, out: Tell) -> None:
    if store.revoke(name, time.time()):
        out(f"The key of {name} is revoked. A running daemon refuses it from now on.")
        return
    raise KeysFailed(f"There is no key called {shown(name)} to revoke. See: chatmock keys list")


def expiry(text: str, now: float) -> float | None:
    """When a key ends, in Unix seconds; None for never.

    :param text: ``30d`` for so many days from *now*, a date for the end of that day here, or ``never``.
    :raises usage.UsageError: when it is nothing of this, or past.
    """
    at: float | None = None
    if text == "never":
        return None
    if re.fullmatch(r"[0-9]{1,5}d", text):
        at = now + min(int(text[:-1]), _MOST_DAYS) * _DAY
    elif re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            day = dt.date.fromisoformat(text)
            # Midnight as the clock on the wall shows it: days have 23 or 25 hours twice a year.
            at = dt.datetime.combine(day + dt.timedelta(days=1), dt.time()).astimezone().timestamp()
        except (ValueError, OverflowError):
            at = None
    if at is None or not now < at <= LATEST:
        raise usage.UsageError(
            f"--expires={shown(text)} is not allowed: give a number of days (30d), a day to come before 2100"
            " (2027-01-31), or never"
        )
    return at


def _local(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def _one_name(command: str, names: Sequence[str]) -> str:
    if len(names) != 1:
        raise usage.UsageError(f"give one name, such as: chatmock keys {command} laptop")
    return names[0]


def _options_first(options: usage.Options, arguments: Sequence[str]) -> Sequence[str]:
    """*arguments* with the options before the names.

    :raises usage.UsageError: when there is no such option, or its value is missing.
    """
    if "--_shell-completion" in arguments:  # from a shell, in the middle of the line
        return arguments
    try:
        found, names = getopt.gnu_getopt(arguments, options.shortOpt, options.longOpt)
    except getopt.GetoptError as error:
        raise usage.UsageError(str(error)) from None
    return [
        *(f"{flag}={value}" if f"{flag[2:]}=" in options.longOpt else flag for flag, value in found),
        "--",
        *names,
    ]
