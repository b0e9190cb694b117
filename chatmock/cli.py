"""The ``chatmock`` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from twisted.python import usage

from chatmock import __version__
from chatmock.info_command import InfoOptions, info
from chatmock.login.command import LoginOptions, LogoutOptions, login, logout
from chatmock.options import ServeOptions


class CommandOptions(usage.Options):
    """``chatmock COMMAND``."""

    synopsis = "Usage: chatmock [--version] COMMAND [options]"
    subCommands: ClassVar = [
        ["serve", None, ServeOptions, "Run the daemon in the foreground."],
        ["login", None, LoginOptions, "Log in to ChatGPT."],
        ["logout", None, LogoutOptions, "Delete the ChatGPT login."],
        ["info", None, InfoOptions, "Tell who is logged in, and what is left of the plan."],
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
    """Run the command line *arguments* (without the program's name); returns the exit status."""
    options = CommandOptions()
    try:
        options.parseOptions(list(arguments))
        return _COMMANDS[options.subCommand or ""](options.subOptions)
    except usage.UsageError as error:
        print(f"chatmock: {error}", file=sys.stderr)
        return 2


def _serve(options: ServeOptions) -> int:
    settings = options.settings(os.environ)
    # The reactor is chosen by its import: not before the arguments are known to be good.
    from chatmock.running import run

    return run(settings)


_COMMANDS: Mapping[str, Callable[[Any], int]] = {
    "serve": _serve,
    "login": lambda options: login(options, os.environ),
    "logout": lambda options: logout(options, os.environ),
    "info": lambda options: info(options, os.environ, print),
}


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))
