"""What a client sends of earlier answers to an upstream that is asked to keep none (spec chatgpt.md, 2.3, 2.4; upstreams.md,
D3): its thinking goes in a form that only the upstream reads, and there is nothing that an id could refer to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from chatmock.conversation import ChatRequest, Message, Reasoning, Source
from chatmock.errors import bad_request
from chatmock.providers.client_fields import quoted

SEALS: Final = "reasoning.encrypted_content"
"""What ``include`` has for who wants that form."""
SEALED: Final = "encrypted_content"
"""The field of a ``reasoning`` item that has it."""
SEALS_NOTE: Final = "x-chatmock-thinking"
"""The response header for a client whose model is not told what it has thought before."""


def refuse_reference(item: Mapping[str, Any], where: str, title: str) -> None:
    """Refuse *item*, which stands at *where*, if it only refers to one that the upstream *title* would have kept.

    :raises Refusal: bad request, which names the item.
    """
    kind = item.get("type")
    if kind == "item_reference" or (kind is None and "role" not in item and "id" in item):
        raise bad_request(
            f"{where!r} refers to the item {quoted(item.get('id'))}, which {title} does not keep. Send the item itself, "
            "or go on from the answer by 'previous_response_id'.",
            param=where,
        )


def is_bare_thinking(item: object) -> bool:
    """Whether *item* is thinking of which an upstream that has not kept it can make nothing."""
    return isinstance(item, Mapping) and item.get("type") == "reasoning" and not item.get(SEALED)


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


def left_out(title: str) -> str:
    """What :data:`SEALS_NOTE` tells of a request that was sent again by :func:`without_seals`."""
    return f"of earlier turns left out, for {title} cannot read it"


def _without(message: Message) -> Message:
    kept = tuple(part for part in message.parts if not (isinstance(part, Reasoning) and part.sealed))
    return message if len(kept) == len(message.parts) else attrs.evolve(message, parts=kept)


def _is_sealed(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "reasoning" and bool(item.get(SEALED))
