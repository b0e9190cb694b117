"""Thinking that came sealed and that the backend cannot read any more, such as another upstream's (spec chatgpt.md, 2.3)."""

from __future__ import annotations

from typing import Any, Final

import attrs

from chatmock.conversation import ChatRequest, Message, Reasoning, Source
from chatmock.errors import Kind, Refusal

SEALS_NOTE: Final = "x-chatmock-thinking"
"""The response header for a client whose model is not told what it has thought before."""
_REFUSED: Final = "invalid_encrypted_content"


def refuses_seals(refusal: Refusal) -> bool:
    """Whether *refusal* is for a seal that the backend cannot open."""
    return refusal.kind is Kind.BAD_REQUEST and refusal.code == _REFUSED


def without_seals(chat: ChatRequest) -> ChatRequest | None:
    """*chat* without the thinking of earlier turns; None where it has none that is sealed."""
    messages = tuple(map(_without, chat.messages))
    source = chat.source
    if source is not None and isinstance(items := source.body.get("input"), list):
        kept = [item for item in items if not _is_sealed(item)]
        if len(kept) < len(items):
            source = Source(source.wire, {**source.body, "input": kept})
    changed = attrs.evolve(chat, messages=messages, source=source)
    return None if changed == chat else changed


def _without(message: Message) -> Message:
    kept = tuple(part for part in message.parts if not (isinstance(part, Reasoning) and part.sealed))
    return message if len(kept) == len(message.parts) else attrs.evolve(message, parts=kept)


def _is_sealed(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "reasoning" and bool(item.get("encrypted_content"))
