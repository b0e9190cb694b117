"""Ollama's text generation: ``POST /api/generate`` (spec upstreams.md, E2).

Upstreams serve chat models: the prompt goes as a user message, after ``system`` where there is one. What only a model
of an Ollama could do is refused elsewhere (``suffix``) or, where an answer makes sense without it, named as ignored
(``template``, ``raw``, ``context``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from chatmock.answer import Answer
from chatmock.conversation import ChatRequest, Identity, Message, Text
from chatmock.dialects.ollama_answer import OllamaEncoder, whole
from chatmock.dialects.ollama_chat import STREAM_TYPE
from chatmock.dialects.ollama_errors import error_body
from chatmock.dialects.ollama_messages import read_images, with_pictures
from chatmock.dialects.ollama_parse import (
    HOMED,
    OllamaBody,
    check_abilities,
    loading,
    named,
    ollama_fields,
    read_body,
)
from chatmock.dialects.reading import read_shape
from chatmock.errors import Refusal, bad_request

_HOMED: Final = HOMED | {"prompt", "system", "images", "suffix"}


class GenerateBody(OllamaBody):
    """The fields that chatmock reads itself."""

    prompt: str | None = None
    system: str | None = None
    suffix: str | None = None
    images: list[str] | None = None
    template: str | None = None
    raw: bool | None = None
    context: list[int] | None = None


@attrs.frozen
class OllamaGenerate:
    """The :class:`~chatmock.dialects.interface.Dialect`."""

    name: str = attrs.field(default="ollama-generate", init=False)
    stream_type: str = attrs.field(default=STREAM_TYPE, init=False)
    request_id_header: None = attrs.field(default=None, init=False)

    def comment(self, text: str) -> bytes:
        """Nothing: each line of these streams means something."""
        return b""

    def parse(self, body: bytes) -> ChatRequest:
        """Read a request; without a prompt it only has the model loaded, or let go."""
        fields = read_body(body)
        asked = read_shape(fields, GenerateBody)
        load = None if asked.prompt else loading(asked.keep_alive)
        return ChatRequest(
            messages=() if load is not None else _messages(asked),
            places=() if load is not None else (("system", "prompt") if asked.system else ("prompt",)),
            **ollama_fields(asked, fields, self.name, load, _HOMED),
        )

    def check_translated(self, chat: ChatRequest) -> None:
        """Refuse a suffix, which is for models of an Ollama that insert, and what the model is known not to do."""
        if chat.source is None:
            return
        if chat.source.body.get("suffix"):
            raise bad_request(
                f'"{named(chat)}" does not support insert: its upstream is asked as a chat, which has no suffix.',
                param="suffix",
            )
        check_abilities(chat, chat.source.body)

    def encoder(self, chat: ChatRequest, identity: Identity) -> OllamaEncoder:
        """A fresh encoder."""
        return OllamaEncoder(chat, identity, generate_form)

    def complete(self, chat: ChatRequest, identity: Identity, answer: Answer) -> bytes:
        """A whole answer."""
        return whole(chat, identity, answer, generate_form)

    def refuse(self, refusal: Refusal, request_id: str = "") -> bytes:
        """An error body."""
        return error_body(refusal)

    def status(self, refusal: Refusal) -> int:
        """Its status."""
        return refusal.status


def _messages(asked: GenerateBody) -> tuple[Message, ...]:
    prompt = Message("user", with_pictures(asked.prompt, read_images(asked.images, "images")))
    return (Message("system", (Text(asked.system),)), prompt) if asked.system else (prompt,)


def generate_form(text: str, thinking: str, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is said; thinking only where there is some. No tools are offered here, so there are no calls."""
    return {"response": text, "thinking": thinking} if thinking else {"response": text}
