"""The ``chatmock`` command."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any, ClassVar, Final

from twisted.python import usage

from chatmock import __version__
from chatmock.heal_command import HealOptions, heal
from chatmock.info_command import InfoOptions, info
from chatmock.keys.command import KeysOptions, keys
from chatmock.login.command import LoginOptions, LogoutOptions, login, logout
from chatmock.login.output import OutputFailed, complain, say
from chatmock.options import ServeOptions
from chatmock.settings import SettingError
from chatmock.tls.command import TLSOptions, tls

READER_LEFT: Final = 141
"""The exit status when who reads the output has gone: that of a program which SIGPIPE has ended."""


class CommandOptions(usage.Options):
    """``chatmock COMMAND``."""

    synopsis = "Usage: chatmock [--version] COMMAND [options]"
    subCommands: ClassVar = [
        ["serve", None, ServeOptions, "Run the daemon in the foreground."],
        ["login", None, LoginOptions, "Log in to ChatGPT."],
        ["logout", None, LogoutOptions, "Delete the ChatGPT login."],
        ["info", None, InfoOptions, "Tell who is logged in, and what is left of the plan."],
        ["heal", None, HealOptions, "Have providers asked again that were left alone because they refused."],
        ["tls", None, TLSOptions, "Make certificates for this machine."],
        ["keys", None, KeysOptions, "Give clients keys of their own."],
    ]

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"chatmock {__version__}")
        raise SystemExit(0)

    def postOptions(self) -> None:
        """A command must be named."""
        if self.subCommand is None:
            raise usage.UsageError("name a command, such as: chatmock serve")


def main(arguments: Sequence[str]) -> int:
    """Run the command line *arguments* (without the program's name); returns the exit status.

    That is 2 for arguments and settings that are not allowed, and 1 for an output that cannot be written, unless
    nobody reads it any more.
    """
    try:
        options = _parsed(arguments)
        return _COMMANDS[options.subCommand or ""](options.subOptions)
    except (usage.UsageError, SettingError) as error:
        complain(str(error))
        return 2
    except OutputFailed as failed:
        if failed.left:
            return READER_LEFT
        complain(str(failed))
        return 1


def _parsed(arguments: Sequence[str]) -> CommandOptions:
    options, printed = CommandOptions(), io.StringIO()
    try:
        with redirect_stdout(printed):
            options.parseOptions(list(arguments))
    except SystemExit:  # --help and --version have printed
        say(printed.getvalue().removesuffix("\n"))
        raise
    return options


def _serve(options: ServeOptions) -> int:
    settings = options.settings(os.environ)
    # The reactor is chosen by its import: not before the arguments are known to be good.
    from chatmock.running import run

    return run(settings)


_COMMANDS: Mapping[str, Callable[[Any], int]] = {
    "serve": _serve,
    "login": lambda options: login(options, os.environ),
    "logout": lambda options: logout(options, os.environ),
    "info": lambda options: info(options, os.environ, say),
    "heal": lambda options: heal(options, os.environ, say, complain),
    "tls": lambda options: tls(options, os.environ, say, complain),
    "keys": lambda options: keys(options, os.environ, say, complain),
}


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))
