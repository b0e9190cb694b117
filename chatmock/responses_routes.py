"""The table of the Responses API's routes: answers, those that are kept, and the socket (spec upstreams.md, D3)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest

from chatmock import jsontext
from chatmock.dialects import OpenAIResponses
from chatmock.dialects.responses_listing import item_list
from chatmock.errors import Kind, Refusal, bad_request
from chatmock.exchange import Desk
from chatmock.heads import query_argument
from chatmock.jsontext import JSONError
from chatmock.kept_answers.database import KeptFailed
from chatmock.kept_answers.entries import KeptAnswer, owner_of
from chatmock.kept_answers.live import KeptAnswers
from chatmock.responses_memory import ResponsesMemory
from chatmock.table import Table, handle_errors

if TYPE_CHECKING:
    from chatmock.responses_sockets import ResponsesSockets

_DIALECT = OpenAIResponses()


class ResponsesRoutes(Table):
    """What clients of the Responses API ask."""

    app = Klein()
    app.url_map.merge_slashes = False

    def __init__(self, desk: Desk, kept: KeptAnswers) -> None:
        super().__init__(desk, _DIALECT)
        self._kept = kept
        self._sockets: ResponsesSockets | None = None

    @property
    def sockets(self) -> ResponsesSockets:
        """The sockets; Autobahn comes with the first, for it takes time and memory that most daemons have no use for."""
        if self._sockets is None:
            from chatmock.responses_sockets import ResponsesSockets

            self._sockets = ResponsesSockets(self.desk, self._kept, self.desk.limits.max_body_bytes)
        return self._sockets

    async def stop(self) -> None:
        """Close the sockets; they are gone when this returns."""
        if self._sockets is not None:
            await self._sockets.stop()

    @app.route("/v1/responses", methods=["POST"])
    def create(self, request: Any) -> Deferred[bytes | None]:
        """An answer."""
        return self.desk.answer(request, _DIALECT, ResponsesMemory(self._kept, owner_of(request.client)))

    @app.route("/v1/responses", methods=["GET"])
    def socket(self, request: IRequest) -> Deferred[bytes] | bytes:
        """A WebSocket, for many answers one after the other."""
        try:
            return self.sockets.accept(request)
        except Refusal as refusal:
            return self.refuse(request, refusal)

    @app.route("/v1/responses/<name>", methods=["GET"])
    async def retrieve(self, request: Any, name: str) -> bytes:
        """An answer that is kept."""

        async def told() -> bytes:
            if (query_argument(request, b"stream") or "").lower() in ("true", "1"):
                raise bad_request(
                    "A kept answer is given whole: its records are not kept. Leave out 'stream'.",
                    param="stream",
                )
            kept = await self._found(request, name)
            try:
                return kept.response
            except JSONError:
                raise _not_found(name) from None

        return await self._counted(request, told)

    @app.route("/v1/responses/<name>", methods=["DELETE"])
    async def delete(self, request: Any, name: str) -> bytes:
        """Forget an answer."""

        async def told() -> bytes:
            owner = owner_of(request.client)
            was_remembered = self._sockets is not None and self._sockets.recent.delete(owner, name)
            try:
                was_there = await self._kept.forget(owner, name) or was_remembered
            except KeptFailed as failed:
                raise Refusal(Kind.INTERNAL, str(failed), code="not_deleted") from None
            if not was_there:
                raise _not_found(name)
            return jsontext.dumps({"id": name, "object": "response", "deleted": True})

        return await self._counted(request, told)

    @app.route("/v1/responses/<name>/input_items", methods=["GET"])
    async def input_items(self, request: Any, name: str) -> bytes:
        """What an answer was given to."""

        async def told() -> bytes:
            kept = await self._found(request, name)
            asked = [query_argument(request, each) or "" for each in (b"order", b"limit", b"after")]
            try:
                return item_list(kept.items, kept.id, *asked)
            except JSONError:
                raise _not_found(name) from None

        return await self._counted(request, told)

    @app.route("/v1/responses/<name>/cancel", methods=["POST"])
    async def cancel(self, request: Any, name: str) -> bytes:
        """Nothing: what is kept has ended."""

        async def told() -> bytes:
            await self._found(request, name)
            raise bad_request(
                "Only a response in the background can be cancelled, and this server has none: leave the stream instead.",
                code="not_cancellable",
            )

        return await self._counted(request, told)

    @app.route("/v1/responses/input_tokens", methods=["POST"])
    def input_tokens(self, request: Any) -> bytes:
        """Tokens are counted by upstreams only, in their answers."""
        return self.counted(
            request, _missing("counts no tokens before they are sent; an answer's 'usage' has them")
        )

    @app.route("/v1/responses/compact", methods=["POST"])
    def compact(self, request: Any) -> bytes:
        """Conversations are not compacted."""
        return self.counted(
            request, _missing("compacts no conversations. Ask a model for a summary, and go on from that")
        )

    async def _counted(self, request: Any, told: Callable[[], Coroutine[Any, Any, bytes]]) -> bytes:
        """An answer out of what is kept: counted against the rate like any other, never queued."""
        try:
            self.spend(request)
            return self.json(request, await told())
        except Refusal as refusal:
            return self.refuse(request, refusal)

    async def _found(self, request: Any, id: str) -> KeptAnswer:
        found = await self._kept.find(owner_of(request.client), id)
        if found is None:
            raise _not_found(id)
        return found


def _not_found(id: str) -> Refusal:
    """In OpenAI's words. Whether another client has such an answer is not told."""
    return Refusal(Kind.NOT_FOUND, f"Response with id '{id[:100]}' not found.")


def _missing(what: str) -> Callable[[], bytes]:
    def refuse() -> bytes:
        raise Refusal(Kind.NOT_IMPLEMENTED, f"This server {what}.", code="not_implemented")

    return refuse


handle_errors(ResponsesRoutes.app, _DIALECT)
