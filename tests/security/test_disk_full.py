"""A full disk: serving goes on, the log drops lines and counts them, the login stays whole and its successor is not lost
(spec security.md, P34, P59).

The limit of a file's size stands in for the disk: the daemon's own cannot be filled here. What it may write is no more
than that, to any file; a pipe is none.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import pytest
from twisted.internet.threads import deferToThread
from twisted.logger import LogEvent, globalLogPublisher

from chatmock.logs import LossyObserver
from tests.conftest import write_login
from tests.test_starting import ADDRESS, ROOT, SECONDS, environment, fetch
from tests.upstreams.chatgpt_backend import ChatGPTBackend, Script
from tests.upstreams.openai_issuer import OpenAIIssuer

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the limit of a running process is changed by prlimit"
)

SMALL = 500
"""Bytes; a login takes more."""
LOG = 4000
"""Bytes, enough for what a start logs."""
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
if sys.argv[1] == "serve":
    from chatmock.cli import main
    sys.exit(main(sys.argv[1:]))
else:
    from twisted.scripts.twistd import run
    run()
"""
COMMANDS = [
    pytest.param(("serve",), id="serve"),
    pytest.param(("-n", "--pidfile=", "chatmock"), id="twistd"),
]


def started(most: int, command: Sequence[str], cwd: Path, out: Any, **more: str) -> subprocess.Popen[str]:
    """A daemon that may write files of *most* bytes, which says to *out* what it says."""
    return subprocess.Popen(
        [sys.executable, "-c", LIMITED, str(most), *command],
        cwd=cwd,
        env=environment(HOME=str(cwd), PYTHONPATH=str(ROOT), CHATMOCK_PORT="0", **more),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        text=True,
    )


def make_room(process: subprocess.Popen[str]) -> None:
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def url_in(log: Path) -> str:
    until = time.monotonic() + SECONDS
    while not (found := ADDRESS.search(log.read_text())):
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)
    return found[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_log_that_is_full_drops_lines(command: Sequence[str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as out:
        process = started(LOG, command, tmp_path, out)
    try:
        url = url_in(log)
        for _ in range(100):
            assert fetch(f"{url}/health") == {"status": "ok"}
        assert log.stat().st_size <= LOG
        make_room(process)
        for _ in range(3):
            fetch(f"{url}/health")
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
    said = log.read_text()
    assert "Main loop terminated." in said, "it is written again"
    assert "Traceback" not in said
    if command == ("serve",):
        lost = [
            int(number) for number in re.findall(r"(\d+) lines before this one could not be written", said)
        ]
        assert 20 < sum(lost) <= 105


@pytest.mark.parametrize("command", COMMANDS)
def test_it_starts_and_serves_with_a_log_that_takes_nothing(command: Sequence[str], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        probe = subprocess.run(
            [
                sys.executable,
                "-c",
                "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1])",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        port = probe.stdout.strip()
        process = started(10**9, [*command, "--port", port], tmp_path, full)
    try:
        until = time.monotonic() + SECONDS
        while True:
            try:
                assert fetch(f"http://127.0.0.1:{port}/health") == {"status": "ok"}
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
    finally:
        process.kill()
        process.wait()


def test_lines_that_are_lost_are_counted() -> None:
    said: list[LogEvent] = []
    full = True

    def write(event: LogEvent) -> None:
        if full:
            raise OSError(28, "No space left on device")
        said.append(event)

    observer = LossyObserver(write)
    for number in range(3):
        observer({"number": number})
    assert (said, observer.lost) == ([], 3)
    full = False
    told: list[str] = []

    def tell(event: LogEvent) -> None:
        told.append(str(event.get("lost")))

    globalLogPublisher.addObserver(tell)
    try:
        observer({"number": 3})
        observer({"number": 4})
    finally:
        globalLogPublisher.removeObserver(tell)
    assert [event["number"] for event in said] == [3, 4]
    assert told == ["3"]


def _follow(output: IO[str], lines: list[str]) -> threading.Thread:
    thread = threading.Thread(target=lambda: lines.extend(iter(output.readline, "")))
    thread.start()
    return thread


async def test_a_login_that_cannot_be_written_is_used_and_not_lost(
    issuer: OpenAIIssuer, backend: ChatGPTBackend, tmp_path: Path
) -> None:
    issuer.access_seconds = 10  # about to end: its successor is waited for
    state = tmp_path / "state"
    login = write_login(state / "auth.json", issuer.issue())
    before = login.read_bytes()
    assert len(before) > SMALL
    issuer.access_seconds = 3600
    backend.stream(*Script().text("Hello").end())
    process = started(
        SMALL,
        ("serve",),
        tmp_path,
        subprocess.PIPE,
        CHATGPT_LOCAL_HOME=str(state),
        CHATMOCK_CHATGPT_BASE_URL=backend.url,
        CHATGPT_LOCAL_ISSUER=issuer.url,
    )
    lines: list[str] = []
    assert process.stdout is not None
    reader = _follow(process.stdout, lines)

    def ask() -> None:
        until = time.monotonic() + SECONDS
        while not (found := ADDRESS.search("".join(lines))):
            assert time.monotonic() < until, lines
            time.sleep(0.02)
        asked = {"messages": [{"role": "user", "content": "Hello"}]}
        for _ in range(3):
            answer = fetch(f"{found[1]}/v1/chat/completions", asked)
            assert answer["choices"][0]["finish_reason"] == "stop"

    try:
        await deferToThread(ask)
        assert login.read_bytes() == before
        assert issuer.refreshes == 1
        assert sorted(path.name for path in state.iterdir() if path.name.startswith(".")) == []
        make_room(process)
        process.send_signal(signal.SIGTERM)
        await deferToThread(process.wait, SECONDS)
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
    said = "".join(lines)
    assert "the refreshed ChatGPT login cannot be written (File too large); it will be lost" in said
    assert "Traceback" not in said
    tokens, old = (json.loads(text)["tokens"] for text in (login.read_bytes(), before))
    assert tokens["access_token"] != old["access_token"]
    assert issuer.honours(tokens["access_token"])
    assert issuer.honours_refresh(tokens["refresh_token"])
    assert login.stat().st_mode & 0o777 == 0o600
