"""What the judges share: a daemon as a process of its own, other processes that end with their block, and a table."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[3]
START_SECONDS = 20.0
_LINE = re.compile(r"\[chatmock\.access#info\] (\S+) (\S+) (\S+) (\d{3}) \d+ bytes (\S+) ")

GOOD = "good"
FAULT = "FAULT"
SKIPPED = "skipped"


@attrs.frozen
class Row:
    """One finding of a judge."""

    what: str
    verdict: str
    detail: str


def good_if(fine: bool, what: str, detail: str) -> Row:
    """A row that is good when all is *fine*, else a fault."""
    return Row(what, GOOD if fine else FAULT, detail)


def skipped(what: str, *missing: str) -> Row:
    """A row for a judge whose programs are not there."""
    return Row(what, SKIPPED, f"not installed: {', '.join(missing)}")


def report(rows: Iterable[Row]) -> int:
    """Print *rows* as they come; the exit code: 1 when one is a fault."""
    code = 0
    for row in rows:
        print(f"{row.verdict:8}{row.what:42} {row.detail}", flush=True)
        code = code or int(row.verdict == FAULT)
    return code


def program(name: str) -> str | None:
    """Where *name* is; servers often lie where only root's PATH leads, tools in a virtual environment beside Python."""
    places = [os.environ.get("PATH", ""), "/usr/sbin", str(Path(sys.executable).parent)]
    return shutil.which(name, path=os.pathsep.join(places))


def version(command: Sequence[str], pattern: str = r"\d+\.\d+[\w.-]*") -> str:
    """The first thing that looks like a version in what *command* prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[0] if found else "?"


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind((host, 0))
        port: int = listening.getsockname()[1]
        return port


def wait_for_port(port: int, host: str = "127.0.0.1") -> None:
    """Until somebody listens there."""
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def process(
    command: Sequence[str], log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """*command* while the block runs; what it prints is in *log*."""
    with log.open("wb") as output:
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, cwd=cwd
        )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextmanager
def folder() -> Iterator[Path]:
    """A folder while the block runs."""
    with tempfile.TemporaryDirectory(prefix="chatmock-judges-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@attrs.frozen
class Seen:
    """A line of the daemon's access log."""

    client: str
    method: str
    path: str
    status: int
    request_id: str


@attrs.frozen
class Daemon:
    """A running chatmock."""

    port: int
    home: Path
    log: Path
    pid: int

    def seen(self) -> list[Seen]:
        """The requests it has logged."""
        found = _LINE.findall(self.log.read_text(errors="replace"))
        return [Seen(client, method, path, int(status), name) for client, method, path, status, name in found]

    def tracebacks(self) -> int:
        """How many it has logged."""
        return self.log.read_text(errors="replace").count("Traceback (most recent call last)")


def environment(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """That of a daemon: nobody's logins and settings, but *settings*."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    many = {"CHATMOCK_RATE_LIMIT_RPS": "100000", "CHATMOCK_RATE_LIMIT_BURST": "100000"}
    return {**kept, **many, "HOME": str(home), "PYTHONPATH": str(ROOT), **settings}


def chatmock(home: Path, *words: str) -> None:
    """Run a command of chatmock to its end.

    :raises subprocess.CalledProcessError: when it fails.
    """
    subprocess.run(
        [sys.executable, "-m", "chatmock", *words],
        env=environment(home, {}),
        cwd=home,
        capture_output=True,
        timeout=60,
        check=True,
    )


@contextmanager
def daemon(home: Path, *options: str, provider: str = "demo", **settings: str) -> Iterator[Daemon]:
    """A daemon while the block runs, with the *options* of ``chatmock serve`` and *settings* in its environment."""
    port = free_port()
    command = [sys.executable, "-m", "chatmock", "serve", "--provider", provider, "--port", str(port)]
    log = home / "daemon.log"
    with process([*command, *options], log, environment(home, settings), home) as started:
        try:
            wait_for_port(port)
        except OSError as error:
            raise RuntimeError(log.read_text()) from error
        yield Daemon(port, home, log, started.pid)
