"""The console and the screen of the machine that a login is started on."""

from __future__ import annotations

import os
import stat
import sys
import threading
import webbrowser
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from twisted.internet.defer import Deferred

_MOST_LINE_BYTES: Final = 64 * 1024
_STDIN: Final = 0


def can_type() -> bool:
    """Whether somebody or something may write lines to standard input.

    To be asked before anything is opened, which might get the number of a standard input that is closed.
    """
    if sys.stdin is None:
        return False
    try:
        if os.isatty(_STDIN):
            # Reading would stop a job in the background.
            return os.tcgetpgrp(_STDIN) == os.getpgrp()
        return not stat.S_ISCHR(os.fstat(_STDIN).st_mode)
    except OSError:
        return False


class TypedLines:
    """The lines of standard input, to be iterated over once; ends with the input.

    They are read in a thread of their own, from the descriptor: the lock of ``sys.stdin`` held by a thread that waits
    for input would be fatal to the interpreter when it shuts down.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._lines: deque[str] = deque()
        self._ended = False
        self._waiting: Deferred[None] | None = None
        threading.Thread(target=self._read, name="console", daemon=True).start()

    def __aiter__(self) -> TypedLines:
        return self

    async def __anext__(self) -> str:
        """The next line, once it has been typed."""
        while not self._lines:
            if self._ended:
                raise StopAsyncIteration
            self._waiting = Deferred()
            await self._waiting
        return self._lines.popleft()

    def _read(self) -> None:
        rest = b""
        # The reactor may be gone by the time that something is typed.
        with suppress(OSError, RuntimeError):
            while data := os.read(_STDIN, 4096):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._reactor.callFromThread(self._arrived, line)
                rest = rest if len(rest) <= _MOST_LINE_BYTES else b""
        with suppress(OSError, RuntimeError):
            self._reactor.callFromThread(self._arrived, rest, ended=True)

    def _arrived(self, line: bytes, ended: bool = False) -> None:
        self._lines.append(line.decode(errors="replace"))
        self._ended = ended
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(None)


def browser_opener(environ: Mapping[str, str]) -> Callable[[str], None] | None:
    """Shows a URL in the browser of this machine's screen; None where there is no screen.

    Without one, Python would start a text browser in the middle of the console.
    """
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    if sys.platform not in ("darwin", "win32") and not any(environ.get(name) for name in screens):
        return None

    def show(url: str) -> None:
        with suppress(webbrowser.Error, OSError):
            webbrowser.open(url)

    # A browser may not return before it is closed: nothing waits for it.
    return lambda url: threading.Thread(target=show, args=(url,), name="browser", daemon=True).start()
