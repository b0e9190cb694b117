"""xAI's Responses API, for clients of the same (spec upstreams.md, B4): it is sent the client's own body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatmock.conversation import ChatRequest, Identity
from chatmock.providers.openai_differences import NativeWire
from chatmock.providers.responses_decoder import ResponsesDecoder
from chatmock.providers.responses_echo import Echo
from chatmock.providers.responses_passage import ResponsesPassage

WIRE: Final = "openai-responses"
RECORD_LIMIT: Final = 32 * 1024 * 1024
"""Bytes; an event that repeats a whole answer or carries a picture goes beyond the usual megabyte."""
_OURS: Final = frozenset(["previous_response_id", "background", "stream_options"])
"""Fields that chatmock deals with itself."""


def body(chat: ChatRequest, stream: bool) -> Mapping[str, Any]:
    """The JSON that asks *chat*, whose source is a Responses body. Answers are kept by chatmock, and not at xAI as well."""
    sent = {} if chat.source is None else chat.source.body
    made = {key: value for key, value in sent.items() if key not in _OURS}
    made.update(model=chat.model, stream=stream, store=False)
    wanted = made.get("max_output_tokens")
    if chat.max_tokens is not None and isinstance(wanted, int) and wanted > chat.max_tokens:
        made["max_output_tokens"] = chat.max_tokens
    if chat.session and not made.get("prompt_cache_key"):
        made["prompt_cache_key"] = chat.session
    return made


def without_effort(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The client's body *asked* without how hard the model is to think."""
    reasoning = asked.get("reasoning")
    if not isinstance(reasoning, Mapping):
        return dict(asked)
    kept = {key: value for key, value in reasoning.items() if key != "effort"}
    rest = {key: value for key, value in asked.items() if key != "reasoning"}
    return {**rest, "reasoning": kept} if kept else rest


def _decoder(title: str, limit: int, chat: ChatRequest) -> ResponsesDecoder:
    return ResponsesDecoder(title, max(limit, RECORD_LIMIT))


def _passage(title: str, limit: int, chat: ChatRequest, identity: Identity) -> ResponsesPassage:
    folds = chat.force_stream and not chat.stream
    echo = Echo.of(chat, identity, changed=("metadata",), hidden=("prompt_cache_key",))
    return ResponsesPassage(title, max(limit, RECORD_LIMIT), echo, keep=chat.keep, folds=folds)


RESPONSES: Final = NativeWire("/responses", body, _decoder, _passage)
