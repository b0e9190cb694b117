"""The table of routes. No logic: each hands its request to a dialect, the desk or the catalogue."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest
from werkzeug.exceptions import NotFound

from chatmock import jsontext
from chatmock.admission.queue_report import queue_body
from chatmock.catalogue import Catalogue, unknown_model
from chatmock.conversation import Thinking
from chatmock.dialects import OpenAIChat, OpenAICompletions
from chatmock.dialects.openai_embeddings import OpenAIEmbeddings
from chatmock.dialects.openai_models import model_body, models_body
from chatmock.embedding import embed
from chatmock.errors import Refusal
from chatmock.exchange import Desk
from chatmock.heads import refuse
from chatmock.metrics import MEDIA_TYPE, metrics_body
from chatmock.openapi import Facts, document
from chatmock.readiness import heal, readiness
from chatmock.table import Table, handle_errors, json, routing_refusal
from chatmock.tls.page import Document

_OPENAI = OpenAIChat()
"""For refusals, which are the same in every form of thinking."""
_COMPLETIONS = OpenAICompletions()
_EMBEDDINGS = OpenAIEmbeddings()


class Routes(Table):
    """The HTTP surface of the daemon."""

    app = Klein()
    app.url_map.merge_slashes = False

    def __init__(
        self, desk: Desk, thinking: Thinking, public: Callable[[str], Document | None] = lambda _: None
    ) -> None:
        super().__init__(desk, _OPENAI)
        self._public = public
        self._chat = OpenAIChat(thinking)
        self._started = int(time.time())

    @app.route("/v1/chat/completions", methods=["POST"])
    def chat_completions(self, request: IRequest) -> Deferred[bytes | None]:
        """OpenAI chat."""
        return self.desk.answer(request, self._chat)

    @app.route("/v1/completions", methods=["POST"])
    def completions(self, request: IRequest) -> Deferred[bytes | None]:
        """OpenAI text completion."""
        return self.desk.answer(request, _COMPLETIONS)

    @app.route("/v1/embeddings", methods=["POST"])
    def embeddings(self, request: IRequest) -> Deferred[bytes | None]:
        """OpenAI embeddings."""
        return embed(self.desk, request, _EMBEDDINGS)

    @app.route("/v1/models", methods=["GET"])
    async def models(self, request: Any) -> bytes:
        """Every model of every usable provider that the client's key allows."""
        key = request.client.key
        return await self.read(request, lambda known: models_body(self.rows(known, key), self._started))

    @app.route("/v1/models/<path:name>", methods=["GET"])
    async def model(self, request: Any, name: str) -> bytes:
        """One model."""

        def body(known: Mapping[str, Catalogue]) -> bytes:
            rows = {row[0]: row for row in self.rows(known, request.client.key)}
            if name not in rows:
                raise unknown_model(name, list(rows), "here")
            return model_body(rows[name], self._started)

        return await self.read(request, body)

    @app.route("/v1/usage", methods=["GET"])
    def usage(self, request: Any) -> bytes:
        """What is left of the owner's plans, as the upstreams last told."""
        return self.counted(request, self.desk.limits_left)

    @app.route("/api/queue", methods=["GET"])
    def queue(self, request: Any) -> bytes:
        """How many wait, and where the client that asks stands among them; never queued itself."""
        return self.counted(request, lambda: queue_body(self.desk.slots.report(request.client)))

    @app.route("/metrics", methods=["GET"])
    def metrics(self, request: Any) -> bytes:
        """The daemon's figures for Prometheus; never queued."""
        desk = self.desk
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
        return json(request, jsontext.dumps({"status": "ok"}))

    @app.route("/readyz", methods=["GET"])
    def ready(self, request: IRequest) -> bytes:
        """Which providers are usable; 503 while none is."""
        is_ready, body = readiness(self.desk.accounts)
        request.setResponseCode(200 if is_ready else 503)
        return json(request, body)

    @app.route("/openapi.json", methods=["GET"])
    def description(self, request: Any) -> bytes:
        """All of these routes, for programs: OpenAPI."""
        return self.counted(request, lambda: document(self._facts()))

    @app.route("/api/providers/<name>/heal", methods=["POST"])
    def heal_provider(self, request: IRequest, name: str) -> bytes:
        """Have a provider asked again that is left alone, by the owner's command."""
        try:
            self.desk.guard.check_owner(request)
            return json(request, heal(self.desk.accounts, name))
        except Refusal as refusal:
            return refuse(request, _OPENAI, refusal)

    @app.route("/ca", methods=["GET"])
    @app.route("/ca.pem", methods=["GET"])
    def authority(self, request: IRequest) -> bytes:
        """How to trust the daemon's own certificate authority, and its certificate, for everybody."""
        document = self._public("/ca.pem" if request.path == b"/ca.pem" else "/ca")
        if document is None:
            return refuse(request, _OPENAI, routing_refusal(NotFound(), request))
        for name, value in document.headers.items():
            request.setHeader(name.encode(), value.encode())
        request.setHeader(b"content-length", b"%d" % len(document.body))
        return document.body

    @app.route("/", methods=["OPTIONS"])
    @app.route("/<path:path>", methods=["OPTIONS"])
    def preflight(self, request: Any, path: str = "") -> bytes:
        """A browser asks before it lets a page ask."""
        self.desk.guard.preflight(request)
        request.setResponseCode(204)
        return b""

    def _facts(self) -> Facts:
        desk = self.desk
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


handle_errors(Routes.app, _OPENAI)
