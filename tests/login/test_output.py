"""Every command with an output that is closed, full or not read any more, and without a home folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.login.test_command import alone
from tests.test_starting import environment

ROOT = Path(__file__).parents[2]
COMMANDS = [["info"], ["info", "--json"], ["logout"], ["login", "--no-browser"], ["--help"], ["--version"], ["login", "--help"], ["serve", "--help"]]  # fmt: skip


@contextmanager
def output(kind: str) -> Iterator[int]:
    """A standard output that cannot be written."""
    if kind == "full":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, descriptor = os.pipe()
        os.close(reading)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def run(command: Sequence[str], home: Path, *shell: str, stdout: int | None = None) -> tuple[int, str]:
    """The exit status of ``chatmock`` with *command*, and what it says on standard error."""
    kept = {k: v for k, v in environment().items() if k != "PYTHONUNBUFFERED"}
    ours = {"HOME": str(home), "PYTHONPATH": str(ROOT), "CHATGPT_LOCAL_HOME": str(home / "state")}
    with alone() if "--no-browser" in command else nullcontext():
        ran = subprocess.run(
            [*shell, sys.executable, "-m", "chatmock", *command],
            env={**kept, **ours},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_output_that_nobody_reads_ends_it_quietly(tmp_path: Path, command: list[str]) -> None:
    with output("left") as descriptor:
        assert run(command, tmp_path, stdout=descriptor) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this machine has no /dev/full")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_output_that_is_full_is_told_in_one_line(tmp_path: Path, command: list[str]) -> None:
    with output("full") as descriptor:
        said = run(command, tmp_path, stdout=descriptor)
    assert said == (1, "chatmock: the standard output cannot be written: No space left on device.\n")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_output_that_is_closed_is_told_in_one_line(tmp_path: Path, command: list[str]) -> None:
    said = run(command, tmp_path, "/bin/sh", "-c", 'exec "$@" >&-', "sh")
    assert said == (1, "chatmock: the standard output cannot be written: Bad file descriptor.\n")


def test_faults_that_nobody_can_be_told_have_an_exit_status(tmp_path: Path) -> None:
    assert run(["nonsense"], tmp_path, "/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh") == (2, "")


@pytest.mark.parametrize("seconds", ["abc", "0", "nan"])
def test_a_time_that_makes_no_sense_is_told_to_people(tmp_path: Path, seconds: str) -> None:
    status, said = run(["login", "--timeout", seconds], tmp_path)
    assert status == 2
    assert said == (
        f"chatmock: --timeout={seconds} is not allowed: give a number from 1 to 86400 (seconds)\n"
    )


@pytest.mark.parametrize(("command", "status"), [("serve", 1), ("login", 1), ("logout", 1), ("info", 2)])
def test_a_home_folder_that_nobody_knows_is_told_in_one_line(
    tmp_path: Path, command: str, status: int
) -> None:
    home = "~nobody-knows-me/state"
    ran, said = run([command], tmp_path, "/usr/bin/env", f"CHATGPT_LOCAL_HOME={home}", "CHATMOCK_PORT=0")
    *logged, line = said.splitlines()
    assert ran == status
    assert line.startswith(f"chatmock: {home} is not known")
    assert "CHATGPT_LOCAL_HOME" in line
    assert "Traceback" not in "".join(logged)
    assert list(tmp_path.glob("~*")) == []
