"""Ollama's chat: ``POST /api/chat`` (spec upstreams.md, E2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from chatmock.answer import Answer
from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects.ollama_answer import OllamaEncoder, whole
from chatmock.dialects.ollama_errors import error_body
from chatmock.dialects.ollama_messages import MessageBody, check_roles, read_messages, read_tools
from chatmock.dialects.ollama_parse import (
    HOMED,
    OllamaBody,
    check_abilities,
    loading,
    ollama_fields,
    read_body,
)
from chatmock.dialects.reading import read_shape
from chatmock.errors import Refusal

STREAM_TYPE: Final = "application/x-ndjson"
_HOMED: Final = HOMED | {"messages", "tools"}


class ChatBody(OllamaBody):
    """The fields of a chat that chatmock reads itself."""

    messages: list[MessageBody] | None = None
    tools: list[dict[str, Any]] | None = None


@attrs.frozen
class OllamaChat:
    """The :class:`~chatmock.dialects.interface.Dialect`."""

    name: str = attrs.field(default="ollama-chat", init=False)
    stream_type: str = attrs.field(default=STREAM_TYPE, init=False)
    request_id_header: None = attrs.field(default=None, init=False)

    def comment(self, text: str) -> bytes:
        """Nothing: each line of these streams means something."""
        return b""

    def parse(self, body: bytes) -> ChatRequest:
        """Read a request; without messages it only has the model loaded, or let go."""
        fields = read_body(body)
        asked = read_shape(fields, ChatBody)
        load = None if asked.messages else loading(asked.keep_alive)
        return ChatRequest(
            messages=read_messages(asked.messages or ()),
            tools=read_tools(asked.tools),
            **ollama_fields(asked, fields, self.name, load, _HOMED),
        )

    def check_translated(self, chat: ChatRequest) -> None:
        """Refuse roles that only an Ollama knows, and what the model is known not to do."""
        if chat.source is not None:
            check_roles(chat.source.body.get("messages") or ())
            check_abilities(chat, chat.source.body)

    def encoder(self, chat: ChatRequest, identity: Identity) -> OllamaEncoder:
        """A fresh encoder."""
        return OllamaEncoder(chat, identity, chat_form)

    def complete(self, chat: ChatRequest, identity: Identity, answer: Answer) -> bytes:
        """A whole answer."""
        return whole(chat, identity, answer, chat_form)

    def refuse(self, refusal: Refusal, request_id: str = "") -> bytes:
        """An error body."""
        return error_body(refusal)

    def status(self, refusal: Refusal) -> int:
        """Its status."""
        return refusal.status


def chat_form(text: str, thinking: str, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is said, as a message; thinking and calls only where there are any."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {"message": message}
