"""Schemathesis against the daemon's own description: requests that fit it, requests that do not, and what comes back.

Needs the program ``schemathesis`` (PyPI, 4.32 or later) on PATH or beside Python; it belongs in a virtual environment of
its own. It asks three daemons: one with the demo, one with an upstream that takes everything, which shows more of the
answers, and one that needs a key, to see that each route insists on it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

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
from tests.security.external.schemathesis_upstream import upstream

EXAMPLES = 150
_SECONDS = 1800
_TOKEN = "schemathesis-token-0123456789"
_SETTINGS = {"CHATMOCK_MAX_CONCURRENCY": "16", "CHATMOCK_MAX_TOKENS": "4"}
_HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
_CASES = re.compile(r"(\d+) generated")
_FAULTS = re.compile(r"^ +❌ (ST\d+ .*)$", re.MULTILINE)
_REPEAT = ("--seed", "2026")


def judge() -> Iterator[Row]:
    """Each run."""
    tool = program("schemathesis")
    if tool is None:
        yield skipped("schemathesis", "schemathesis")
        return
    title = f"schemathesis {version([tool, '--version'])}"
    many = ["--max-examples", str(EXAMPLES)]
    with folder() as home:
        chatmock(home, "tls", "init")
        with daemon(home, **_SETTINGS) as running:
            yield _run(tool, running, f"{title}, demo", many)
        with upstream() as url:
            settings = {**_SETTINGS, "CHATMOCK_COMPATIBLE_BASE_URL": url}
            with daemon(home, provider="compatible", **settings) as running:
                yield _run(tool, running, f"{title}, any upstream", many)
        keyed = {**_SETTINGS, "CHATMOCK_REQUIRE_AUTH": "1", "CHATMOCK_ACCESS_TOKEN": _TOKEN}
        shown = ["--header", f"Authorization: Bearer {_TOKEN}"]
        with daemon(home, **keyed) as running:
            yield _run(tool, running, f"{title}, keys needed", ["--max-examples", "20", *shown])


def _run(tool: str, running: Daemon, title: str, options: Sequence[str]) -> Row:
    command = [tool, "run", f"http://127.0.0.1:{running.port}/openapi.json", "--continue-on-failure"]
    done = subprocess.run(
        [*command, "--request-timeout", "60", *_REPEAT, *options],
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(_HOOKS), "PYTHONUTF8": "1", "NO_COLOR": "1"},
        cwd=running.home,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    cases = _CASES.search(done.stdout)
    faults = _FAULTS.findall(done.stdout)
    fine = done.returncode == 0 and cases is not None and not running.tracebacks()
    if not fine:
        print(done.stdout, done.stderr, file=sys.stderr)
    detail = f"{cases[1] if cases else 'no'} cases, {'; '.join(faults) or 'no failures'}"
    return good_if(fine, title, f"{detail}, {running.tracebacks()} tracebacks")


if __name__ == "__main__":
    sys.exit(report(judge()))
