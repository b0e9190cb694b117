"""The ``chatmock`` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import ClassVar

from twisted.python import usage

from chatmock import __version__
from chatmock.options import ServeOptions


class CommandOptions(usage.Options):
    """``chatmock COMMAND``."""

    synopsis = "Usage: chatmock [--version] COMMAND [options]"
    subCommands: ClassVar = [["serve", None, ServeOptions, "Run the daemon in the foreground."]]

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
        serve: ServeOptions = options.subOptions
        settings = serve.settings(os.environ)
    except usage.UsageError as error:
        print(f"chatmock: {error}", file=sys.stderr)
        return 2
    # The reactor is chosen by its import: not before the arguments are known to be good.
    from chatmock.running import run

    return run(settings)


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))
