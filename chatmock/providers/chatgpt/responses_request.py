"""The request for a client that speaks the backend's own dialect: its own body, as far as the backend takes it (spec
chatgpt.md, 2.4, 2.12).

The body is made of what is known to be accepted. All else a client sent is named to it as ignored, but for what chatmock
does in the backend's place: it keeps answers (``store``, ``previous_response_id``, ``metadata``), folds streams and
counts ``max_output_tokens``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from chatmock.conversation import ChatRequest, Source
from chatmock.providers.chatgpt import contract
from chatmock.providers.chatgpt.asked import (
    Asked,
    Asking,
    assembled,
    reads_images,
    takes_verbosity,
    with_tools,
)
from chatmock.providers.chatgpt.defaults import Defaults
from chatmock.providers.chatgpt.hosted_tools import TOOLS_FIELD
from chatmock.providers.chatgpt.responses_input import begins_with_rules, passed_input
from chatmock.providers.chatgpt.tool_names import renamed, shortened_names
from chatmock.providers.client_fields import ClientFields, one_of

ECHOED: Final = (
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "metadata",
    "temperature",
    "top_p",
    "top_logprobs",
    "truncation",
    "max_tool_calls",
    "max_output_tokens",
)
"""Fields that the backend is sent in another form or not at all, so that its answer does not repeat the client's."""
HIDDEN: Final = ("instructions", "prompt_cache_key", "safety_identifier", "user")
"""Fields in which the backend would tell the client of the owner's account and settings."""

_OURS: Final = (
    "model",
    "input",
    "store",
    "stream",
    "stream_options",
    "previous_response_id",
    "metadata",
    "max_output_tokens",
    TOOLS_FIELD,
)
_SEARCH: Final = {"type": "web_search"}


def build_passed(chat: ChatRequest, account_id: str, defaults: Defaults) -> Asked:
    """The request that asks *chat*, whose source is a Responses body.

    :param account_id: whose prompt cache it is to use.
    :raises Refusal: bad request that names the field, when the backend cannot do what is asked.
    """
    body = _with_present_names({} if chat.source is None else chat.source.body)
    fields = ClientFields(body)
    for name in _OURS:
        fields.take(name)
    if fields.take("truncation") == "auto":
        fields.ignore("truncation")
    names = shortened_names(chat)
    instructions = fields.take_text("instructions") or ""
    if not instructions.strip():
        instructions = "" if begins_with_rules(body.get("input")) else defaults.instructions
    asking = Asking(
        instructions,
        passed_input(body.get("input"), names, reads_images(chat)),
        _tools(chat, fields, names, defaults),
        _text(chat, fields),
        _include(fields),
    )
    about_client = fields.take_object("client_metadata")
    # What the dialect has read of the effort stands in the body.
    asked = assembled(asking, attrs.evolve(chat, reasoning_effort=None), fields, account_id, defaults)
    if about_client:
        asked.body["client_metadata"] = about_client
    return asked


def without_default_search(chat: ChatRequest, defaults: Defaults) -> ChatRequest | None:
    """*chat* for one more try without the search that the owner wants for all; None where there was none."""
    if chat.source is None or not _searches(chat.source.body, defaults):
        return None
    return attrs.evolve(chat, source=Source(chat.source.wire, {**chat.source.body, TOOLS_FIELD: []}))


def _with_present_names(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """*body* with the way to sum up the thinking under its present name only."""
    reasoning = body.get("reasoning")
    if not isinstance(reasoning, Mapping) or "generate_summary" not in reasoning:
        return body
    kept = {key: value for key, value in reasoning.items() if key != "generate_summary"}
    return {**body, "reasoning": {**kept, "summary": kept.get("summary") or reasoning["generate_summary"]}}


def _tools(
    chat: ChatRequest, fields: ClientFields, names: Mapping[str, str], defaults: Defaults
) -> dict[str, Any]:
    offered = fields.take("tools")
    tools = [_tool(tool, names) for tool in _list(offered) if isinstance(tool, Mapping)]
    if chat.source is not None and _searches(chat.source.body, defaults):
        tools.append(_SEARCH)
    choice = fields.take("tool_choice")
    fields.take("parallel_tool_calls")
    if isinstance(choice, Mapping):
        choice = renamed(choice, names)
        if "tools" in choice:
            among = _list(choice["tools"])
            choice["tools"] = [renamed(each, names) for each in among if isinstance(each, Mapping)]
    return with_tools(chat, tools, "auto" if choice is None else choice)


def _searches(body: Mapping[str, Any], defaults: Defaults) -> bool:
    """Whether the owner's search is offered: to who offers no tool, but wants one or does not care."""
    wanted = defaults.web_search and body.get(TOOLS_FIELD) is None
    return wanted and not body.get("tools") and body.get("tool_choice") in (None, "auto")


def _tool(tool: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    """*tool* as it is; a function as OpenAI chat has it, which clients of both mix up, one level higher."""
    if tool.get("type") not in ("function", "custom"):
        return tool
    inner = tool.get("function")
    if isinstance(inner, Mapping):
        tool = {**inner, **{key: value for key, value in tool.items() if key != "function"}}
    return renamed(tool, names)


def _text(chat: ChatRequest, fields: ClientFields) -> dict[str, Any]:
    """The ``text`` object: the answer's form, where it is not the usual one, and its length."""
    text: dict[str, Any] = {}
    for key, value in (fields.take_object("text") or {}).items():
        if value is None:
            continue
        if key == "format":
            if not isinstance(value, Mapping) or value.get("type") != "text":
                text[key] = value
        elif key == "verbosity" and takes_verbosity(chat):
            text[key] = one_of(value, contract.VERBOSITIES, "text.verbosity")
        else:
            fields.ignore(f"text.{key}")
    return text


def _include(fields: ClientFields) -> list[str]:
    return [each for each in _list(fields.take("include")) if isinstance(each, str)]


def _list(value: object) -> Sequence[Any]:
    """*value* where it is a list. The dialect has refused what is none and should be."""
    return value if isinstance(value, list) else ()
