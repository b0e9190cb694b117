"""The smuggling list, straight to the daemon and through nginx and HAProxy, with a victim behind each request (P23).

The fronts put a word before the path of each request that they see. So one that reaches the daemon without it is one that
the front took for a part of another: it has been smuggled. Each front is tried strict and as lax as it can be made.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.security.external.judging import (
    Daemon,
    Row,
    daemon,
    folder,
    free_port,
    good_if,
    process,
    program,
    report,
    skipped,
    version,
    wait_for_port,
)
from tests.security.external.smuggling import CASES, Case

SECONDS = 2.0
"""The longest wait for the answers to one case; most are there at once."""
SILENCE = 0.1
"""After which nothing more is expected from a front that keeps a connection."""

_NGINX = """
daemon off; master_process off; pid nginx.pid; error_log error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u;
    scgi_temp_path s;
    upstream chatmock {{ server 127.0.0.1:{daemon}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{front};
        {lax}
        proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host localhost;
        location /v1/ {{ proxy_pass http://chatmock; }}
        location / {{ proxy_pass http://chatmock/front/; }}
    }}
}}
"""
_NGINX_LAX = (
    "ignore_invalid_headers off; underscores_in_headers on; merge_slashes off; proxy_request_buffering off;"
)

_HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    http-reuse always
    {lax}
frontend front
    bind 127.0.0.1:{front}
    http-request set-path /front%[path] unless {{ path_beg /v1/ }}
    default_backend chatmock
backend chatmock
    server chatmock 127.0.0.1:{daemon}
"""
_HAPROXY_LAX = "option accept-invalid-http-request"


@attrs.frozen
class Way:
    """A way to the daemon."""

    name: str
    port: int
    fronted: bool


def judge() -> Iterator[Row]:
    """All cases, each way."""
    with folder() as home, daemon(home, CHATMOCK_MAX_CONCURRENCY="4") as running, ExitStack() as fronts:
        yield _tried(running, Way("no front", running.port, fronted=False))
        for name, start in _FRONTS.items():
            tool = program(name)
            if tool is None:
                yield skipped(f"smuggling through {name}", name)
                continue
            for lax in (False, True):
                port = fronts.enter_context(start(tool, running, lax))
                title = f"{name} {version([tool, '-v'])}{', lax' if lax else ''}"
                yield _tried(running, Way(title, port, fronted=True))
        yield good_if(running.tracebacks() == 0, "the daemon's log", f"{running.tracebacks()} tracebacks")


@contextmanager
def _nginx(tool: str, running: Daemon, lax: bool) -> Iterator[int]:
    place = running.home / f"nginx{lax:d}"
    place.mkdir()
    port = free_port()
    config = place / "nginx.conf"
    config.write_text(_NGINX.format(daemon=running.port, front=port, lax=_NGINX_LAX if lax else ""))
    command = [tool, "-p", str(place), "-c", str(config), "-e", str(place / "error.log")]
    with process(command, place / "log"):
        wait_for_port(port)
        yield port


@contextmanager
def _haproxy(tool: str, running: Daemon, lax: bool) -> Iterator[int]:
    port = free_port()
    config = running.home / f"haproxy{lax:d}.cfg"
    config.write_text(_HAPROXY.format(daemon=running.port, front=port, lax=_HAPROXY_LAX if lax else ""))
    with process([tool, "-db", "-f", str(config)], Path(f"{config}.log")):
        wait_for_port(port)
        yield port


_FRONTS: dict[str, Callable[..., Any]] = {"nginx": _nginx, "haproxy": _haproxy}


def _tried(running: Daemon, way: Way) -> Row:
    faults: list[str] = []
    victims = 0
    for number, case in enumerate(CASES):
        before = len(running.seen())
        answers = _send(way.port, case)
        for again in range(2):
            victims += 1
            faults += _victim(way.port, f"{way.port}-{number}-{again}", case)
        if not way.fronted and answers != [*case.answers]:
            faults.append(f"{case.name}: answered {answers}")
        faults += _smuggled(running, before, way, case)
    detail = f"{len(CASES)} cases, {victims} victims with their own answers"
    return good_if(not faults, f"smuggling: {way.name}", "; ".join(faults) or detail)


def _send(port: int, case: Case) -> Sequence[int]:
    """Send it; the statuses that come back."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as sock:
        sock.sendall(case.data)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            sock.settimeout(SILENCE if _statuses(received) else SECONDS)
            try:
                piece = sock.recv(65536)
            except (TimeoutError, ConnectionResetError):
                break
            if not piece:
                break
            received += piece
    return _statuses(received)


def _statuses(received: bytes) -> Sequence[int]:
    found = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]
    return [status for status in found if status != 100]


def _victim(port: int, word: str, case: Case) -> Sequence[str]:
    """Somebody else asks, for *word*; what is wrong with the answer."""
    content = f"demo: say {word}\ndemo: pace 0"
    body = json.dumps({"model": "demo", "messages": [{"role": "user", "content": content}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    received = b""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as sock:
        sock.settimeout(10)
        sock.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        try:
            while piece := sock.recv(65536):
                received += piece
        except OSError as error:
            return [f"{case.name}: its victim had {error!r}"]
    fine = _statuses(received) == [200] and b'"content":"%b"' % word.encode() in received
    return [] if fine else [f"{case.name}: its victim was told {received[:80]!r}"]


def _smuggled(running: Daemon, before: int, way: Way, case: Case) -> Sequence[str]:
    """What the daemon has seen of the case that it should not have."""
    seen = running.seen()[before:]
    if way.fronted:
        unknown = [each for each in seen if not each.path.startswith(("/front/", "/v1/"))]
        strange = [each for each in unknown if each.status < 400 or "smuggled" in each.path]
    else:
        strange = [each for each in seen if "smuggled" in each.path]
    return [f"{case.name}: {each.method} {each.path} {each.status} came through" for each in strange]


if __name__ == "__main__":
    sys.exit(report(judge()))
