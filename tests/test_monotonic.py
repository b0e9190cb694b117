"""Time: a step of the wall clock does not touch the daemon's timers (spec security.md, P58)."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.base import ReactorBase

from chatmock.monotonic import use_monotonic_time
from tests.test_starting import BIN, MODULE, ROOT, SECONDS, WITHOUT_PIDFILE, running

PACKAGE = ROOT / "chatmock"


class Silent(ReactorBase):
    """A reactor that waits for nothing."""

    def installWaker(self) -> None:
        pass

    def removeAll(self) -> list[Any]:
        return []


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clocks say: the wall's and the monotonic one."""
    now = [1_700_000_000.0, 50.0]
    monkeypatch.setattr(ReactorBase, "seconds", staticmethod(lambda: now[0]))
    monkeypatch.setattr(time, "monotonic", lambda: now[1])
    return now


def test_the_tests_own_reactor_has_it() -> None:
    assert reactor.seconds is time.monotonic


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_step_neither_freezes_nor_fires(wall: list[float], step: float) -> None:
    silent = Silent()
    fired: list[str] = []
    use_monotonic_time(silent)
    silent.callLater(3, fired.append, "late")
    wall[0] += step
    wall[1] += 2.9
    silent.runUntilCurrent()
    assert fired == []
    wall[1] += 0.2
    silent.runUntilCurrent()
    assert fired == ["late"]


def test_without_it_a_step_freezes(wall: list[float]) -> None:
    silent = Silent()
    fired: list[str] = []
    silent.callLater(3, fired.append, "late")
    wall[0] += 3.1 - 3600
    wall[1] += 3.1
    silent.runUntilCurrent()
    assert fired == []


def test_timers_that_are_set_already_keep_their_distance(wall: list[float]) -> None:
    silent = Silent()
    fired: list[str] = []
    silent.callLater(3, fired.append, "first")
    pushed = silent.callLater(1, fired.append, "second")
    use_monotonic_time(silent)
    use_monotonic_time(silent)
    pushed.reset(5)
    for expected in ([], ["first"], ["first", "second"]):
        wall[1] += 2.0
        silent.runUntilCurrent()
        assert fired == expected


def test_wall_clock_time_is_named_where_it_is_meant() -> None:
    """Dates of tokens, of certificates, of files and of answers are calendar time; nothing else of ours is."""
    known = {
        "chatgpt_account.py", "identities.py", "info_command.py", "kept_answers/live.py", "keys/command.py",
        "keys/live.py", "login/command.py", "qwen_account.py",
        "routes.py", "service.py", "state_files.py", "tls/command.py",
    }  # fmt: skip
    marks = ("time.time", "datetime.now", "dt.datetime.now", "utcnow(")
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path.name != "monotonic.py" and any(mark in path.read_text() for mark in marks)
    }
    assert found - known == set()


@pytest.mark.parametrize(
    "command",
    [
        pytest.param((*MODULE, "serve"), id="module"),
        pytest.param((str(BIN / "twistd"), WITHOUT_PIDFILE, "-n", "chatmock"), id="twistd"),
    ],
)
@pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed")
def test_a_step_of_the_systems_clock_in_a_running_daemon(command: tuple[str, ...], tmp_path: Path) -> None:
    step, told = tmp_path / "step", tmp_path / "told"
    step.write_text("+0")
    (tmp_path / "sitecustomize.py").write_text(_TIMER)
    found = subprocess.run(["faketime", "-f", "+0", "env"], capture_output=True, text=True, check=True)
    preload = next(line for line in found.stdout.splitlines() if line.startswith("LD_PRELOAD="))
    faked = {
        "LD_PRELOAD": preload.partition("=")[2],
        "FAKETIME_TIMESTAMP_FILE": str(step),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "TOLD": str(told),
    }
    with running(command, tmp_path, CHATMOCK_PORT="0", **faked):
        _wait_for(told, 1)
        step.write_text("-3600")
        before = len(told.read_text().splitlines())
        _wait_for(told, before + 4)
        walls = [float(line) for line in told.read_text().splitlines()]
    assert walls[-1] < walls[0] - 3000, "the clock was not stepped"


def _wait_for(told: Path, lines: int) -> None:
    until = time.monotonic() + SECONDS
    while not told.exists() or len(told.read_text().splitlines()) < lines:
        assert time.monotonic() < until, "a timer did not fire"
        time.sleep(0.05)


_TIMER = """
import os, sys, time

def beat(reactor):
    with open(os.environ["TOLD"], "a") as file:
        print(time.time(), file=file)
    reactor.callLater(0.2, beat, reactor)

class Late:
    def find_spec(self, name, path=None, target=None):
        if name == "chatmock.service" and "twisted.internet.reactor" in sys.modules:
            sys.meta_path.remove(self)
            from twisted.internet import reactor
            reactor.callWhenRunning(beat, reactor)

sys.meta_path.insert(0, Late())
"""
