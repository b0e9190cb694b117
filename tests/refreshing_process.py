"""Refreshes a login in processes that are killed: one child for each line on standard input, forked from what is
imported already, since starting Python for each would take most of the time.

``python -m tests.refreshing_process FILE ISSUER``. A line is the number of seconds after which the child is killed, or
``-`` for one that may finish. The answer is ``killed``, or the status that the child ended with: see `Status`.
"""

from __future__ import annotations

import enum
import os
import signal
import sys
import time
from pathlib import Path

import twisted.internet.default  # noqa: F401  # the reactor's module, which is not installed before the fork
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from chatmock.credentials import LoginCredentials
from chatmock.errors import Kind, Refusal
from chatmock.login_files import LoginFiles
from chatmock.upstream import UpstreamClient
from tests.upstreams.openai_issuer import CLIENT


class Status(enum.IntEnum):
    """How a child ended by itself."""

    REFRESHED = 10
    LOGIN_NEEDED = 11
    """401, with the word to log in."""
    REFUSED = 12
    """Some other refusal."""
    BROKEN = 13


async def refresh(path: Path, issuer: str) -> Status:
    """One refresh that nobody but the backend's word asks for."""
    from twisted.internet import reactor

    client = UpstreamClient(reactor, 5, 5, 2)
    credentials = LoginCredentials(
        LoginFiles(path), issuer, CLIENT, client, reactor, time.time, deferToThread
    )
    try:
        refused = await credentials.current()
        renewed = await credentials.renewed(refused)
    except Refusal as refusal:
        if refusal.kind is Kind.UNAUTHENTICATED and "run: chatmock login" in refusal.message:
            return Status.LOGIN_NEEDED
        return Status.REFUSED
    return Status.REFRESHED if renewed not in (None, refused) else Status.BROKEN


def child(path: Path, issuer: str) -> None:
    """Refresh, and end."""
    from twisted.internet import reactor

    def started() -> None:
        running = Deferred.fromCoroutine(refresh(path, issuer))
        running.addCallbacks(os._exit, lambda failure: (failure.printTraceback(), os._exit(Status.BROKEN)))

    reactor.callWhenRunning(started)
    reactor.run()


def tried(path: Path, issuer: str, line: str) -> str:
    """Let one child try."""
    assert "twisted.internet.reactor" not in sys.modules, "children would share it"
    pid = os.fork()
    if not pid:
        try:
            child(path, issuer)
        finally:
            os._exit(Status.BROKEN)
    if line != "-":
        time.sleep(float(line))
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return "killed" if os.WIFSIGNALED(status) else Status(os.WEXITSTATUS(status)).name


def main() -> None:
    """Let a child try for each line."""
    path, issuer = Path(sys.argv[1]), sys.argv[2]
    for line in sys.stdin:
        print(tried(path, issuer, line.strip()), flush=True)


if __name__ == "__main__":
    main()
