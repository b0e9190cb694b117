"""TLS in daemons as people start them: a bad key is one line, and SIGHUP reloads instead of killing (P4, P56)."""

from __future__ import annotations

import queue
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from tests.test_starting import SECONDS, WAYS, ended, environment, one_line
from tests.tls.material import Pem, issue, write_pem


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


def variables(pem: Pem, **more: str) -> dict[str, str]:
    return {
        "CHATMOCK_TLS_CERT": str(pem.certificate),
        "CHATMOCK_TLS_KEY": str(pem.key),
        "CHATMOCK_PORT": "0",
        **more,
    }


@contextmanager
def daemon(
    command: Sequence[str], cwd: Path, **more: str
) -> Iterator[tuple[subprocess.Popen[str], queue.Queue[str]]]:
    """A running daemon and what it says."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(HOME=str(cwd), **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()
    output = process.stdout
    assert output is not None
    reader = threading.Thread(target=lambda: [lines.put(line) for line in output])
    reader.start()
    try:
        yield process, lines
    finally:
        process.kill()
        process.wait()
        reader.join()
        output.close()


def line_with(lines: queue.Queue[str], text: str) -> str:
    until = time.monotonic() + SECONDS
    while True:
        line = lines.get(timeout=max(until - time.monotonic(), 0.01))
        if text in line:
            return line


def serial(port: int) -> int:
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=SECONDS)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


@pytest.mark.parametrize("command", WAYS)
def test_a_wide_key_stops_the_start_in_one_line(
    command: Sequence[str], tmp_path: Path, ca: trustme.CA
) -> None:
    pem = write_pem(tmp_path, issue(ca))
    pem.key.chmod(0o644)
    assert f"chmod 600 {pem.key}" in one_line(ended(command, tmp_path, **variables(pem)))


@pytest.mark.parametrize("command", WAYS)
def test_sighup_reloads(command: Sequence[str], tmp_path: Path, ca: trustme.CA) -> None:
    pem = write_pem(tmp_path, issue(ca))
    with daemon(command, tmp_path, **variables(pem)) as (process, lines):
        port = int(line_with(lines, "listens on https://").split("/v1")[0].rpartition(":")[2])
        before = serial(port)
        write_pem(tmp_path, issue(ca))
        process.send_signal(signal.SIGHUP)
        line_with(lines, "new connections get the TLS certificate")
        assert serial(port) != before
        pem.certificate.write_text("damaged")
        process.send_signal(signal.SIGHUP)
        line_with(lines, "the one before stays in use")
        assert serial(port) != before
        process.terminate()
        assert process.wait(SECONDS) in (0, -signal.SIGTERM)
