"""The table of Anthropic's routes (spec upstreams.md, F). No logic: each hands its request to the dialect, the desk or the
catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import NotFound

from chatmock import jsontext
from chatmock.admission.client import Key
from chatmock.catalogue import Catalogue, Row, unknown_model
from chatmock.dialects import Anthropic
from chatmock.dialects.anthropic_models import Page, model_body, models_page, with_aliases
from chatmock.dialects.anthropic_parse import named, otherwise
from chatmock.dialects.refusing import ANTHROPIC_HEADERS
from chatmock.errors import Kind, Refusal
from chatmock.exchange import Desk
from chatmock.heads import query_argument, refuse
from chatmock.providers.token_count import ESTIMATE, METHOD, count_tokens
from chatmock.surface import under
from chatmock.table import Table, handle_errors, routing_refusal

_ANTHROPIC: Final = Anthropic()
"""For refusals, which are the same whatever the models are called."""
_BATCHES: Final = b"/v1/messages/batches"
_MESSAGES: Final = under(b"/v1/messages")
_MODELS: Final = under(b"/v1/models")


class AnthropicRoutes(Table):
    """What Anthropic's clients ask.

    :param aliases: patterns of models' names, to the model that answers to each.
    """

    app = Klein()
    app.url_map.merge_slashes = False

    def __init__(self, desk: Desk, aliases: Mapping[str, str]) -> None:
        self._messages = Anthropic(aliases)
        super().__init__(desk, self._messages)
        self._aliases = aliases

    @app.route("/v1/messages", methods=["POST"])
    def messages(self, request: IRequest) -> Deferred[bytes | None]:
        """A message."""
        return self.desk.answer(request, self._messages)

    @app.route("/v1/messages/count_tokens", methods=["POST"])
    async def count_tokens(self, request: Any) -> bytes:
        """About how many tokens a message takes, within the same limits and for the same models; never queued, and no
        provider is asked."""
        asked = ""
        try:
            self.spend(request)
            chat, _ = self.desk.limits.apply(self._messages.parse_count(request.content.read()))
            asked = chat.asked_model
            provider = query_argument(request, b"provider")
            await self.desk.router.route(chat.model, chat.otherwise, provider, request.client.key)
            request.setHeader(ESTIMATE.encode(), METHOD.encode())
            return self.json(request, jsontext.dumps({"input_tokens": count_tokens(chat)}))
        except Refusal as refusal:
            refusal.model = asked
            return self.refuse(request, refusal)

    @app.route("/v1/models", methods=["GET"])
    async def models(self, request: Any) -> bytes:
        """A page of the models that the client's key allows, and of the names that stand for one of them."""
        key = request.client.key

        def body(known: Mapping[str, Catalogue]) -> bytes:
            limit, after, before = (
                query_argument(request, name) for name in (b"limit", b"after_id", b"before_id")
            )
            rows = with_aliases(self.rows(known, key), self._aliases)
            return models_page(rows, Page.read(limit, after, before))

        return await self.read(request, body)

    @app.route("/v1/models/<path:name>", methods=["GET"])
    async def model(self, request: Any, name: str) -> bytes:
        """One model, or the one that answers to a name."""
        key = request.client.key
        try:
            self.spend(request)
            rows = {row[0]: row for row in self.rows(await self.desk.discovery.catalogues(), key)}
            found = rows.get(named(name, self._aliases) or name) or await self._standing_in(name, key)
            if found is None:
                raise unknown_model(name, list(rows), "here")
            return self.json(request, model_body((name, *found[1:])))
        except Refusal as refusal:
            refusal.model = name
            return self.refuse(request, refusal)

    async def _standing_in(self, name: str, key: Key | None) -> Row | None:
        """The default model, where it answers to *name* because no provider knows that; None where it does not."""
        instead = otherwise(name, self._aliases)
        if instead is None:
            return None
        try:
            to = await self.desk.router.route(name, instead, None, key)
        except Refusal:
            return None
        return name, to.account.provider.name, to.details

    @app.handle_errors(NotFound)
    def no_route(self, request: IRequest, failure: Failure) -> bytes:
        """A path that is not here; what is missing of Anthropic's own says so."""
        if under(_BATCHES)(request):
            refusal = Refusal(
                Kind.NOT_FOUND,
                "There are no message batches here. Send each message to /v1/messages; requests wait in a queue.",
            )
            return refuse(request, _ANTHROPIC, refusal)
        return refuse(request, _ANTHROPIC, routing_refusal(failure.value, request))


handle_errors(AnthropicRoutes.app, _ANTHROPIC)


def is_anthropic(request: IRequest) -> bool:
    """Whether *request* is for this table: by its path, or for the models by a header that Anthropic's clients send."""
    return _MESSAGES(request) or (
        _MODELS(request) and any(map(request.requestHeaders.hasHeader, ANTHROPIC_HEADERS))
    )
