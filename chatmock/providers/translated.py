"""What a request of another dialect becomes before an upstream of OpenAI chat is asked.

Clients of other dialects ask for efforts and tools that these upstreams may not have, often without their user's doing: an
answer without them is still one, and the client is told. OpenAI's own clients get what they have asked for, or the refusal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from chatmock.conversation import ChatRequest
from chatmock.errors import Kind, Refusal
from chatmock.providers.client_fields import with_ignored
from chatmock.providers.efforts import EFFORT_NOTE, least, may_think, nearest, switch
from chatmock.providers.interface import IGNORED, Amendment
from chatmock.providers.openai_request import without_fields

_BLAMED: Final = ("reasoning", "effort", "think")


def fitted(
    chat: ChatRequest, common: Sequence[str], thoughtless: Mapping[str, Any] | None = None
) -> Amendment:
    """*chat* with an effort that the model has, and the notes that tell what it goes without.

    :param common: the efforts that a model is thought to have which lists none.
    :param thoughtless: the upstream's own fields that have a model not think; None where it has no such fields.
    """
    notes: dict[str, str] = {}
    if chat.least_effort:
        chat, notes = _thinking_least(chat, thoughtless)
    wanted = chat.reasoning_effort
    if wanted is not None:
        listed = () if chat.details is None else chat.details.efforts
        given = nearest(wanted, listed or common) if wanted != "none" or listed else wanted
        if given != wanted:
            chat = attrs.evolve(chat, reasoning_effort=given)
            notes[EFFORT_NOTE] = f"{given} (the model has no {wanted})" if listed else given
    hosted = [f"tools.{each['type']}" for each in chat.other_tools if isinstance(each.get("type"), str)]
    if hosted:
        notes[IGNORED] = with_ignored(notes.get(IGNORED, ""), hosted)
    return Amendment(chat, notes)


def _thinking_least(
    chat: ChatRequest, thoughtless: Mapping[str, Any] | None
) -> tuple[ChatRequest, dict[str, str]]:
    """*chat* as it has the model think as little as it can, and the note where there is no way to say so."""
    if thoughtless is not None and may_think(chat):
        return attrs.evolve(chat, reasoning_effort=None, extras={**chat.extras, **thoughtless}), {}
    effort = least(chat)
    if effort is not None:
        return attrs.evolve(chat, reasoning_effort=effort), {}
    return chat, {IGNORED: switch(chat)} if may_think(chat) else {}


def without_effort(chat: ChatRequest, refusal: Refusal) -> Amendment | None:
    """*chat* without its effort, or the wish that the model should not think, where *refusal* blames that; None for any other."""
    said = f"{refusal.param} {refusal.message}".lower()
    blamed = refusal.kind is Kind.BAD_REQUEST and any(word in said for word in _BLAMED)
    if blamed and chat.least_effort:
        return Amendment(attrs.evolve(chat, least_effort=False), {IGNORED: switch(chat)})
    if not blamed or chat.reasoning_effort is None:
        return None
    return Amendment(without_fields(chat, ["reasoning_effort"]), {IGNORED: "reasoning_effort"})


def both(first: Mapping[str, str], second: Mapping[str, str]) -> Mapping[str, str]:
    """The notes of two changes, one after the other."""
    merged = {**first, **second}
    if IGNORED in first and IGNORED in second:
        merged[IGNORED] = with_ignored(first[IGNORED], second[IGNORED].split(", "))
    return merged
