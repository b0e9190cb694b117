"""The daemon as people start it: each way a process of its own, on a free port, ended by SIGTERM."""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chatmock import __version__

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
SECONDS = 20.0
WITHOUT_PIDFILE = "--pidfile="
MODULE = (sys.executable, "-m", "chatmock")
ADDRESS = re.compile(r"(http://127\.0\.0\.1:\d+)/v1")


def environment(**more: str) -> dict[str, str]:
    """The environment with none of the developer's own settings in it."""
    ours = ("CHATMOCK_", "CHATGPT_", "CODEX_", "XAI_", "OPENROUTER_", "DASHSCOPE_", "QWEN_", "PYTHON")
    others = {"PORT", "VERBOSE", "REQUIRE_TLS"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours) and k not in others}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **more}


@contextmanager
def running(command: Sequence[str], cwd: Path, **more: str) -> Iterator[str]:
    """Start *command*, give the URL it says it listens at, end it by SIGTERM and see that it ends well."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: queue.Queue[str | None] = queue.Queue()
    assert process.stdout is not None
    output = process.stdout

    def read() -> None:
        for line in output:
            lines.put(line)
        lines.put(None)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield _address(lines)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) in (0, -signal.SIGTERM)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join()
        output.close()


def _address(lines: queue.Queue[str | None]) -> str:
    deadline = time.monotonic() + SECONDS
    said = ""
    while True:
        try:
            line = lines.get(timeout=max(deadline - time.monotonic(), 0.01))
        except queue.Empty:
            line = None
        assert line is not None, f"it did not say where it listens: {said}"
        said += line
        if found := ADDRESS.search(line):
            return found[1]


def fetch(url: str, body: Mapping[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=SECONDS) as response:
        return json.load(response)


def check_answers(url: str) -> None:
    """The demo answers: there is no account."""
    models = fetch(f"{url}/v1/models")
    assert models["object"] == "list"
    model = models["data"][0]["id"]
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    answer = fetch(f"{url}/v1/chat/completions", asked)
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"


def ended(command: Sequence[str], cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run *command* to its end."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that a refused start says."""
    assert result.returncode != 0
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param((str(BIN / "chatmock"), "serve"), id="chatmock"),
        pytest.param((*MODULE, "serve"), id="module"),
        pytest.param((str(BIN / "twistd"), WITHOUT_PIDFILE, "-n", "chatmock"), id="twistd"),
        pytest.param((str(BIN / "twistd"), WITHOUT_PIDFILE, "-ny", str(ROOT / "chatmock.tac")), id="tac"),
    ],
)
def test_starts_anywhere(command: Sequence[str], tmp_path: Path) -> None:
    with running(command, tmp_path, CHATMOCK_PORT="0") as url:
        check_answers(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        pytest.param((*MODULE, "serve"), id="module"),
        pytest.param((str(BIN / "twistd"), WITHOUT_PIDFILE, "-n", "chatmock"), id="twistd"),
        pytest.param((str(BIN / "twistd"), WITHOUT_PIDFILE, "-ny", "chatmock.tac"), id="tac"),
    ],
)
def test_starts_in_the_checkout(command: Sequence[str]) -> None:
    before = set(ROOT.iterdir())
    with running(command, ROOT, CHATMOCK_PORT="0", PYTHONPATH=str(ROOT)) as url:
        check_answers(url)
    left = {path.name for path in set(ROOT.iterdir()) - before}
    assert not {name for name in left if name.startswith("twistd.")}


@pytest.mark.parametrize(
    "command",
    [
        pytest.param((*MODULE, "serve", "--port", "0"), id="module"),
        pytest.param((str(BIN / "twistd"), WITHOUT_PIDFILE, "-n", "chatmock", "--port", "0"), id="twistd"),
    ],
)
def test_an_option_counts_before_the_environment(command: Sequence[str], tmp_path: Path) -> None:
    with running(command, tmp_path, CHATMOCK_PORT="1") as url:
        assert fetch(f"{url}/v1/models")["data"]


WAYS = [
    pytest.param((*MODULE, "serve"), id="module"),
    pytest.param((str(BIN / "twistd"), WITHOUT_PIDFILE, "-n", "chatmock"), id="twistd"),
    pytest.param((str(BIN / "twistd"), WITHOUT_PIDFILE, "-ny", str(ROOT / "chatmock.tac")), id="tac"),
]


@pytest.mark.parametrize("command", WAYS)
def test_a_bad_setting_is_told_in_one_line(command: Sequence[str], tmp_path: Path) -> None:
    assert "CHATMOCK_PORT" in one_line(ended(command, tmp_path, CHATMOCK_PORT="x"))


@pytest.mark.parametrize("command", WAYS[:2])
def test_a_missing_key_is_told_in_one_line(command: Sequence[str], tmp_path: Path) -> None:
    assert "XAI_API_KEY" in one_line(ended([*command, "--provider", "grok"], tmp_path, CHATMOCK_PORT="0"))


@pytest.mark.parametrize("command", WAYS)
def test_a_port_in_use_is_told_in_one_line(command: Sequence[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = ended(command, tmp_path, CHATMOCK_PORT=port)
    assert result.returncode == 1
    # twistd has put standard error into its log by then, and the log on standard output.
    said = result.stderr or result.stdout
    refusals = [line for line in said.splitlines() if f"chatmock: cannot listen on 127.0.0.1:{port}" in line]
    assert len(refusals) == 1
    assert "Traceback" not in said
    if command[0] == sys.executable:
        assert refusals == [one_line(result)]


def test_version(tmp_path: Path) -> None:
    result = ended([*MODULE, "--version"], tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"chatmock {__version__}\n", "")


def test_a_command_must_be_named(tmp_path: Path) -> None:
    assert "chatmock serve" in one_line(ended(MODULE, tmp_path))


def done(*command: str | Path, cwd: Path) -> str:
    """What *command* says, which must succeed; it may have to download."""
    result = subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.slow
def test_wheel(tmp_path: Path) -> None:
    source, away, venv = tmp_path / "source", tmp_path / "away", tmp_path / "venv"
    away.mkdir()
    # A copy: setuptools writes into what it builds.
    skipped = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "__pycache__", "dropin.cache")
    shutil.copytree(ROOT, source, ignore=skipped)
    done(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, source, cwd=away)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    assert [name for name in names if name.startswith("twisted/")] == ["twisted/plugins/chatmock_plugin.py"]
    assert {name.split("/")[0] for name in names} == {
        "chatmock",
        "twisted",
        f"chatmock-{__version__}.dist-info",
    }
    assert "chatmock/py.typed" in names
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "chatmock").rglob("*.py")}
    assert modules <= set(names)

    done(sys.executable, "-m", "venv", venv, cwd=away)
    done(venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=away)
    assert done(venv / "bin" / "chatmock", "--version", cwd=away) == f"chatmock {__version__}\n"
    assert re.search(r"^\s+chatmock\s", done(venv / "bin" / "twistd", "--help", cwd=away), re.MULTILINE)
    with running(
        [str(venv / "bin" / "twistd"), "-n", WITHOUT_PIDFILE, "chatmock", "--port", "0"], away
    ) as url:
        check_answers(url)
    assert list(away.iterdir()) == []
