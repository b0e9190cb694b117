"""xAI's Responses API, for clients of the same (spec upstreams.md, B4): it is sent the client's own body.

It is asked to keep nothing, for chatmock does. So an answer that is kept has its thinking in xAI's own form, whether the
client wants to see that or not: what goes on from it sends it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from chatmock.conversation import ChatRequest, Identity, Source
from chatmock.errors import Kind, Refusal
from chatmock.providers.interface import Amendment
from chatmock.providers.openai_differences import NativeWire
from chatmock.providers.responses_decoder import ResponsesDecoder
from chatmock.providers.responses_echo import Echo
from chatmock.providers.responses_passage import ResponsesPassage
from chatmock.providers.responses_unkept import (
    SEALS,
    SEALS_NOTE,
    is_bare_thinking,
    left_out,
    refuse_reference,
    without_seals,
)

WIRE: Final = "openai-responses"
TITLE: Final = "xAI"
RECORD_LIMIT: Final = 32 * 1024 * 1024
"""Bytes; an event that repeats a whole answer or carries a picture goes beyond the usual megabyte."""
_OURS: Final = frozenset(["previous_response_id", "background", "stream_options"])
"""Fields that chatmock deals with itself."""


def body(chat: ChatRequest, stream: bool) -> Mapping[str, Any]:
    """The JSON that asks *chat*, whose source is a Responses body. Answers are kept by chatmock, and not at xAI as well.

    :raises Refusal: bad request, for a reference to an item.
    """
    sent = {} if chat.source is None else chat.source.body
    made = {key: value for key, value in sent.items() if key not in _OURS}
    made.update(model=chat.model, stream=stream, store=False)
    if isinstance(items := sent.get("input"), list):
        made["input"] = _input(items)
    include = _include(chat)
    if include is not None:
        made["include"] = include
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


def amended_seals(chat: ChatRequest, refusal: Refusal) -> Amendment | None:
    """*chat* once more without thinking in xAI's own form, neither sent nor, unless the client asks for it, wanted; None
    where *refusal* is for something else. How xAI says that is not known: it must name the matter."""
    said = refusal.message.lower()
    if refusal.kind is not Kind.BAD_REQUEST or not ("encrypted" in said or "reasoning" in said):
        return None
    if chat.source is None or chat.source.wire != WIRE:
        return None
    plain = without_seals(chat)
    notes = {} if plain is None else {SEALS_NOTE: left_out(TITLE)}
    made = (plain or chat).source
    if made is not None and chat.keep and not _wants_seals(chat) and _include(chat) is not None:
        made = Source(WIRE, {**made.body, "include": tuple(made.body.get("include") or ())})
        notes.setdefault(SEALS_NOTE, f"of this turn not kept, for {TITLE} does not give it")
    return Amendment(attrs.evolve(plain or chat, source=made), notes) if notes else None


def _input(items: list[Any]) -> list[Any]:
    """A client's input without what means nothing to who has kept nothing."""
    for position, item in enumerate(items):
        if isinstance(item, Mapping):
            refuse_reference(item, f"input[{position}]", TITLE)
    return [item for item in items if not is_bare_thinking(item)]


def _include(chat: ChatRequest) -> list[Any] | None:
    """What the answer is to hold besides; None for what the client wants. A tuple, which no JSON has, is what
    :func:`amended_seals` has left: nothing is to be added to it."""
    wanted = None if chat.source is None else chat.source.body.get("include")
    if not chat.keep or isinstance(wanted, tuple) or _wants_seals(chat):
        return None
    return [*(wanted if isinstance(wanted, list) else ()), SEALS]


def _wants_seals(chat: ChatRequest) -> bool:
    """Whether the client wants the thinking in xAI's own form."""
    wanted = None if chat.source is None else chat.source.body.get("include")
    return isinstance(wanted, list) and SEALS in wanted


def _decoder(title: str, limit: int, chat: ChatRequest) -> ResponsesDecoder:
    return ResponsesDecoder(title, max(limit, RECORD_LIMIT))


def _passage(title: str, limit: int, chat: ChatRequest, identity: Identity) -> ResponsesPassage:
    folds = chat.force_stream and not chat.stream
    echo = Echo.of(
        chat, identity, changed=("metadata",), hidden=("prompt_cache_key",), seals=_wants_seals(chat)
    )
    return ResponsesPassage(title, max(limit, RECORD_LIMIT), echo, keep=chat.keep, folds=folds)


RESPONSES: Final = NativeWire("/responses", body, _decoder, _passage)
