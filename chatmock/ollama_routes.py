"""The table of Ollama's routes (spec upstreams.md, E1 and E3). No logic: each hands its request to a dialect, the desk
or the catalogue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.web.iweb import IRequest

from chatmock import jsontext
from chatmock.dialects import OllamaChat, OllamaGenerate
from chatmock.dialects.ollama_chat import STREAM_TYPE
from chatmock.dialects.ollama_embed import OllamaEmbed, OllamaEmbeddings
from chatmock.dialects.ollama_models import (
    ShownModel,
    loaded_body,
    nothing_body,
    show_body,
    shown_row,
    status_body,
    tags_body,
    version_body,
)
from chatmock.dialects.ollama_parse import read_body, read_model, untagged
from chatmock.dialects.reading import read_shape
from chatmock.embedding import embed
from chatmock.errors import Kind, Refusal
from chatmock.exchange import Desk
from chatmock.heads import query_argument
from chatmock.jsontext import Struct
from chatmock.loaded_models import LoadedModels
from chatmock.moved_ollama import MovedOllama
from chatmock.routing import Destination
from chatmock.table import Table, handle_errors

_CHAT: Final = OllamaChat()
_GENERATE: Final = OllamaGenerate()
_EMBED: Final = OllamaEmbed(_CHAT)
_EMBEDDINGS: Final = OllamaEmbeddings(_CHAT)
_MOST_BYTES: Final = 64 * 1024
"""Of a request that names a model and little else."""
_PULLED: Final = ("pulling manifest", "success")


_About = Callable[[Mapping[str, Any], Destination], Awaitable[bytes | None]]
"""Answers about a model: given the request's fields, and where a request for the model would go."""


class NamedBody(Struct):
    """A request about one model."""

    model: str | None = None
    name: str | None = None
    """The older name of the same."""
    stream: bool | None = None


class OllamaRoutes(Table):
    """What Ollama's clients ask besides what OpenAI's do."""

    app = Klein()
    app.url_map.merge_slashes = False

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, _CHAT)
        self._moved = MovedOllama(desk)
        self._loaded = LoadedModels(desk)

    @app.route("/api/chat", methods=["POST"])
    def chat(self, request: IRequest) -> Deferred[bytes | None]:
        """A chat."""
        return self.desk.answer(request, _CHAT)

    @app.route("/api/generate", methods=["POST"])
    def generate(self, request: IRequest) -> Deferred[bytes | None]:
        """A text."""
        return self.desk.answer(request, _GENERATE)

    @app.route("/api/embed", methods=["POST"])
    def embed(self, request: IRequest) -> Deferred[bytes | None]:
        """The embeddings of texts."""
        return embed(self.desk, request, _EMBED)

    @app.route("/api/embeddings", methods=["POST"])
    def embeddings(self, request: IRequest) -> Deferred[bytes | None]:
        """The embedding of one text."""
        return embed(self.desk, request, _EMBEDDINGS)

    @app.route("/api/version", methods=["GET"])
    def version(self, request: IRequest) -> bytes:
        """Which Ollama's API this is."""
        return self.counted(request, version_body)

    @app.route("/api/tags", methods=["GET"])
    async def tags(self, request: Any) -> bytes:
        """Every model of every usable provider that the client's key allows."""
        key = request.client.key
        return await self.read(request, lambda known: tags_body(self.rows(known, key)))

    @app.route("/api/ps", methods=["GET"])
    async def loaded(self, request: Any) -> bytes:
        """The models in memory: of an Ollama that was moved aside, as far as the client's key allows; none is in ours."""
        try:
            self.spend(request)
            key = request.client.key
            known = await self.desk.discovery.catalogues()
            loaded = await self._loaded.listed(self.rows(known, key), key)
            return self.json(request, loaded_body((shown_row(row), facts) for row, facts in loaded))
        except Refusal as refusal:
            return self.refuse(request, refusal)

    @app.route("/api/status", methods=["GET"])
    def status(self, request: IRequest) -> bytes:
        """Whether Ollama's cloud is to be had: not through chatmock itself."""
        return self.counted(request, status_body)

    @app.route("/api/me", methods=["POST"])
    def me(self, request: IRequest) -> bytes:
        """Who is signed in at ollama.com: nobody, and no client can change that."""

        def refused() -> bytes:
            request.setHeader(b"www-authenticate", b"Bearer")
            raise Refusal(
                Kind.UNAUTHENTICATED,
                "unauthorized: chatmock is signed in at no ollama.com, and needs not be. For cloud models of an Ollama"
                " behind it, its owner runs ollama signin on that one's machine.",
                code="signin_required",
            )

        return self.counted(request, refused)

    @app.route("/api/signout", methods=["POST"])
    def signout(self, request: IRequest) -> bytes:
        """Nobody is signed in, so all is as it is to be."""
        return self.counted(request, nothing_body)

    @app.route("/api/show", methods=["POST"])
    async def show(self, request: Any) -> bytes | None:
        """One model, as the Ollama it is at shows it, or as far as the catalogue knows it."""

        async def body(asked: Mapping[str, Any], to: Destination) -> bytes:
            if self._moved.is_behind(to.account):
                return self.json(request, await self._moved.show(request, to, asked))
            return self.json(
                request, show_body(ShownModel(to.asked, to.account.provider.name, to.model, to.details))
            )

        return await self._about(request, body)

    @app.route("/api/pull", methods=["POST"])
    async def pull(self, request: Any) -> bytes | None:
        """Fetch a model: there is nothing to be fetched of one that is not at an Ollama."""

        async def body(asked: Mapping[str, Any], to: Destination) -> bytes | None:
            if self._moved.is_behind(to.account):
                last = await self._moved.pull(request, self.dialect, to, asked)
                return None if last is None else self.json(request, last)
            if asked.get("stream") is False:
                return self.json(request, jsontext.dumps({"status": _PULLED[-1]}))
            answer = self.json(
                request, b"".join(jsontext.dumps({"status": each}) + b"\n" for each in _PULLED)
            )
            request.setHeader(b"content-type", STREAM_TYPE.encode())
            return answer

        return await self._about(request, body)

    @app.route("/api/create", methods=["POST"])
    @app.route("/api/copy", methods=["POST"])
    @app.route("/api/push", methods=["POST"])
    @app.route("/api/delete", methods=["DELETE"])
    @app.route("/api/blobs/<digest>", methods=["HEAD", "POST"])
    def change(self, request: IRequest, digest: str = "") -> bytes:
        """What changes the models of an Ollama."""

        def refused() -> bytes:
            raise Refusal(
                Kind.NOT_IMPLEMENTED,
                "chatmock keeps no models of its own, so none can be made, copied, pushed or deleted here. Which there are"
                " follows from its providers' settings; GET /api/tags lists them.",
                code="no_local_models",
            )

        return self.counted(request, refused)

    async def _about(self, request: Any, answer: _About) -> bytes | None:
        """The *answer* about the model that a request names: counted like any other, never queued."""
        name = ""
        try:
            self.spend(request)
            fields = _read(request)
            asked = read_shape(fields, NamedBody)
            name = read_model(asked.model or asked.name)
            wanted = query_argument(request, b"provider")
            to = await self.desk.router.route(name, untagged(name), wanted, request.client.key)
            return await answer(fields, to)
        except Refusal as refusal:
            refusal.model = name
            return self.refuse(request, refusal)


def _read(request: Any) -> Mapping[str, Any]:
    body = request.content.read(_MOST_BYTES + 1)
    request.content.close()
    if len(body) > _MOST_BYTES:
        raise Refusal(Kind.TOO_LARGE, f"A request about a model has at most {_MOST_BYTES} bytes.")
    return read_body(body)


handle_errors(OllamaRoutes.app, _CHAT)
