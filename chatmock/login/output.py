"""What a command tells at the console: standard output that may be closed or full, and standard error."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import TextIO


class OutputFailed(Exception):
    """Standard output cannot be written; the message says why, as one line."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"the standard output cannot be written: {error.strerror or type(error).__name__}.")
        self.left = isinstance(error, BrokenPipeError)
        """Whether who reads it has gone, which is no fault."""


def check_output() -> None:
    """See that there is a standard output.

    :raises OutputFailed: when chatmock was started with it closed.
    """
    if sys.stdout is None:
        raise OutputFailed(OSError(errno.EBADF, os.strerror(errno.EBADF)))


def say(text: str) -> None:
    """Write *text* and a line end to standard output, at once.

    :raises OutputFailed: when that cannot be done.
    """
    check_output()
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        _discard(sys.stdout)
        raise OutputFailed(error) from None


def complain(text: str) -> None:
    """Write *text*, what failed, as a line to standard error; where that cannot be done there is nobody to tell."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"chatmock: {text}\n")
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Let the interpreter's end write into the void what *stream* still holds: a fault there would be told again."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
