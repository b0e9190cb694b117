"""The request that asks a conversation of ChatGPT's backend (spec chatgpt.md, 2.3, 2.4).

The body holds what this module writes and nothing else: the backend refuses every field it does not know. What
a client sent besides is named to it as ignored. ``stop`` and ``max_tokens`` are not among that: the backend
does not take them, chatmock keeps to them itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from chatmock.conversation import ChatRequest, ResponseFormat
from chatmock.errors import bad_request
from chatmock.providers.chatgpt import contract
from chatmock.providers.chatgpt.asked_reasoning import asked_reasoning
from chatmock.providers.chatgpt.defaults import Defaults
from chatmock.providers.chatgpt.hosted_tools import choice_override, hosted_tools
from chatmock.providers.chatgpt.input_items import input_items, leading_text
from chatmock.providers.chatgpt.offered_tools import function_tools, tool_choice
from chatmock.providers.chatgpt.prompt_cache import cache_key, header_value
from chatmock.providers.chatgpt.service_tier import asked_tier
from chatmock.providers.chatgpt.tool_names import original_names, shortened_names
from chatmock.providers.client_fields import ClientFields

__all__ = ["Asked", "Defaults", "build", "original_names"]

_UNNAMED_SCHEMA = "response"


@attrs.frozen
class Asked:
    """A request for the backend, and what the client is told about it."""

    body: dict[str, Any] = attrs.field(repr=False)
    """The JSON for the responses endpoint. Shares the client's schemas and pictures: read-only."""
    session: str
    """The cache key, for the session header: differs from the body's only where that may not stand in a header."""
    ignored: tuple[str, ...] = ()
    """The client's fields that this backend cannot take, sorted, fit for a response header."""
    notes: Mapping[str, str] = attrs.field(factory=dict)
    """Response headers, by name in lower case, that say what was changed."""


def build(chat: ChatRequest, account_id: str, defaults: Defaults) -> Asked:
    """The request that asks *chat*.

    :param account_id: whose prompt cache it is to use.
    :raises Refusal: bad request that names the field, when the backend cannot do what is asked.
    """
    fields = ClientFields(chat.extras)
    _refuse_what_is_not_text(chat, fields)
    names = shortened_names(chat)
    lead, start = leading_text(chat.messages)
    instructions = lead or defaults.instructions
    key = cache_key(chat, fields, account_id, instructions)
    inputs = () if chat.details is None else chat.details.inputs
    body: dict[str, Any] = {
        "model": chat.model,
        "instructions": instructions,
        "input": input_items(chat.messages, start, names, not inputs or "image" in inputs),
        **_tools(chat, fields, names, defaults),
        "store": False,
        "stream": True,
        "include": [contract.ENCRYPTED_REASONING],
        "reasoning": asked_reasoning(chat, fields, defaults),
        "prompt_cache_key": key,
    }
    tier = asked_tier(chat, fields, defaults)
    if tier is not None:
        body["service_tier"] = tier
    text = _text(chat, fields)
    if text:
        body["text"] = text
    return Asked(body, header_value(key, account_id), fields.ignored, fields.notes)


def _refuse_what_is_not_text(chat: ChatRequest, fields: ClientFields) -> None:
    """Refuse what would change the answer beyond what a client can be told in a header."""
    if chat.choices > 1:
        raise bad_request(f"{contract.TITLE} gives one answer a request: 'n' can only be 1.", param="n")
    modalities = fields.take("modalities")
    if modalities is not None and (not isinstance(modalities, list) or any(m != "text" for m in modalities)):
        raise bad_request(
            f"{contract.TITLE} answers in text: 'modalities' can only be ['text'].", param="modalities"
        )
    if chat.logprobs:
        fields.ignore("logprobs")
    if chat.top_logprobs is not None:
        fields.ignore("top_logprobs")


def _tools(
    chat: ChatRequest, fields: ClientFields, names: Mapping[str, str], defaults: Defaults
) -> dict[str, Any]:
    """``tools`` and the fields that go with them; nothing when there are none."""
    choice = choice_override(fields) or tool_choice(chat, names)
    tools = [*function_tools(chat.tools, names), *hosted_tools(chat, fields, defaults)]
    if not tools:
        if choice == "required":
            raise bad_request("'tool_choice' is required, but there are no 'tools'.", param="tool_choice")
        return {}
    able = chat.details is None or chat.details.parallel_tool_calls is not False
    return {
        "tools": tools,
        "tool_choice": choice,
        "parallel_tool_calls": chat.parallel_tool_calls and able,
    }


def _text(chat: ChatRequest, fields: ClientFields) -> dict[str, Any]:
    """The ``text`` object: the answer's form and length."""
    text: dict[str, Any] = {}
    if chat.response_format.kind != "text":
        text["format"] = _format(chat.response_format)
    verbosity = fields.take_word("verbosity", contract.VERBOSITIES)
    if verbosity is not None:
        if chat.details is None or chat.details.verbosity is not False:
            text["verbosity"] = verbosity
        else:
            fields.ignore("verbosity")
    return text


def _format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.kind == "json_object":
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "name": wanted.name or _UNNAMED_SCHEMA,
        "schema": wanted.schema or {},
        "strict": wanted.strict,
    }
