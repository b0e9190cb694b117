"""The request that asks a conversation of ChatGPT's backend (spec chatgpt.md, 2.3, 2.4).

The body holds what is written here and nothing else: the backend refuses every field it does not know. What
a client sent besides is named to it as ignored. ``stop`` and ``max_tokens`` are not among that: the backend
does not take them, chatmock keeps to them itself. A client that speaks the backend's own dialect is asked for by
:mod:`~chatmock.providers.chatgpt.responses_request`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatmock.conversation import ChatRequest, ResponseFormat
from chatmock.errors import bad_request
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
from chatmock.providers.chatgpt.hosted_tools import choice_override, hosted_tools
from chatmock.providers.chatgpt.input_items import input_items, leading_text
from chatmock.providers.chatgpt.offered_tools import function_tools, tool_choice
from chatmock.providers.chatgpt.responses_request import build_passed
from chatmock.providers.chatgpt.tool_names import original_names, shortened_names
from chatmock.providers.client_fields import ClientFields
from chatmock.providers.interface import passes

__all__ = ["Asked", "Defaults", "build", "original_names"]

_UNNAMED_SCHEMA = "response"


def build(chat: ChatRequest, account_id: str, defaults: Defaults) -> Asked:
    """The request that asks *chat*.

    :param account_id: whose prompt cache it is to use.
    :raises Refusal: bad request that names the field, when the backend cannot do what is asked.
    """
    if passes(chat, (contract.WIRE,)):
        return build_passed(chat, account_id, defaults)
    fields = ClientFields(chat.extras)
    _refuse_what_is_not_text(chat, fields)
    names = shortened_names(chat)
    lead, start = leading_text(chat.messages)
    asking = Asking(
        lead or defaults.instructions,
        input_items(chat.messages, start, names, reads_images(chat)),
        _tools(chat, fields, names, defaults),
        _text(chat, fields),
    )
    return assembled(asking, chat, fields, account_id, defaults)


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
    choice = choice_override(fields) or tool_choice(chat, names)
    tools = [*function_tools(chat.tools, names), *hosted_tools(chat, fields, defaults)]
    return with_tools(chat, tools, choice)


def _text(chat: ChatRequest, fields: ClientFields) -> dict[str, Any]:
    """The ``text`` object: the answer's form and length."""
    text: dict[str, Any] = {}
    if chat.response_format.kind != "text":
        text["format"] = _format(chat.response_format)
    verbosity = fields.take_word("verbosity", contract.VERBOSITIES)
    if verbosity is not None:
        if takes_verbosity(chat):
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
