"""What every request for ChatGPT's backend has, whichever dialect asks (spec chatgpt.md, 2.3, 2.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from chatmock.conversation import ChatRequest
from chatmock.errors import bad_request
from chatmock.providers.chatgpt import contract
from chatmock.providers.chatgpt.asked_reasoning import asked_reasoning
from chatmock.providers.chatgpt.defaults import Defaults
from chatmock.providers.chatgpt.prompt_cache import cache_key, header_value
from chatmock.providers.chatgpt.service_tier import asked_tier
from chatmock.providers.client_fields import ClientFields


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


@attrs.frozen
class Asking:
    """The parts of a request that each dialect has in a form of its own."""

    instructions: str
    items: Sequence[Mapping[str, Any]] = attrs.field(repr=False)
    """The input."""
    tools: Mapping[str, Any]
    """``tools`` and the fields that go with them."""
    text: Mapping[str, Any]
    """The answer's form and length; empty for the usual ones."""
    include: Sequence[str] = ()
    """What else the answer is to hold."""


def assembled(
    asking: Asking, chat: ChatRequest, fields: ClientFields, account_id: str, defaults: Defaults
) -> Asked:
    """The request that *asking* and the rest of *chat* make.

    :param fields: the client's, of which those that *asking* was made of have been read.
    :param account_id: whose prompt cache it is to use.
    :raises Refusal: bad request that names the field, when the backend cannot do what is asked.
    """
    key = cache_key(chat, fields, account_id, asking.instructions)
    include = [*asking.include, *(() if _SEALS in asking.include else [_SEALS])]
    body: dict[str, Any] = {
        "model": chat.model,
        "instructions": asking.instructions,
        "input": asking.items,
        **asking.tools,
        "store": False,
        "stream": True,
        "include": include,
        "reasoning": asked_reasoning(chat, fields, defaults),
        "prompt_cache_key": key,
    }
    tier = asked_tier(chat, fields, defaults)
    if tier is not None:
        body["service_tier"] = tier
    if asking.text:
        body["text"] = asking.text
    return Asked(body, header_value(key, account_id), fields.ignored, fields.notes)


def with_tools(chat: ChatRequest, tools: Sequence[Mapping[str, Any]], choice: object) -> dict[str, Any]:
    """``tools`` and the fields that go with them; nothing when there are none.

    :raises Refusal: bad request, for a *choice* that requires a tool where there is none.
    """
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


def takes_verbosity(chat: ChatRequest) -> bool:
    """Whether the model of *chat* can be told how long-winded to be, as far as is known."""
    return chat.details is None or chat.details.verbosity is not False


def reads_images(chat: ChatRequest) -> bool:
    """Whether the model of *chat* reads pictures, as far as is known."""
    inputs = () if chat.details is None else chat.details.inputs
    return not inputs or "image" in inputs


_SEALS = contract.ENCRYPTED_REASONING
