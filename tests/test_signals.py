"""SIGHUP: everybody who registered is told, nobody is killed, and a terminal that is gone ends the daemon."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from chatmock.chatgpt_account import ChatGPTAccount
from chatmock.service import make_service
from chatmock.settings import Settings
from chatmock.signals import on_hangup
from tests.conftest import settle, until
from tests.test_starting import MODULE, SECONDS, environment


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


@pytest.fixture
def handler() -> Iterator[Any]:
    """What handled SIGHUP before the test, and must again after it."""
    before = signal.getsignal(signal.SIGHUP)
    yield before
    assert signal.getsignal(signal.SIGHUP) == before


async def test_all_are_told_in_order(handler: Any) -> None:
    told: list[int] = []
    removals = [on_hangup(reactor, lambda n=n: told.append(n)) for n in range(3)]  # type: ignore[misc]
    hang_up()
    assert told == []  # not in the middle of something else
    await until(lambda: len(told) == 3)
    removals[1]()
    removals[1]()
    hang_up()
    await until(lambda: len(told) == 5)
    assert told == [0, 1, 2, 0, 2]
    for remove in removals:
        remove()
    assert signal.getsignal(signal.SIGHUP) == handler


async def test_one_that_fails_keeps_nobody_from_being_told(handler: Any, logged_faults: list[Any]) -> None:
    told: list[int] = []

    def fail() -> None:
        raise ZeroDivisionError

    removals = [on_hangup(reactor, fail), on_hangup(reactor, lambda: told.append(1))]
    hang_up()
    await until(lambda: told == [1])
    for remove in removals:
        remove()
    assert len(logged_faults) == 1
    assert "ZeroDivisionError" in logged_faults.pop()


def test_elsewhere_than_in_the_main_thread_nothing_is_handled(handler: Any) -> None:
    def register() -> None:
        on_hangup(reactor, lambda: None)()

    thread = threading.Thread(target=register)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGHUP) == handler


async def test_a_daemon_that_waits_for_its_end_is_not_killed(
    handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    refreshed: Deferred[None] = Deferred()
    stop = ChatGPTAccount.stop

    async def stop_late(self: ChatGPTAccount) -> None:
        await refreshed  # as for a login's new tokens, which would be lost if the process ended now
        await stop(self)

    monkeypatch.setattr(ChatGPTAccount, "stop", stop_late)
    service = make_service(Settings(port=0), reactor, lambda _: None)
    service.startService()
    stopped = service.stopService()
    try:
        await settle()
        assert signal.getsignal(signal.SIGHUP) not in (handler, signal.SIG_DFL)
        hang_up()
        await settle()
        assert not stopped.called
    finally:
        refreshed.callback(None)
        await stopped
    assert signal.getsignal(signal.SIGHUP) == handler


def serve(tmp_path: Path, terminal: int, *before: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*before, *MODULE, "serve", "--port", "0"],
        cwd=tmp_path,
        env=environment(HOME=str(tmp_path)),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def read_banner(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert b"listens on" in process.stdout.readline()


def test_a_terminal_that_is_closed_ends_the_daemon(tmp_path: Path) -> None:
    outside, inside = pty.openpty()
    process = serve(tmp_path, inside)
    os.close(inside)
    try:
        read_banner(process)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)  # while the terminal is there it is a wish to reload
        os.close(outside)
        process.send_signal(signal.SIGHUP)
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.communicate()


def test_under_nohup_it_goes_on(tmp_path: Path) -> None:
    outside, inside = pty.openpty()
    process = serve(tmp_path, inside, sys.executable, "-c", _NOHUP)
    os.close(inside)
    try:
        read_banner(process)
        os.close(outside)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.communicate()


_NOHUP = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
