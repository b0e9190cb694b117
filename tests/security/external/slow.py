"""Clients that are slow on purpose: slowhttptest's three attacks, over TCP and TLS (P5, P20, P26).

Twice: with the cap of connections of one address raised, so that only deadlines end them, and slowhttptest's own probe
judges; and as it comes, where somebody else, at another address, is to be served all the time.
"""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from tests.security.external.judging import (
    Daemon,
    Row,
    chatmock,
    daemon,
    folder,
    good_if,
    program,
    report,
    skipped,
    version,
)

CONNECTIONS = 150
_ATTACKS = {
    "slow heads (-H)": ["-H", "-i", "2", "-l", "30", "-t", "GET"],
    "slow bodies (-B)": ["-B", "-i", "2", "-l", "50", "-t", "POST", "-s", "8192"],
    "slow reading (-X)": ["-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-l", "130"],
}
_SECONDS = 180


@attrs.frozen
class _End:
    """How slowhttptest says that it went."""

    seconds: int
    status: str
    unavailable: int
    """How often it has written that the service was not available."""
    cpu: float
    """Seconds of the processor that the daemon took."""


def judge() -> Iterator[Row]:
    """Each attack."""
    tool = program("slowhttptest")
    if tool is None:
        yield skipped("slowhttptest", "slowhttptest")
        return
    title = f"slowhttptest {version([tool, '-h'])}"
    with folder() as home:
        chatmock(home, "tls", "init")
        made = next(home.rglob("tls"))
        tls = ["--tls-cert", str(made / "server.pem"), "--tls-key", str(made / "server-key.pem")]
        many = {"CHATMOCK_MAX_CONNECTIONS_PER_ADDRESS": "400", "CHATMOCK_STALL_TIMEOUT": "10"}
        with daemon(home, **many) as running:
            for name, options in _ATTACKS.items():
                yield _verdict(f"{title}, {name}", _attack(tool, running, "http", options))
            yield _quiet(running)
        with daemon(home, *tls, **many) as running:
            name = "slow heads (-H)"
            yield _verdict(f"{title}, TLS, {name}", _attack(tool, running, "https", _ATTACKS[name]))
            yield _quiet(running)
        with daemon(home) as running:
            yield _others_are_served(tool, running)


def _attack(tool: str, running: Daemon, scheme: str, options: Sequence[str]) -> _End:
    before = _processor(running)
    with _started(tool, running, scheme, options) as attack:
        said = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", attack.communicate(timeout=_SECONDS)[0])
    seconds = re.search(r"Test ended on (\d+)", said)
    status = re.search(r"Exit status: *(.*)", said)
    if seconds is None or status is None:
        raise RuntimeError(said[-500:])
    unavailable = len(re.findall(r"service available: *NO", said))
    return _End(int(seconds[1]), status[1].strip(), unavailable, _processor(running) - before)


def _started(
    tool: str, running: Daemon, scheme: str, options: Sequence[str], output: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    command = [tool, "-c", str(CONNECTIONS), "-r", "100", "-p", "2", *options]
    return subprocess.Popen(
        [*command, "-u", f"{scheme}://127.0.0.1:{running.port}/v1/models"],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _processor(running: Daemon) -> float:
    fields = Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _verdict(title: str, end: _End) -> Row:
    fine = end.status == "No open connections left" and not end.unavailable
    available = f"not available {end.unavailable} times" if end.unavailable else "available all the time"
    return good_if(
        fine, title, f"{end.status} after {end.seconds} s, {available}, {end.cpu:.1f} s of processor"
    )


def _others_are_served(tool: str, running: Daemon) -> Row:
    """One address takes all the connections it can get; another one asks, twice a second."""
    failed = asked = 0
    with _started(tool, running, "http", ["-H", "-i", "2", "-l", "20"], subprocess.DEVNULL) as attack:
        until = time.monotonic() + 15
        while time.monotonic() < until:
            asked += 1
            failed += not _served(running.port)
            time.sleep(0.5)
        attack.terminate()
    dropped = "CHATMOCK_MAX_CONNECTIONS_PER_ADDRESS" in running.log.read_text()
    detail = f"{asked} asked from another address, {failed} of them in vain; the cap was {'' if dropped else 'not '}met"
    return good_if(failed == 0 and dropped, "as it comes, slow heads: others are served", detail)


def _served(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, 2, source_address=("127.0.0.2", 0))
    try:
        connection.request("GET", "/v1/models")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _quiet(running: Daemon) -> Row:
    """That the attacks filled no log and broke nothing."""
    lines = len(running.log.read_text(errors="replace").splitlines())
    detail = f"{lines} lines, {running.tracebacks()} tracebacks"
    return good_if(running.tracebacks() == 0 and lines < 3000, "the daemon's log", detail)


if __name__ == "__main__":
    sys.exit(report(judge()))
