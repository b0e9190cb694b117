"""The client's functions and its choice among them, as the Responses API has them (spec chatgpt.md, 4.2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from chatmock.conversation import ChatRequest, Tool
from chatmock.errors import Refusal, bad_request
from chatmock.providers.chatgpt.contract import TITLE
from chatmock.providers.client_fields import one_of, quoted

_CHAT_WIRE = "openai-chat"


def function_tools(tools: Sequence[Tool], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """*tools* for the request.

    :param names: long names of functions, to those that go upstream.
    :raises Refusal: bad request, for a tool without a name and for a custom tool, whose argument is free text.
    """
    return [_function(tool, names, f"tools[{position}]") for position, tool in enumerate(tools)]


def tool_choice(chat: ChatRequest, names: Mapping[str, str]) -> str | dict[str, Any]:
    """The client's choice for the request: a word, a function, or functions that are allowed.

    :raises Refusal: bad request, when it names a function that is not offered.
    """
    allowed = allowed_tools(chat)
    if allowed is not None:
        return _allowed(allowed, {tool.name for tool in chat.tools}, names)
    choice = chat.tool_choice
    if choice.mode != "named":
        return choice.mode
    name = choice.name or ""
    if name not in {tool.name for tool in chat.tools}:
        raise _not_offered(name, "tool_choice")
    return {"type": "function", "name": names.get(name, name)}


def allowed_tools(chat: ChatRequest) -> Mapping[str, Any] | None:
    """The ``allowed_tools`` object of an OpenAI chat client's tool choice, empty where it is none; None without such a choice."""
    if chat.source is None or chat.source.wire != _CHAT_WIRE:
        return None
    choice = chat.source.body.get("tool_choice")
    if not isinstance(choice, Mapping) or choice.get("type") != "allowed_tools":
        return None
    allowed = choice.get("allowed_tools")
    return allowed if isinstance(allowed, Mapping) else {}


def _function(tool: Tool, names: Mapping[str, str], where: str) -> dict[str, Any]:
    if not tool.name:
        raise bad_request(f"{where!r} has no name.", param=where)
    if tool.parameters is None:
        raise bad_request(
            f"{where!r} ({quoted(tool.name)}) is a custom tool, which {TITLE} does not take. Offer a function.",
            param=where,
        )
    return {
        "type": "function",
        "name": names.get(tool.name, tool.name),
        "description": tool.description,
        "strict": tool.strict,
        "parameters": tool.parameters or {"type": "object", "properties": {}},
    }


def _allowed(
    allowed: Mapping[str, Any], offered: Collection[str], names: Mapping[str, str]
) -> dict[str, Any]:
    where = "tool_choice.allowed_tools"
    mode = one_of(allowed.get("mode"), ("auto", "required"), f"{where}.mode")
    tools = allowed.get("tools")
    if not isinstance(tools, list) or not tools:
        raise bad_request(f"'{where}.tools' must list at least one function.", param=f"{where}.tools")
    chosen = []
    for position, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or name not in offered:
            raise _not_offered(name if isinstance(name, str) else "", f"{where}.tools[{position}]")
        chosen.append({"type": "function", "name": names.get(name, name)})
    return {"type": "allowed_tools", "mode": mode, "tools": chosen}


def _not_offered(name: str, param: str) -> Refusal:
    return bad_request(
        f"{param!r} names {quoted(name) if name else 'no function'}; name a function that 'tools' offers.",
        param=param,
    )
