"""An HTTP server for fakes: a function of the request, whose fields may be a query, a form or JSON, gives the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import attrs
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

_FORM = "application/x-www-form-urlencoded"


@attrs.frozen
class Answer:
    """What is answered: an object as JSON, or bytes as a page."""

    status: int
    body: Mapping[str, Any] | bytes
    location: str | None = None


@attrs.frozen
class Asked:
    """A request that came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    fields: Mapping[str, Any]
    """The query, the form or the JSON object."""


@attrs.frozen
class Reply:
    """An answer, or none, in which case the connection is aborted; after a delay in seconds."""

    answer: Answer | None
    delay: float = 0.0


class AnsweringSite(Site):
    """The server."""

    noisy = False

    def __init__(self, reactor: Any, reply: Callable[[Asked], Reply]) -> None:
        super().__init__(_Leaf(reactor, reply), parsePOSTFormSubmission=False)

    def log(self, request: Any) -> None:
        """Quiet."""


class _Leaf(Resource):
    isLeaf = True

    def __init__(self, reactor: Any, reply: Callable[[Asked], Reply]) -> None:
        super().__init__()
        self._reactor = reactor
        self._reply = reply

    def render(self, request: Request) -> Any:
        asked = _asked(request)
        if isinstance(asked, Answer):
            return _head(request, asked)
        reply = self._reply(asked)
        answer = reply.answer
        if answer is None:
            request.transport.abortConnection()
        elif not reply.delay:
            return _head(request, answer)
        else:
            waiting = deferLater(self._reactor, reply.delay, _write, request, answer)
            request.notifyFinish().addErrback(lambda _: waiting.cancel())
            waiting.addErrback(lambda _: None)
        return NOT_DONE_YET


def _asked(request: Request) -> Asked | Answer:
    headers = {k.decode().lower(): v[-1].decode() for k, v in request.requestHeaders.getAllRawHeaders()}
    path, _, query = request.uri.decode().partition("?")
    body = request.content.read()
    kind = headers.get("content-type", "").partition(";")[0]
    if request.method == b"GET":
        fields: Any = _fields(query)
    elif kind == _FORM:
        fields = _fields(body.decode())
    elif kind == "application/json":
        fields = json.loads(body)
    else:
        return Answer(415, {"detail": f"Unsupported media type: {kind}"})
    return Asked(request.method.decode(), path, headers, fields)


def _fields(text: str) -> dict[str, str]:
    """The fields of a query or a form; a repeated one counts for none."""
    return {name: values[0] for name, values in parse_qs(text).items() if len(values) == 1}


def _head(request: Request, answer: Answer) -> bytes:
    """Set the head; returns the body."""
    request.setResponseCode(answer.status)
    request.setHeader("content-type", "text/html" if isinstance(answer.body, bytes) else "application/json")
    if answer.location is not None:
        request.setHeader("location", answer.location)
    return answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()


def _write(request: Request, answer: Answer) -> None:
    request.write(_head(request, answer))
    request.finish()
