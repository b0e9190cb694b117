"""How hard the model is to think and whether it is to search: the ``feature_config`` of a message (spec upstreams.md, A1.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from chatmock.conversation import ChatRequest
from chatmock.errors import bad_request
from chatmock.providers.client_fields import ClientFields, one_of
from chatmock.providers.efforts import least, switch
from chatmock.providers.qwen import contract
from chatmock.providers.qwen.contract import TITLE

OFF: Final = "none"
ON: Final = "on"
"""To think, as long as the site thinks fit."""
_EFFORTS: Final = (OFF, *contract.THINKING_BUDGETS)
_SUMMARIES: Final = {
    "auto": contract.SUMMARY_FORMAT,
    "concise": contract.SUMMARY_FORMAT,
    "detailed": contract.FULL_FORMAT,
}
_READ: Final = ("effort", "summary")
_SEARCHES: Final = ("web_search", "web_search_preview")


@attrs.frozen
class Features:
    """A message's ``feature_config``, and what the client is told about it."""

    config: Mapping[str, Any]
    ignored: tuple[str, ...] = ()
    """The client's fields that have no effect at this site, sorted, fit for a response header."""


def asked_features(chat: ChatRequest) -> Features:
    """The features that *chat* asks for; where it does not say, the site decides whether to think, and does not search.

    ``stop`` and ``max_tokens`` are not among the ignored fields: chatmock keeps to them itself.

    :raises Refusal: bad request that names the field, for more than one choice, output that is no text, and values
        that mean nothing.
    """
    fields = ClientFields(chat.extras)
    _refuse_what_is_not_text(chat, fields)
    config = {**contract.FEATURES, **_thinking(chat, fields), contract.SEARCH: _search(chat, fields)}
    return Features(config, fields.ignored)


def _refuse_what_is_not_text(chat: ChatRequest, fields: ClientFields) -> None:
    if chat.choices > 1:
        raise bad_request(f"{TITLE} gives one answer a request: 'n' can only be 1.", param="n")
    modalities = fields.take("modalities")
    if modalities is not None and (not isinstance(modalities, list) or any(m != "text" for m in modalities)):
        raise bad_request(f"{TITLE} answers in text: 'modalities' can only be ['text'].", param="modalities")
    if chat.logprobs:
        fields.ignore("logprobs")
    if chat.top_logprobs is not None:
        fields.ignore("top_logprobs")


def _thinking(chat: ChatRequest, fields: ClientFields) -> dict[str, Any]:
    wishes = [(_effort(value, param), param) for value, param in _wishes(chat, fields)]
    budget = _budget(fields)
    form = _format(fields)
    if _cannot_think(chat):
        for name in [param for _, param in wishes if param != "model"] + ["thinking_budget"] * (
            budget is not None
        ):
            fields.ignore(name)
        wishes, budget = [], None
    effort = wishes[0][0] if wishes else None
    if effort == OFF:
        return dict(contract.THINKING_OFF)
    told: dict[str, Any] = {contract.THINKING_FORMAT: form}
    if effort is None and budget is None:
        return {**contract.THINKING_AUTO, **told}
    if budget is None:
        budget = contract.THINKING_BUDGETS.get(effort or ON)
    if budget is not None:
        most = None if chat.details is None else chat.details.most_thinking
        told[contract.THINKING_BUDGET] = budget if most is None else min(budget, most)
    return {**contract.THINKING_ON, **told}


def _cannot_think(chat: ChatRequest) -> bool:
    """Whether the catalogue says so. Where it does not tell what a model can do, it tells no inputs either."""
    details = chat.details
    return details is not None and bool(details.inputs) and not details.efforts


def _wishes(chat: ChatRequest, fields: ClientFields) -> Iterator[tuple[object, str]]:
    """The client's wishes and the field each stands in, the first to go before the others."""
    if chat.least_effort and not _cannot_think(chat):
        yield least(chat) or OFF, switch(chat)
    if chat.reasoning_effort is not None:
        yield chat.reasoning_effort, "reasoning_effort"
    asked = fields.take_object("reasoning") or {}
    for key, value in asked.items():
        if key not in _READ and value is not None:
            fields.ignore(f"reasoning.{key}")
    if asked.get("effort") is not None:
        yield asked["effort"], "reasoning.effort"
    for name in ("enable_thinking", "think"):
        wish = fields.take(name)
        if isinstance(wish, bool):
            yield (ON if wish else OFF), name
        elif wish is not None and name == "think":
            yield wish, name
        elif wish is not None:
            raise bad_request(f"{name!r} must be true or false.", param=name)
    if chat.model_effort is not None:
        yield chat.model_effort, "model"


def _effort(wish: object, param: str) -> str:
    return ON if wish == ON and param in ("enable_thinking", "think") else one_of(wish, _EFFORTS, param)


def _budget(fields: ClientFields) -> int | None:
    """DashScope's ``thinking_budget``, in tokens."""
    budget = fields.take("thinking_budget")
    if budget is None or (isinstance(budget, int) and not isinstance(budget, bool) and budget > 0):
        return budget
    raise bad_request(
        "'thinking_budget' must be a whole number of tokens, at least 1.", param="thinking_budget"
    )


def _format(fields: ClientFields) -> str:
    """How the thinking is told: summed up, unless a detailed summary is wished for."""
    summary = (fields.take_object("reasoning") or {}).get("summary")
    if summary == "none":
        fields.ignore("reasoning.summary")
    elif summary is not None:
        return _SUMMARIES[one_of(summary, (*_SUMMARIES, "none"), "reasoning.summary")]
    return contract.SUMMARY_FORMAT


def _search(chat: ChatRequest, fields: ClientFields) -> bool:
    """Whether to search the web. Not while tools are offered: the site's own tools would answer in their place."""
    asking = [name for name in ("web_search_options", "responses_tools") if _asks_to_search(name, fields)]
    for tool in chat.other_tools:
        name = f"tools.{tool.get('type')}"
        if tool.get("type") in _SEARCHES and chat.tool_choice.mode != "none":
            asking.append(name)
        else:
            fields.ignore(name)
    if fields.take_word("responses_tool_choice", ("auto", "none")) == "none":
        return False
    if chat.tools and chat.tool_choice.mode != "none":
        for name in asking:
            fields.ignore(name)
        return False
    return bool(asking)


def _asks_to_search(name: str, fields: ClientFields) -> bool:
    if name == "web_search_options":
        options = fields.take_object(name)
        for key, value in (options or {}).items():
            if value is not None:
                fields.ignore(f"{name}.{key}")
        return options is not None
    tools = fields.take(name)
    if tools is not None and not isinstance(tools, list):
        raise bad_request(f"{name!r} must be a list of tools.", param=name)
    for position, tool in enumerate(tools or ()):
        if not isinstance(tool, Mapping) or tool.get("type") not in _SEARCHES:
            raise bad_request(
                f"'{name}[{position}]' is none of the tools that {TITLE} has: {', '.join(_SEARCHES)}.",
                param=f"{name}[{position}]",
                code="RESPONSES_TOOL_UNSUPPORTED",
            )
    return bool(tools)
