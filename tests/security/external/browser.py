"""Chromium as judge of cross-site calls and DNS rebinding (P10, P11).

A page of another site tries all that a page can to make the daemon call its upstream, or to read what it says; the
same from a page whose host name is then pointed at the daemon. A straw man, which believes everybody, is attacked
first: an attack that does not reach even that proves nothing. At last a page that the owner allows reads and streams.

Chromium's own protections of local networks are switched off: the daemon has to do without.
"""

from __future__ import annotations

import json
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import attrs

from tests.security.external.judging import (
    Row,
    daemon,
    folder,
    good_if,
    process,
    program,
    report,
    skipped,
    version,
)

SECONDS = 40.0
MODEL = "the-owners-model"
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,HttpsUpgrades",
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]  # fmt: skip
PAGE = (Path(__file__).parent / "browser.html").read_text()


@attrs.define
class _Site:
    """An HTTP server in a thread."""

    server: ThreadingHTTPServer
    told: queue.Queue[Any]

    @property
    def port(self) -> int:
        port: int = self.server.server_address[1]
        return port


class _Handler(BaseHTTPRequestHandler):
    """What servers here have in common."""

    protocol_version = "HTTP/1.1"
    told: ClassVar[queue.Queue[Any]]

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length", "0")))

    def answer(self, status: int, kind: str, body: bytes, **more: str) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close", **more}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Pages(_Handler):
    """Serves the page, and is told what it found."""

    def do_GET(self) -> None:
        found = self.path.startswith("/page")
        self.answer(200 if found else 404, "text/html; charset=utf-8", PAGE.encode() if found else b"")

    def do_POST(self) -> None:
        self.told.put(json.loads(self.body()))
        self.answer(200, "text/plain", b"")


class _Upstream(_Handler):
    """An upstream that speaks OpenAI chat, and tells of each call that costs something."""

    def do_GET(self) -> None:
        models = {
            "object": "list",
            "data": [{"id": MODEL, "object": "model", "created": 1, "owned_by": "me"}],
        }
        self.answer(200, "application/json", json.dumps(models).encode())

    def do_POST(self) -> None:
        asked = json.loads(self.body())
        self.told.put(asked)
        start = {"id": "c", "created": 1, "model": MODEL}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": "hello"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            whole = {**start, "object": "chat.completion", "choices": [choice]}
            self.answer(200, "application/json", json.dumps(whole).encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for delta, reason in [({"content": "hel"}, None), ({"content": "lo"}, None), ({}, "stop")]:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            record = {**start, "object": "chat.completion.chunk", "choices": [choice]}
            self.wfile.write(b"data: " + json.dumps(record).encode() + b"\n\n")
            self.wfile.flush()
            time.sleep(0.3)
        self.wfile.write(b"data: [DONE]\n\n")


class _StrawMan(_Upstream):
    """A server that believes everybody."""

    def do_POST(self) -> None:
        self.told.put(self.body())
        self.answer(200, "application/json", b'{"model": "%b"}' % MODEL.encode())


@contextmanager
def _site(handler: type[_Handler]) -> Iterator[_Site]:
    told: queue.Queue[Any] = queue.Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"told": told}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield _Site(server, told)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Name:
    """A port that leads to one server and later to another, as a host name does whose address is changed."""

    def __init__(self, port: int) -> None:
        self.leads_to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self.leads_to))
                for ends in [(client, server), (server, client)]:
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def judge() -> Iterator[Row]:
    """All pages."""
    tool = program("chromium")
    if tool is None:
        yield skipped("Chromium", "chromium")
        return
    title = f"Chromium {version([tool, '--version'], r'(?<=Chromium )[0-9.]+')}"
    with folder() as home, _site(_Pages) as pages, _site(_Upstream) as upstream, _site(_StrawMan) as straw:
        browser = _Browser(tool, home, pages)
        yield _straw_man(title, browser, straw)
        settings = {
            "CHATMOCK_COMPATIBLE_BASE_URL": f"http://127.0.0.1:{upstream.port}/v1",
            "CHATMOCK_COMPATIBLE_API_KEY": "the-owners-key",
            "CHATMOCK_CORS_ORIGINS": f"http://allowed.test:{pages.port}",
        }
        with daemon(home, provider="compatible", **settings) as running:
            yield from _strangers(title, browser, running.port, upstream)
            yield _friend(title, browser, running.port)
            yield good_if(running.tracebacks() == 0, "the daemon's log", f"{running.tracebacks()} tracebacks")


@attrs.define
class _Browser:
    tool: str
    home: Path
    pages: _Site
    opened: int = 0

    def open(
        self, host: str, mode: str, target: str, name: _Name | None = None, then: int = 0
    ) -> Mapping[str, str]:
        """Open the page as one of *host*, attacking *target*; what it could read, by the way it took.

        :param name: a host name that leads to the port *then* once the page is there.
        """
        port = self.pages.port if name is None else name.port
        self.opened += 1
        place = self.home / f"profile{self.opened}"
        report_to = f"http://127.0.0.1:{self.pages.port}/told"
        url = f"http://{host}:{port}/page?mode={mode}&target={target}&tell={report_to}"
        command = [self.tool, *_FLAGS, f"--user-data-dir={place}", "--remote-debugging-port=0", url]
        with process(command, self.home / f"{place.name}.log"):
            if self.pages.told.get(timeout=SECONDS) != "loaded":
                raise RuntimeError("the page told what it found before it told that it is there")
            if name is not None:
                name.leads_to = then
            found: Mapping[str, str] = self.pages.told.get(timeout=SECONDS)
        return found


def _drained(told: queue.Queue[Any]) -> list[Any]:
    """What has been told since."""
    found = []
    with suppress(queue.Empty):
        while True:
            found.append(told.get_nowait())
    return found


def _readable(found: Mapping[str, str]) -> list[str]:
    return [way for way, text in found.items() if MODEL in text or "hello" in text]


def _rebound(browser: _Browser, port: int) -> Mapping[str, str]:
    """A page of a name that leads to the server at *port* as soon as the page is there."""
    name = _Name(browser.pages.port)
    try:
        return browser.open("rebinding.test", "rebinding", f"http://rebinding.test:{name.port}", name, port)
    finally:
        name.close()


def _straw_man(title: str, browser: _Browser, straw: _Site) -> Row:
    found = browser.open("evil.test", "stranger", f"http://127.0.0.1:{straw.port}")
    calls = len(_drained(straw.told))
    rebound = _rebound(browser, straw.port)
    fine = calls >= 5 and "GET" in _readable(rebound)
    return good_if(
        fine,
        f"{title}: a straw man is hit",
        f"{len(found)} ways, {calls} calls; after rebinding {len(_drained(straw.told))} calls, {', '.join(_readable(rebound))} readable",
    )


def _strangers(title: str, browser: _Browser, port: int, upstream: _Site) -> Iterator[Row]:
    for what, host in [("another site", "evil.test"), ("another port", "127.0.0.1")]:
        found = browser.open(host, "stranger", f"http://127.0.0.1:{port}")
        yield _nothing(f"{title}: {what}", found, upstream)
    yield _nothing(f"{title}: rebinding", _rebound(browser, port), upstream)


def _nothing(what: str, found: Mapping[str, str], upstream: _Site) -> Row:
    calls, readable = len(_drained(upstream.told)), _readable(found)
    detail = f"{len(found)} ways, {calls} upstream calls, readable: {', '.join(readable) or 'nothing'}"
    return good_if(len(found) >= 5 and calls == 0 and not readable, what, detail)


def _friend(title: str, browser: _Browser, port: int) -> Row:
    found = browser.open("allowed.test", "friend", f"http://127.0.0.1:{port}")
    fine = (
        MODEL in found["models"]
        and "hello" in found["answer"]
        and int(found["pieces"]) >= 2
        and "[DONE]" in found["stream"]
        and found["error"].startswith("400")
        and "req_" in found["header"]
    )
    detail = (
        f"models, answer, stream in {found['pieces']} pieces, error ({found['error'][:3]}) and header read"
    )
    return good_if(fine, f"{title}: an allowed origin", detail if fine else json.dumps(found))


if __name__ == "__main__":
    sys.exit(report(judge()))
