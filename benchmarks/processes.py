"""The processes of a benchmark: compiling, starting, reading and ending them, each by its own pid."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: where the modules of the baseline and of chatmock are found."""

SOURCES = Path(__file__).resolve().parent
PR_SET_PDEATHSIG = 1
Event = Callable[[dict[str, Any]], None]


class BenchmarkError(Exception):
    """The benchmark cannot go on; the text says why."""


@dataclass(frozen=True)
class Programs:
    """The compiled C programs."""

    upstream: Path
    load: Path


def compile_programs(folder: Path) -> Programs:
    """Compile the upstream and the load generator into a folder."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchmarkError("no C compiler called `cc` is found (on Debian: apt-get install gcc libc6-dev)")
    for name in ("upstream", "load"):
        source = SOURCES / f"{name}.c"
        command = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(folder / name), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise BenchmarkError(f"{source.name} does not compile:\n{done.stderr}")
    return Programs(folder / "upstream", folder / "load")


def end_with_parent() -> None:
    """Runs in a new process: a runner that is killed outright leaves nothing behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Server:
    """One server process; its output goes to a file, from which the port is read."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        self.port = 0
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - the runner has one thread
            )

    def wait_for_port(self, pattern: str, seconds: float = 20.0) -> int:
        """The port, from the first line that matches; its first group is the number."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.search(pattern, self.log.read_text(errors="replace"), re.MULTILINE)
            if found is not None:
                self.port = int(found[1])
                return self.port
            if self.process.poll() is not None:
                break
            time.sleep(0.002)
        raise BenchmarkError(f"{self.name} does not serve; the end of its output:\n{self.last_words()}")

    def last_words(self) -> str:
        """The last lines of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def stop(self) -> None:
        """End it, at the latest after five seconds."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cpu_seconds(self) -> float:
        """CPU time of the process tree so far, in seconds."""
        return sum(process_cpu(pid) for pid in tree(self.process.pid))

    def resident_kib(self) -> int:
        """Resident memory of the process tree, in KiB."""
        return sum(process_resident(pid) for pid in tree(self.process.pid))


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            stat = read_proc(entry / "stat")
            if stat:
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


def read_proc(path: Path) -> str:
    """A file of /proc; empty when the process has gone meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""


def process_cpu(pid: int) -> float:
    """CPU seconds of a process, ended threads included, as its CPU-time clock counts them in nanoseconds."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        stat = read_proc(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") if stat else 0.0


def process_resident(pid: int) -> int:
    """Resident memory of a process in KiB."""
    found = re.search(r"^VmRSS:\s+(\d+)", read_proc(Path(f"/proc/{pid}/status")), re.MULTILINE)
    return int(found[1]) if found is not None else 0


def run_load(program: Path, arguments: Sequence[str], seconds: int, event: Event) -> dict[str, Any]:
    """Run the load generator to its end, at most so many seconds; the figures it printed.

    ``event`` is called for what it says on the way.
    """
    command = [str(program), *arguments, "--seconds", str(seconds)]
    result: dict[str, Any] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said: dict[str, Any] = json.loads(line)
                if "event" in said:
                    event(said)
                else:
                    result = said
        except BaseException:
            process.kill()
            raise
    if not result:
        raise BenchmarkError(f"the load generator ended without figures (status {process.returncode})")
    return result
