"""The table of routes. No logic: each hands its request to a dialect, the desk or the catalogue."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from chatmock import jsontext
from chatmock.admission.client import Key, may_use
from chatmock.admission.queue_report import queue_body
from chatmock.catalogue import Catalogue, Row, listing, unknown_model
from chatmock.conversation import Thinking
from chatmock.dialects import OpenAIChat, OpenAICompletions
from chatmock.dialects.openai_models import model_body, models_body
from chatmock.errors import Kind, Refusal, fault_of_ours
from chatmock.exchange import Desk
from chatmock.heads import refuse
from chatmock.metrics import MEDIA_TYPE, metrics_body
from chatmock.openapi import Facts, document
from chatmock.readiness import heal, readiness
from chatmock.tls.page import Document

_OPENAI = OpenAIChat()
"""For refusals, which are the same in every form of thinking."""
_COMPLETIONS = OpenAICompletions()


class Routes:
    """The HTTP surface of the daemon."""

    app = Klein()
    app.url_map.merge_slashes = False
    log = Logger()

    def __init__(
        self, desk: Desk, thinking: Thinking, public: Callable[[str], Document | None] = lambda _: None
    ) -> None:
        self._desk = desk
        self._public = public
        self._chat = OpenAIChat(thinking)
        self._started = int(time.time())

    @app.route("/v1/chat/completions", methods=["POST"])
    def chat_completions(self, request: IRequest) -> Deferred[bytes | None]:
        """OpenAI chat."""
        return self._desk.answer(request, self._chat)

    @app.route("/v1/completions", methods=["POST"])
    def completions(self, request: IRequest) -> Deferred[bytes | None]:
        """OpenAI text completion."""
        return self._desk.answer(request, _COMPLETIONS)

    @app.route("/v1/models", methods=["GET"])
    async def models(self, request: Any) -> bytes:
        """Every model of every usable provider that the client's key allows."""
        key = request.client.key
        return await self._read(request, lambda known: models_body(self._rows(known, key), self._started))

    @app.route("/v1/models/<path:name>", methods=["GET"])
    async def model(self, request: Any, name: str) -> bytes:
        """One model."""

        def body(known: Mapping[str, Catalogue]) -> bytes:
            rows = {row[0]: row for row in self._rows(known, request.client.key)}
            if name not in rows:
                raise unknown_model(name, list(rows), "here")
            return model_body(rows[name], self._started)

        return await self._read(request, body)

    @app.route("/v1/usage", methods=["GET"])
    def usage(self, request: Any) -> bytes:
        """What is left of the owner's plans, as the upstreams last told."""
        try:
            self._desk.guard.spend(request.client)
        except Refusal as refusal:
            return refuse(request, _OPENAI, refusal)
        return _json(request, self._desk.limits_left())

    @app.route("/api/queue", methods=["GET"])
    def queue(self, request: Any) -> bytes:
        """How many wait, and where the client that asks stands among them; never queued itself."""
        try:
            self._desk.guard.spend(request.client)
        except Refusal as refusal:
            return refuse(request, _OPENAI, refusal)
        return _json(request, queue_body(self._desk.slots.report(request.client)))

    @app.route("/metrics", methods=["GET"])
    def metrics(self, request: Any) -> bytes:
        """The daemon's figures for Prometheus; never queued."""
        desk = self._desk
        try:
            desk.guard.spend(request.client)
        except Refusal as refusal:
            return refuse(request, _OPENAI, refusal)
        request.setHeader(b"content-type", MEDIA_TYPE.encode())
        return metrics_body(desk.slots, desk.accounts)

    @app.route("/health", methods=["GET"])
    @app.route("/healthz", methods=["GET"])
    @app.route("/", methods=["GET"])
    def health(self, request: IRequest) -> bytes:
        """The process answers."""
        return _json(request, jsontext.dumps({"status": "ok"}))

    @app.route("/readyz", methods=["GET"])
    def ready(self, request: IRequest) -> bytes:
        """Which providers are usable; 503 while none is."""
        is_ready, body = readiness(self._desk.accounts)
        request.setResponseCode(200 if is_ready else 503)
        return _json(request, body)

    @app.route("/openapi.json", methods=["GET"])
    def description(self, request: Any) -> bytes:
        """All of these routes, for programs: OpenAPI."""
        try:
            self._desk.guard.spend(request.client)
        except Refusal as refusal:
            return refuse(request, _OPENAI, refusal)
        return _json(request, document(self._facts()))

    @app.route("/api/providers/<name>/heal", methods=["POST"])
    def heal_provider(self, request: IRequest, name: str) -> bytes:
        """Have a provider asked again that is left alone, by the owner's command."""
        try:
            self._desk.guard.check_owner(request)
            return _json(request, heal(self._desk.accounts, name))
        except Refusal as refusal:
            return refuse(request, _OPENAI, refusal)

    @app.route("/ca", methods=["GET"])
    @app.route("/ca.pem", methods=["GET"])
    def authority(self, request: IRequest) -> bytes:
        """How to trust the daemon's own certificate authority, and its certificate, for everybody."""
        document = self._public("/ca.pem" if request.path == b"/ca.pem" else "/ca")
        if document is None:
            return refuse(request, _OPENAI, _routing_refusal(NotFound(), request))
        for name, value in document.headers.items():
            request.setHeader(name.encode(), value.encode())
        request.setHeader(b"content-length", b"%d" % len(document.body))
        return document.body

    @app.route("/", methods=["OPTIONS"])
    @app.route("/<path:path>", methods=["OPTIONS"])
    def preflight(self, request: Any, path: str = "") -> bytes:
        """A browser asks before it lets a page ask."""
        self._desk.guard.preflight(request)
        request.setResponseCode(204)
        return b""

    @app.handle_errors(HTTPException)
    def no_route(self, request: IRequest, failure: Failure) -> bytes:
        """What Klein would answer in HTML."""
        return refuse(request, _OPENAI, _routing_refusal(failure.value, request))

    @app.handle_errors(Exception)
    def fault(self, request: IRequest, failure: Failure) -> bytes:
        """A fault of chatmock: logged whole, told in one sentence."""
        self.log.failure("a request failed for a fault of chatmock", failure=failure)
        answering: Any = request
        if answering.startedWriting:
            # The client must not take what it has for a whole answer.
            if answering.producer is not None:
                answering.unregisterProducer()
            answering.transport.abortConnection()
            return b""
        return refuse(request, _OPENAI, fault_of_ours())

    def _facts(self) -> Facts:
        desk = self._desk
        by_name = desk.accounts.by_name
        usable = tuple(desk.accounts.ready)
        return Facts(
            key_needed=desk.guard.access.needed,
            providers=usable,
            accounts=tuple(by_name),
            has_chats=any(by_name[name].has_chats for name in usable),
            max_messages=desk.limits.max_messages,
            max_message_chars=desk.limits.max_message_chars,
        )

    def _rows(self, known: Mapping[str, Catalogue], key: Key | None) -> list[Row]:
        accounts = self._desk.accounts
        rows = listing(accounts.default, {name: known[name] for name in accounts.offered})
        return [row for row in rows if may_use(key, _upstream_name(row))]

    async def _read(self, request: Any, body: Callable[[Mapping[str, Catalogue]], bytes]) -> bytes:
        """A question about the catalogue: counted like any other, never queued."""
        try:
            self._desk.guard.spend(request.client)
            return _json(request, body(await self._desk.discovery.catalogues()))
        except Refusal as refusal:
            return refuse(request, _OPENAI, refusal)


def _upstream_name(row: Row) -> str:
    """The listed model's name at its upstream, by which keys allow it."""
    shown, provider, details = row
    return shown.removeprefix(f"{provider}/") if details is None else details.id


def _json(request: IRequest, body: bytes) -> bytes:
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def _routing_refusal(error: object, request: IRequest) -> Refusal:
    allowed = sorted(set(getattr(error, "valid_methods", None) or ()) - {"HEAD", "OPTIONS"})
    if isinstance(error, MethodNotAllowed) and allowed:
        request.setHeader(b"allow", ", ".join(allowed).encode())
        return Refusal(Kind.METHOD_NOT_ALLOWED, f"This path answers {' and '.join(allowed)} only.")
    if isinstance(error, MethodNotAllowed | NotFound):
        return Refusal(
            Kind.NOT_FOUND, "There is no such path here. The API begins at /v1.", code="unknown_path"
        )
    return Refusal(Kind.BAD_REQUEST, "The request cannot be routed.")
