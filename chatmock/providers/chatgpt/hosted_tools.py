"""Web search, the tool that runs at the backend: asked for by the client, or by the owner for all (spec chatgpt.md, 2.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from chatmock import jsontext
from chatmock.conversation import ChatRequest
from chatmock.errors import bad_request
from chatmock.providers.chatgpt.contract import (
    HOSTED_TOOL_KEYS,
    HOSTED_TOOL_TYPES,
    MOST_HOSTED_TOOLS_BYTES,
    TITLE,
)
from chatmock.providers.chatgpt.defaults import Defaults
from chatmock.providers.chatgpt.offered_tools import allowed_tools
from chatmock.providers.client_fields import ClientFields, one_of

TOOLS_FIELD = "responses_tools"
CHOICE_FIELD = "responses_tool_choice"
OPTIONS_FIELD = "web_search_options"

_CONTEXT_SIZES = ("low", "medium", "high")
_PLACE = ("country", "region", "city", "timezone")


def hosted_tools(chat: ChatRequest, fields: ClientFields, defaults: Defaults) -> list[Mapping[str, Any]]:
    """The hosted tools of the request: the client's ``responses_tools`` and those among its ``tools``, else a search
    with its ``web_search_options``, else the owner's.

    An empty ``responses_tools`` asks for none. The owner's search is not forced on a client that wants a
    function called, or nothing at all: a model that must call something may then just search.

    :raises Refusal: bad request, code ``RESPONSES_TOOL_UNSUPPORTED`` or ``RESPONSES_TOOLS_TOO_LARGE`` where
        ``responses_tools`` holds others or too much.
    """
    asked = _asked_tools(fields)
    for tool in chat.other_tools:
        if tool.get("type") in HOSTED_TOOL_TYPES:
            asked = [*(asked or ()), tool]
        else:
            fields.ignore(f"tools.{tool.get('type')}")
    options = fields.take_object(OPTIONS_FIELD)
    if asked and options is not None:
        fields.ignore(OPTIONS_FIELD)
    if asked:
        return [_known_keys(tool, fields) for tool in asked]
    if options is not None:
        return [_search_with(options, fields)]
    if defaults.web_search and asked is None and _may_search(chat, fields):
        return [{"type": "web_search"}]
    return []


def choice_override(fields: ClientFields) -> str | None:
    """The ``responses_tool_choice`` that goes before the client's ``tool_choice``; None without one.

    :raises Refusal: bad request, when it is neither ``auto`` nor ``none``.
    """
    return fields.take_word(CHOICE_FIELD, ("auto", "none"))


def without_hosted_tools(chat: ChatRequest, defaults: Defaults) -> ChatRequest | None:
    """*chat* without hosted tools and with its original tool choice, for one more try after the backend has
    refused them; None when it has none.

    The caller tells the client, in a note of its own: the fields are gone, so :func:`build` has none to name.

    :raises Refusal: as :func:`hosted_tools`; never for a request that has been built once.
    """
    if not hosted_tools(chat, ClientFields(chat.extras), defaults):
        return None
    kept = {k: v for k, v in chat.extras.items() if k not in (CHOICE_FIELD, OPTIONS_FIELD)}
    return attrs.evolve(chat, extras={**kept, TOOLS_FIELD: []}, other_tools=())


def _asked_tools(fields: ClientFields) -> list[Mapping[str, Any]] | None:
    asked = fields.take(TOOLS_FIELD)
    if asked is None:
        return None
    if not isinstance(asked, list):
        raise bad_request(f"{TOOLS_FIELD!r} must be a list of tools.", param=TOOLS_FIELD)
    for position, tool in enumerate(asked):
        if not isinstance(tool, Mapping) or tool.get("type") not in HOSTED_TOOL_TYPES:
            where = f"{TOOLS_FIELD}[{position}]"
            raise bad_request(
                f"{where!r} is none of the tools that run at {TITLE}: {', '.join(HOSTED_TOOL_TYPES)}.",
                param=where,
                code="RESPONSES_TOOL_UNSUPPORTED",
            )
    size = len(jsontext.dumps(asked))
    if size > MOST_HOSTED_TOOLS_BYTES:
        raise bad_request(
            f"{TOOLS_FIELD!r} takes {size} bytes; {MOST_HOSTED_TOOLS_BYTES} are the most.",
            param=TOOLS_FIELD,
            code="RESPONSES_TOOLS_TOO_LARGE",
        )
    return asked


def _known_keys(tool: Mapping[str, Any], fields: ClientFields) -> Mapping[str, Any]:
    for key in tool:
        if key not in HOSTED_TOOL_KEYS:
            fields.ignore(f"{tool['type']}.{key}")
    return {key: value for key, value in tool.items() if key in HOSTED_TOOL_KEYS}


def _may_search(chat: ChatRequest, fields: ClientFields) -> bool:
    override = choice_override(fields)
    if override is not None:
        return override == "auto"
    return chat.tool_choice.mode == "auto" and allowed_tools(chat) is None


def _search_with(options: Mapping[str, Any], fields: ClientFields) -> dict[str, Any]:
    """The search that chat's *options* ask for; the place stands one level higher in the Responses API."""
    search: dict[str, Any] = {"type": "web_search"}
    for key, value in options.items():
        where = f"{OPTIONS_FIELD}.{key}"
        if value is None:
            continue
        if key == "search_context_size":
            search[key] = one_of(value, _CONTEXT_SIZES, where)
        elif key == "user_location":
            place = value.get("approximate", value) if isinstance(value, Mapping) else None
            if not isinstance(place, Mapping):
                raise bad_request(f"{where!r} must hold an object 'approximate'.", param=where)
            known = {name: place[name] for name in _PLACE if isinstance(place.get(name), str)}
            search[key] = {"type": "approximate", **known}
        else:
            fields.ignore(where)
    return search
