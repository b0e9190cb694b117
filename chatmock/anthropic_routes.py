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
from chatmock.catalogue import Catalogue, unknown_model
from chatmock.dialects import Anthropic
from chatmock.dialects.anthropic_models import Page, model_body, models_page, with_aliases
from chatmock.dialects.anthropic_parse import named
from chatmock.errors import Kind, Refusal
from chatmock.exchange import Desk
from chatmock.heads import query_argument, refuse
from chatmock.surface import under
from chatmock.table import Table, handle_errors, routing_refusal
from chatmock.token_count import METHOD, count_tokens

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
        super().__init__(desk, _ANTHROPIC)
        self._messages = Anthropic(aliases)
        self._aliases = aliases

    @app.route("/v1/messages", methods=["POST"])
    def messages(self, request: IRequest) -> Deferred[bytes | None]:
        """A message."""
        return self.desk.answer(request, self._messages)

    @app.route("/v1/messages/count_tokens", methods=["POST"])
    def count_tokens(self, request: Any) -> bytes:
        """About how many tokens a message takes, within the same limits; never queued."""

        def body() -> bytes:
            chat, _ = self.desk.limits.apply(self._messages.parse_count(request.content.read()))
            request.setHeader(b"x-chatmock-estimate", METHOD.encode())
            return jsontext.dumps({"input_tokens": count_tokens(chat)})

        return self.counted(request, body)

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

        def body(known: Mapping[str, Catalogue]) -> bytes:
            rows = {row[0]: row for row in self.rows(known, request.client.key)}
            found = rows.get(named(name, self._aliases) or name)
            if found is None:
                raise unknown_model(name, list(rows), "here")
            return model_body((name, *found[1:]))

        return await self.read(request, body)

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
    """Whether *request* is for this table: by its path, or for the models by the header that Anthropic's clients send."""
    return _MESSAGES(request) or (_MODELS(request) and request.requestHeaders.hasHeader(b"anthropic-version"))
