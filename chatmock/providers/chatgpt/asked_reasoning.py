"""How hard the model is to think, and how its thinking is to be summed up (spec chatgpt.md, 2.7)."""

from __future__ import annotations

from collections.abc import Iterator

from chatmock.conversation import ChatRequest
from chatmock.errors import bad_request
from chatmock.providers.chatgpt.contract import SUMMARIES
from chatmock.providers.chatgpt.defaults import Defaults
from chatmock.providers.client_fields import ClientFields, one_of
from chatmock.providers.efforts import EFFORT_NOTE, EFFORTS, least, may_think, nearest, switch

_READ = ("effort", "summary")


def asked_reasoning(chat: ChatRequest, fields: ClientFields, defaults: Defaults) -> dict[str, str]:
    """The ``reasoning`` object of the request. An effort that the model lacks becomes its nearest one.

    :raises Refusal: bad request, for a word that is no effort or summary.
    """
    listed = () if chat.details is None else chat.details.efforts
    wishes = [_effort(wish, listed, param) for wish, param in _wishes(chat, fields)]
    wanted = wishes[0] if wishes else defaults.effort
    given = nearest(wanted, listed)
    if wishes and given != wanted:
        fields.notes[EFFORT_NOTE] = f"{given} (the model has no {wanted})"
    reasoning = {"effort": given}
    asked = _asked_summary(fields) or defaults.summary
    if asked != "none":
        reasoning["summary"] = asked
    return reasoning


def _wishes(chat: ChatRequest, fields: ClientFields) -> Iterator[tuple[object, str]]:
    """The client's wishes for an effort and the field each stands in, the first to go before the others."""
    if chat.least_effort:
        effort = least(chat)
        if effort is not None:
            yield effort, switch(chat)
        elif may_think(chat):
            fields.ignore(switch(chat))
    if chat.reasoning_effort is not None:
        yield chat.reasoning_effort, "reasoning_effort"
    asked = fields.take_object("reasoning") or {}
    for key, value in asked.items():
        if key not in _READ and value is not None:
            fields.ignore(f"reasoning.{key}")
    if asked.get("effort") is not None:
        yield asked["effort"], "reasoning.effort"
    think = fields.take("think")
    if isinstance(think, str):
        yield think, "think"
    elif think is False:
        yield "none", "think"
    elif think is not None and think is not True:
        raise bad_request("'think' must be true, false or an effort.", param="think")
    if chat.model_effort is not None:
        yield chat.model_effort, "model"


def _effort(wish: object, listed: tuple[str, ...], param: str) -> str:
    """The effort that *wish* names: any there is, for the model's nearest can stand in for it."""
    if isinstance(wish, str) and (wish in EFFORTS or wish in listed):
        return wish
    return one_of(wish, listed or EFFORTS, param)


def _asked_summary(fields: ClientFields) -> str | None:
    summary = (fields.take_object("reasoning") or {}).get("summary")
    return None if summary is None else one_of(summary, SUMMARIES, "reasoning.summary")
