"""The baseline: the proxy that Klein and treq give when nothing is tuned.

It keeps Klein's own way of serving, with the default access log on stdout, and treq's default connection
pool. What it does right is backpressure, and letting the upstream go when the client leaves. It passes bytes
on as they come; with ``--translate`` it reads the request and every record with ``json`` and builds them anew.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import treq
from klein import Klein
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers


class Passing(Protocol):
    """Writes an upstream body to the client, at the client's pace; ``done`` fires when it has ended."""

    def __init__(self, request: Any, done: Deferred[None]) -> None:
        self.request = request
        self.done = done
        self.gone = False
        request.notifyFinish().addErrback(self.left)

    def connectionMade(self) -> None:
        """Let the client's pace be the pace of the upstream."""
        self.request.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        """Write what came."""
        if not self.gone:
            self.request.write(data)

    def connectionLost(self, _reason: Failure = connectionDone) -> None:
        """The body has ended."""
        if not self.gone:
            self.request.unregisterProducer()
        self.done.callback(None)

    def left(self, _reason: Failure) -> None:
        """The client has gone: there is nobody left to read for."""
        self.gone = True
        if self.transport is not None:
            self.transport.loseConnection()


class Translating(Passing):
    """The same with every record read, built anew and written as a text completion."""

    rest = b""

    def dataReceived(self, data: bytes) -> None:
        """Write what the records that are whole become."""
        *records, self.rest = (self.rest + data).split(b"\n\n")
        for record in records:
            payload = record.removeprefix(b"data: ")
            if payload != b"[DONE]":
                payload = json.dumps(translated(json.loads(payload))).encode()
            super().dataReceived(b"data: " + payload + b"\n\n")


def translated(chunk: dict[str, Any]) -> dict[str, Any]:
    """The text completion record that says what a chat record says."""
    choices = [
        {
            "index": choice["index"],
            "text": choice["delta"].get("content") or "",
            "logprobs": None,
            "finish_reason": choice["finish_reason"],
        }
        for choice in chunk["choices"]
    ]
    answer = {"id": chunk["id"], "object": "text_completion", "created": chunk["created"]}
    return {**answer, "model": chunk["model"], "choices": choices}


def application(upstream: str, translate: bool) -> Klein:
    """The one route of the baseline, in front of a URL."""
    app = Klein()

    @app.route("/v1/chat/completions", methods=["POST"])
    async def chat(request: Any) -> None:
        body = request.content.read()
        if translate:
            body = json.dumps(json.loads(body)).encode()
        headers = Headers({"Content-Type": ["application/json"]})
        headers.setRawHeaders("Authorization", request.requestHeaders.getRawHeaders("Authorization", []))
        response = await treq.post(upstream, data=body, headers=headers, unbuffered=True)
        request.setResponseCode(response.code)
        content_type = response.headers.getRawHeaders("content-type", ["application/json"])[0]
        request.setHeader("Content-Type", content_type)
        done: Deferred[None] = Deferred()
        translates = translate and content_type.startswith("text/event-stream")
        response.deliverBody((Translating if translates else Passing)(request, done))
        await done

    return app


def main() -> None:
    """Serve on the loopback interface until the time is over or a signal comes; the log names the port."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--upstream", required=True, help="base URL, up to and with /v1")
    arguments.add_argument("--translate", action="store_true")
    arguments.add_argument("--seconds", type=float, default=900.0, help="end after so many seconds")
    options = arguments.parse_args()
    loop: Any = reactor
    loop.callLater(options.seconds, loop.stop)
    application(options.upstream + "/chat/completions", options.translate).run("127.0.0.1", options.port)


if __name__ == "__main__":
    main()
