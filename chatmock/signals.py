"""SIGHUP: who wants to know of it is told, on the reactor.

Neither Twisted nor twistd handles it, so by default it kills the daemon without a word to its streams. It is asked
for by ``systemctl reload`` and ``kill -HUP``, and then means: look at your files again. It also comes when the
terminal of a daemon in the foreground is closed, and then means what it says.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

Callback = Callable[[], object]


class _Hangup:
    """The process's one handler, in place while somebody is registered."""

    log = Logger()

    def __init__(self) -> None:
        self._wanted: dict[object, tuple[Any, Callback]] = {}
        self._before: Any = None
        self._terminal: int | None = None

    def add(self, reactor: Any, callback: Callback) -> Callable[[], None]:
        if not self._wanted:
            self._install()
        key = object()
        self._wanted[key] = (reactor, callback)

        def remove() -> None:
            if self._wanted.pop(key, None) is not None and not self._wanted:
                self._restore()

        return remove

    def _install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # where Python allows no handlers
        self._before = signal.signal(signal.SIGHUP, self._received)
        # Under nohup the signal is ignored, which says that the terminal's end is not to be the daemon's.
        self._terminal = None if self._before == signal.SIG_IGN else _terminal()

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGHUP, self._before)
            self._before = None

    def _received(self, number: int, frame: object) -> None:
        # Runs between any two steps of the program: nothing is done here but noting what is to be done.
        gone = self._terminal is not None and not _is_there(self._terminal)
        for reactor, callback in list(self._wanted.values()):
            reactor.callFromThread(self._tell, _stopping(reactor) if gone else callback)

    def _tell(self, callback: Callback) -> None:
        try:
            callback()
        except Exception:  # noqa: BLE001  # one that fails must not keep the others from being told
            self.log.failure("SIGHUP was not handled")


def _stopping(reactor: Any) -> Callback:
    def stop() -> None:
        with suppress(ReactorNotRunning):  # it is stopping already
            reactor.stop()

    return stop


def _terminal() -> int | None:
    """The terminal that the daemon was started in, if it was in one."""
    if sys.stdin is None:
        return None
    try:
        descriptor = sys.stdin.fileno()
        return descriptor if os.isatty(descriptor) else None
    except (OSError, ValueError):
        return None


def _is_there(terminal: int) -> bool:
    """Whether *terminal* is still connected: of one that is gone nothing can be asked."""
    try:
        return os.isatty(terminal)
    except OSError:
        return False


_hangup = _Hangup()


def on_hangup(reactor: Any, callback: Callback) -> Callable[[], None]:
    """Call *callback* on *reactor* at each SIGHUP, until the function that is returned is called.

    Callbacks are called in the order of their registration; one that raises is logged. To be used from the main
    thread, the only one that Python lets handle signals; elsewhere nothing is handled. When the terminal that the
    daemon runs in has gone, the reactor is stopped instead.
    """
    return _hangup.add(reactor, callback)
