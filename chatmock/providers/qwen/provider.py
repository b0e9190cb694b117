"""The Qwen provider: the owner's chat.qwen.ai account, asked as its web page asks (spec upstreams.md, A1)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence

import attrs

from chatmock import jsontext
from chatmock.conversation import ChatRequest, Identity
from chatmock.errors import Refusal
from chatmock.model import Model
from chatmock.providers.interface import (
    IGNORED,
    Amendment,
    Credential,
    Headers,
    Passage,
    StreamDecoder,
    UpstreamRequest,
)
from chatmock.providers.output_limits import limit_notes, limited
from chatmock.providers.qwen import contract, request
from chatmock.providers.qwen.decoder import QwenDecoder
from chatmock.providers.qwen.errors import read_refusal, tells_error
from chatmock.providers.qwen.features import asked_features
from chatmock.providers.qwen.history import read_leaf
from chatmock.providers.qwen.models import read_models
from chatmock.providers.qwen.tool_calling import FAULT, ToolCallingDecoder
from chatmock.providers.qwen.tool_offer import Offer, offer
from chatmock.providers.qwen.tool_prompt import INVALID_TOOL_CALL, NO_TOOL_CALL, repair_note
from chatmock.providers.qwen.transcript import Prompt, continuation, whole
from chatmock.settings import Secret


@attrs.frozen
class Wanted:
    """What a request comes to, whichever chat it is asked in."""

    offered: Offer
    features: Mapping[str, object]
    """The ``feature_config``."""
    notes: Mapping[str, str]
    """Headers for the client that say what was changed about its request."""


@attrs.frozen
class Message:
    """Where and what to ask."""

    chat_id: str
    parent_id: str | None
    content: str = attrs.field(repr=False)
    files: Sequence[Mapping[str, object]] = attrs.field(default=(), repr=False)


@attrs.frozen
class Qwen:
    """The :class:`~chatmock.providers.interface.Provider`. Its answers take several calls."""

    base_url: str
    """Without a slash at its end."""
    cookies: Secret | None = None
    more_headers: Mapping[str, Secret] = attrs.field(factory=dict)
    """Whatever else the owner's browser sends."""
    default_model: str | None = None
    pinned: str | None = None
    """The chat of requests that choose none; None for one for each conversation."""
    token: Secret | None = None
    name: str = attrs.field(default="qwen", init=False)
    title: str = attrs.field(default=contract.TITLE, init=False)
    wires: Collection[str] = attrs.field(default=(), init=False)
    retired: Mapping[str, str] = attrs.field(factory=dict, init=False)
    presumed: Sequence[Model] = attrs.field(default=(), init=False)
    efforts: Sequence[str] = attrs.field(default=contract.EFFORTS, init=False)
    embedder: None = attrs.field(default=None, init=False)

    def wanted(self, chat: ChatRequest) -> Wanted:
        """Check *chat* against what the site can do.

        :raises Refusal: bad request that names the field.
        """
        features = asked_features(chat)
        notes = dict(limit_notes(chat))
        if features.ignored:
            notes[IGNORED] = ", ".join(features.ignored)
        return Wanted(offer(chat), features.config, notes)

    def prompt(self, chat: ChatRequest, wanted: Wanted, start: int = 0) -> Prompt:
        """The one message that asks *chat*.

        :param start: the index of the first message that the chat at the site lacks.
        :raises Refusal: bad request, for parts that are neither text nor inline picture, and for more than the site takes.
        """
        offered = wanted.offered
        prompt = continuation(chat, offered, start) if start else whole(chat, offered)
        nobody = str(uuid.UUID(int=0))
        message = Message(nobody, nobody, prompt.text)
        room = contract.ENTRY_BYTES * len(prompt.images)
        self._completion(chat, wanted, message, 0.0, room)
        return prompt

    def repair(self, chat: ChatRequest) -> Prompt:
        """The message that asks once more, after an answer without the call that it was to make."""
        return Prompt(chat.note)

    def chosen(self, chat: ChatRequest) -> str | None:
        """The chat that *chat* is to be asked in, where it was chosen by its id."""
        return chat.upstream_chat or self.pinned

    def new_chat_request(self, model: str, credential: Credential, now: float) -> UpstreamRequest:
        """The HTTP request that opens a chat. *now*: Unix time in seconds."""
        body = request.new_chat(model, int(now * 1000))
        return self._post(contract.NEW_CHAT_PATH, jsontext.dumps(body), credential, "application/json")

    def read_new_chat(self, body: bytes) -> str:
        """The id of the chat that was opened.

        :raises Refusal: what the site said instead.
        """
        try:
            data = jsontext.loads_object(body).get("data")
        except jsontext.JSONError:
            data = None
        id = data.get("id") if isinstance(data, dict) else None
        if not isinstance(id, str) or not id:
            raise read_refusal(200, {}, body)
        return id

    def chat_request(self, chat_id: str, credential: Credential) -> UpstreamRequest:
        """The HTTP request for what a chat holds."""
        path = contract.CHAT_PATH.format(chat_id=chat_id)
        headers = self.headers(credential, "application/json", chat_id)
        return UpstreamRequest("GET", f"{self.base_url}{path}", headers)

    def read_leaf(self, body: bytes) -> str | None:
        """The id of the answer that a chat goes on from, out of what it holds; None for a chat without one.

        :raises Refusal: what the site said instead, or that its form is another one.
        """
        return read_leaf(body)

    def completion_request(
        self, chat: ChatRequest, wanted: Wanted, message: Message, credential: Credential, now: float
    ) -> UpstreamRequest:
        """The HTTP request that asks *message*. *now*: Unix time in seconds.

        :raises Refusal: bad request, when it is longer than the site takes.
        """
        data = self._completion(chat, wanted, message, now)
        path = f"{contract.COMPLETIONS_PATH}?chat_id={message.chat_id}"
        asking = self._post(path, data, credential, "text/event-stream", message.chat_id)
        return attrs.evolve(asking, stream=True, notes=wanted.notes)

    def _completion(
        self, chat: ChatRequest, wanted: Wanted, message: Message, now: float, room: int = 0
    ) -> bytes:
        return request.encoded(
            request.completion(
                message.chat_id,
                message.parent_id,
                chat.model,
                message.content,
                message.files,
                wanted.features,
                int(now),
                lambda: str(uuid.uuid4()),
            ),
            room,
        )

    def stop_request(self, chat_id: str, response_id: str, credential: Credential) -> UpstreamRequest:
        """The HTTP request that ends an answer; *response_id* may be empty where it has not been told."""
        body = jsontext.dumps(request.stop(chat_id, response_id))
        return self._post(contract.STOP_PATH, body, credential, "application/json", chat_id)

    def check_stop(self, status: int, headers: Headers, body: bytes) -> None:
        """Read the answer to :meth:`stop_request`.

        :raises Refusal: when it is not confirmed.
        """
        try:
            told = jsontext.loads_object(body)
        except jsontext.JSONError:
            raise read_refusal(status, headers, body) from None
        if status != 200 or tells_error(told):
            raise read_refusal(status, headers, body)

    def answer_decoder(
        self, stream: QwenDecoder, chat: ChatRequest, wanted: Wanted, id_prefix: str
    ) -> StreamDecoder:
        """What finds calls and limits in the answer that *stream* reads."""
        decoder: StreamDecoder = stream
        offered = wanted.offered
        if offered.usable:
            choice = chat.tool_choice if offered.forced else attrs.evolve(chat.tool_choice, mode="auto")
            decoder = ToolCallingDecoder(
                decoder, offered.usable, choice, offered.parallel, id_prefix, chat.stream
            )
        return limited(decoder, chat, chat.max_tokens)

    def decoder(self, chat: ChatRequest) -> StreamDecoder:
        """A fresh decoder of the plain stream."""
        return QwenDecoder(self.title, contract.RECORD_LIMIT)

    def amend(self, chat: ChatRequest, refusal: Refusal) -> Amendment | None:
        """Ask once more: for a call that was forced and came as prose, an answer that was empty, in a chat that was busy,
        or in a new chat for one that was deleted."""
        if refusal.code in (NO_TOOL_CALL, INVALID_TOOL_CALL):
            fault = refusal.more.get(FAULT)
            note = repair_note(offer(chat), fault if isinstance(fault, str) else None)
            return Amendment(attrs.evolve(chat, note=note), {})
        deleted = refusal.code == contract.CHAT_NOT_FOUND and self.chosen(chat) is None
        again = deleted or refusal.code in ("upstream_empty", contract.CHAT_BUSY, contract.PARENT_NOT_FOUND)
        return Amendment(chat, {}) if again else None

    def passage(self, chat: ChatRequest, identity: Identity) -> Passage | None:
        """None: no client speaks the site's own language."""
        return None

    def refusal(self, status: int, headers: Headers, body: bytes) -> Refusal:
        """Read an answer that is not a success."""
        return read_refusal(status, headers, body)

    def catalogue_request(self, credential: Credential) -> UpstreamRequest:
        """The HTTP request for the list of models."""
        headers = self.headers(credential, "application/json")
        return UpstreamRequest("GET", f"{self.base_url}{contract.MODELS_PATH}", headers)

    def read_catalogue(self, body: bytes) -> Sequence[Model]:
        """The models of a catalogue answer."""
        return read_models(body)

    def headers(self, credential: Credential, accept: str, chat_id: str = "") -> dict[str, str]:
        """The headers of a request; the owner's own go before ours."""
        headers = {
            "Accept": accept,
            "Referer": f"{contract.SITE}/c/{chat_id}" if chat_id else f"{contract.SITE}/",
            "source": contract.SOURCE,
            "Version": contract.VERSION,
        }
        if credential.token is not None:
            headers["Authorization"] = f"Bearer {credential.token.reveal()}"
        if self.cookies is not None:
            headers["Cookie"] = self.cookies.reveal()
        return _merged(headers, {name: value.reveal() for name, value in self.more_headers.items()})

    def _post(
        self, path: str, body: bytes, credential: Credential, accept: str, chat_id: str = ""
    ) -> UpstreamRequest:
        headers = _merged(self.headers(credential, accept, chat_id), {"Content-Type": "application/json"})
        return UpstreamRequest("POST", f"{self.base_url}{path}", headers, body)


def _merged(headers: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Both, those of *others* in the place of any of the same name, in whatever letters."""
    known = {name.lower() for name in others}
    return {**{name: value for name, value in headers.items() if name.lower() not in known}, **others}
