"""A disk that takes no answers: serving and going on from them last, and they are in the file once there is room
(spec security.md, P59)."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chatmock.kept_answers.database import KEPT_FILE
from tests.security.test_disk_full import make_room, started
from tests.test_starting import ADDRESS, SECONDS, fetch

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the limit of a running process is changed by prlimit"
)
SMALL = 3000
"""Bytes: less than a database takes, and enough for a log."""


def asked(url: str, **fields: Any) -> Any:
    return fetch(f"{url}/v1/responses", {"model": "demo", "input": "My own secret", **fields})


def test_answers_are_in_memory_until_there_is_room(tmp_path: Path) -> None:
    state = tmp_path / "state"
    process = started(
        SMALL, ("serve",), tmp_path, subprocess.PIPE, CHATGPT_LOCAL_HOME=str(state), CHATMOCK_PROVIDER="demo"
    )
    lines: list[str] = []
    assert process.stdout is not None
    try:
        while not (address := ADDRESS.search("".join(lines))):
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        url = address[1]
        first = asked(url)
        second = asked(url, previous_response_id=first["id"])
        assert second["previous_response_id"] == first["id"]
        make_room(process)
        third = asked(url, previous_response_id=second["id"])
        until = time.monotonic() + SECONDS
        while sorted(found(state)) != sorted(each["id"] for each in (first, second, third)):
            assert time.monotonic() < until, found(state)
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        process.wait()
    said = "".join(lines) + rest
    assert said.count("answers are kept in memory only") == 1
    assert said.count("answers are kept again") == 1
    assert "secret" not in said
    assert "Traceback" not in said


def found(state: Path) -> list[str]:
    """The ids in the file."""
    path = state / KEPT_FILE
    if not path.exists() or not path.stat().st_size:
        return []
    with closing(sqlite3.connect(path)) as connection:
        try:
            return [id for (id,) in connection.execute("SELECT id FROM kept_answer")]
        except sqlite3.OperationalError:
            return []
