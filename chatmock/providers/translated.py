"""What a request of another dialect becomes before an upstream of OpenAI chat is asked.

Clients of other dialects ask for efforts and tools that these upstreams may not have, often without their user's doing: an
answer without them is still one, and the client is told. OpenAI's own clients get what they have asked for, or the refusal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from chatmock.conversation import ChatRequest
from chatmock.errors import Kind, Refusal
from chatmock.providers.client_fields import with_ignored
from chatmock.providers.efforts import EFFORT_NOTE, nearest
from chatmock.providers.interface import IGNORED, Amendment
from chatmock.providers.openai_request import without_fields

_BLAMED: Final = ("reasoning", "effort", "think")


def fitted(chat: ChatRequest, common: Sequence[str]) -> Amendment:
    """*chat* with an effort that the model has, and the notes that tell what it goes without.

    :param common: the efforts that a model is thought to have which lists none.
    """
    notes: dict[str, str] = {}
    wanted = chat.reasoning_effort
    if wanted is not None:
        listed = () if chat.details is None else chat.details.efforts
        given = nearest(wanted, listed or common) if wanted != "none" or listed else wanted
        if given != wanted:
            chat = attrs.evolve(chat, reasoning_effort=given)
            notes[EFFORT_NOTE] = f"{given} (the model has no {wanted})" if listed else given
    hosted = [f"tools.{each['type']}" for each in chat.other_tools if isinstance(each.get("type"), str)]
    if hosted:
        notes[IGNORED] = with_ignored("", hosted)
    return Amendment(chat, notes)


def without_effort(chat: ChatRequest, refusal: Refusal) -> Amendment | None:
    """*chat* without its effort, where *refusal* blames that; None for any other."""
    said = f"{refusal.param} {refusal.message}".lower()
    blamed = refusal.kind is Kind.BAD_REQUEST and any(word in said for word in _BLAMED)
    if not blamed or chat.reasoning_effort is None:
        return None
    return Amendment(without_fields(chat, ["reasoning_effort"]), {IGNORED: "reasoning_effort"})


def both(first: Mapping[str, str], second: Mapping[str, str]) -> Mapping[str, str]:
    """The notes of two changes, one after the other."""
    merged = {**first, **second}
    if IGNORED in first and IGNORED in second:
        merged[IGNORED] = with_ignored(first[IGNORED], second[IGNORED].split(", "))
    return merged
