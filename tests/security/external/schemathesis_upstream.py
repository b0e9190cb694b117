"""An upstream that takes everything, in a thread: so it is the daemon that is judged, and not what it asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class _Upstream(BaseHTTPRequestHandler):
    """The OpenAI chat wire."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The models."""
        self._answer("application/json", {"object": "list", "data": [{"id": "m", "object": "model"}]})

    def do_POST(self) -> None:
        """An answer, in as many choices as wanted."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        count = asked.get("n") or 1
        usage = {"prompt_tokens": 1, "completion_tokens": count, "total_tokens": 1 + count}
        kind = "chat.completion.chunk" if asked.get("stream") else "chat.completion"
        said = {"role": "assistant", "content": "Hello"}
        name = "delta" if asked.get("stream") else "message"
        choices = [{"index": i, name: said, "finish_reason": "stop"} for i in range(count)]
        body = {
            "id": "chatcmpl-1",
            "object": kind,
            "created": 1,
            "model": "m",
            "choices": choices,
            "usage": usage,
        }
        if asked.get("stream"):
            self._answer("text/event-stream", f"data: {json.dumps(body)}\n\ndata: [DONE]\n\n")
        else:
            self._answer("application/json", body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def _answer(self, type: str, body: Any) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(200)
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _Server(ThreadingHTTPServer):
    """Says nothing of connections that are reset, as those of clients that have left are."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing."""


@contextmanager
def upstream() -> Iterator[str]:
    """Its base URL, while the block runs."""
    with _Server(("127.0.0.1", 0), _Upstream) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
