"""What is measured: the upstream itself, the baseline in front of it, and chatmock in front of it."""

from __future__ import annotations

import os
import site
import sys
from contextlib import ExitStack
from pathlib import Path

from .processes import Programs, Server

DIRECT, BASELINE, CHATMOCK = "direct", "baseline", "chatmock"
TARGETS = (DIRECT, BASELINE, CHATMOCK)
LIFE_SECONDS = 900
"""After so long the upstream and the baseline end by themselves."""

ADMITTING = {
    "CHATMOCK_MAX_CONCURRENCY": "4096",
    "CHATMOCK_QUEUE_LIMIT": "4096",
    "CHATMOCK_RATE_LIMIT_RPS": "1000000",
    "CHATMOCK_RATE_LIMIT_BURST": "1000000",
    "CHATMOCK_MAX_MESSAGE_CHARS": "1000000",
    "CHATMOCK_MAX_TOTAL_BYTES": "4000000",
}
"""Admission stays on, with limits that the load does not reach."""


class Stage:
    """Starts servers in a temporary folder; whatever it started ends with it."""

    def __init__(self, folder: Path, programs: Programs, stack: ExitStack) -> None:
        self.folder = folder
        self.programs = programs
        self.stack = stack
        self.started = 0
        (folder / "home").mkdir()
        command = [str(programs.upstream), "0", str(LIFE_SECONDS)]
        self.upstream = self.start("upstream", command, {})
        self.upstream.wait_for_port(r"^(\d+)$")

    def start(self, name: str, command: list[str], settings: dict[str, str]) -> Server:
        """Start a server, without waiting for it."""
        self.started += 1
        log = self.folder / f"{self.started}-{name}.log"
        server = Server(name, command, log, {**self.environment(), **settings})
        self.stack.callback(server.stop)
        return server

    def environment(self) -> dict[str, str]:
        """The environment without settings of this machine's own chatmock, and with an empty home folder."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CHATMOCK_", "CHATGPT_", "CODEX_", "XDG_"))
            and not name.lower().endswith("_proxy")
        }
        home = str(self.folder / "home")
        return {**kept, "HOME": home, "PYTHONUSERBASE": site.getuserbase()}

    def base_url(self) -> str:
        """Where the upstream answers."""
        return f"http://127.0.0.1:{self.upstream.port}/v1"

    def start_baseline(self, translating: bool = False) -> Server:
        """Start the skeleton and wait until it has a port."""
        command = [sys.executable, "-m", "benchmarks.skeleton", "--port", "0", "--upstream", self.base_url()]
        command += ["--seconds", str(LIFE_SECONDS), *(["--translate"] if translating else [])]
        server = self.start(BASELINE, command, {})
        server.wait_for_port(r"Site starting on (\d+)")
        return server

    def start_chatmock(self) -> Server:
        """Start the daemon and wait until it has a port."""
        command = [sys.executable, "-m", "chatmock", "serve", "--provider", "compatible"]
        command += ["--host", "127.0.0.1", "--port", "0"]
        server = self.start(CHATMOCK, command, {**ADMITTING, "CHATMOCK_COMPATIBLE_BASE_URL": self.base_url()})
        server.wait_for_port(r"http://127\.0\.0\.1:(\d+)/v1")
        return server

    def start_fresh(self, target: str) -> Server:
        """Start a proxy that nothing has been asked of yet."""
        return self.start_baseline() if target == BASELINE else self.start_chatmock()


class Targets:
    """The servers that last for the whole run."""

    def __init__(self, stage: Stage, wanted: tuple[str, ...]) -> None:
        self.upstream = stage.upstream
        self.passing = stage.start_baseline() if BASELINE in wanted else None
        self.translating = stage.start_baseline(translating=True) if BASELINE in wanted else None
        self.chatmock = stage.start_chatmock() if CHATMOCK in wanted else None

    def server(self, target: str, translated: bool) -> Server:
        """The server that stands for a target."""
        choices = {
            DIRECT: self.upstream,
            BASELINE: self.translating if translated else self.passing,
            CHATMOCK: self.chatmock,
        }
        server = choices[target]
        assert server is not None, "targets that are not wanted are not asked for"
        return server
