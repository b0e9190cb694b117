"""Which of a client's tools the model is told of, and which it may call now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from chatmock.conversation import ChatRequest, Tool
from chatmock.errors import Refusal, bad_request
from chatmock.providers.client_fields import one_of, quoted
from chatmock.providers.qwen.contract import TITLE

_CHAT_WIRE = "openai-chat"


@attrs.frozen
class Offer:
    """The tools of one request."""

    tools: tuple[Tool, ...] = ()
    """Those the model is told of: all of the client's, none where it is to call none."""
    usable: tuple[Tool, ...] = ()
    """Those of them it may call in this answer."""
    forced: bool = False
    """Whether it must call one."""
    parallel: bool = True
    """Whether it may call several at once."""


def offer(chat: ChatRequest) -> Offer:
    """What *chat* offers, by its ``tool_choice`` in any form: none, auto, required, one function, allowed functions.

    :raises Refusal: bad request that names the field: a tool without a name, a custom tool (whose argument is free
        text), a choice of a tool that is not there, a forced choice without tools.
    """
    choice = chat.tool_choice
    for position, tool in enumerate(chat.tools):
        _check(tool, f"tools[{position}]")
    if choice.mode == "none":
        return Offer()
    usable = chat.tools
    if choice.mode == "named":
        usable = _named([(choice.name or "", "tool_choice")], chat.tools)
    elif (allowed := _allowed(chat)) is not None:
        usable = _named(allowed, chat.tools)
    forced = choice.mode != "auto"
    if forced and not usable:
        raise bad_request("'tool_choice' asks for a call, but there are no 'tools'.", param="tool_choice")
    return Offer(chat.tools, usable, forced, chat.parallel_tool_calls)


def _check(tool: Tool, where: str) -> None:
    if not tool.name:
        raise bad_request(f"{where!r} has no name.", param=where)
    if tool.parameters is None:
        raise bad_request(
            f"{where!r} ({quoted(tool.name)}) is a custom tool, which {TITLE} cannot be offered. Offer a function.",
            param=where,
        )


def _allowed(chat: ChatRequest) -> list[tuple[str, str]] | None:
    """The names of an OpenAI chat client's ``allowed_tools``, each with its field; None without such a choice."""
    if chat.source is None or chat.source.wire != _CHAT_WIRE:
        return None
    choice = chat.source.body.get("tool_choice")
    if not isinstance(choice, Mapping) or choice.get("type") != "allowed_tools":
        return None
    where = "tool_choice.allowed_tools"
    allowed = choice.get("allowed_tools")
    listed: Any = allowed.get("tools") if isinstance(allowed, Mapping) else None
    one_of(
        allowed.get("mode") if isinstance(allowed, Mapping) else None, ("auto", "required"), f"{where}.mode"
    )
    if not isinstance(listed, list) or not listed:
        raise bad_request(f"'{where}.tools' must list at least one function.", param=f"{where}.tools")
    return [(name, f"{where}.tools[{position}]") for position, name in enumerate(_names(listed))]


def _names(listed: Sequence[object]) -> Iterator[str]:
    for tool in listed:
        function = tool.get("function") if isinstance(tool, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        yield name if isinstance(name, str) else ""


def _named(wanted: Sequence[tuple[str, str]], tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Those of *tools* that are *wanted*, in their own order."""
    offered = {tool.name for tool in tools}
    for name, where in wanted:
        if name not in offered:
            raise _not_offered(name, where)
    names = {name for name, _ in wanted}
    return tuple(tool for tool in tools if tool.name in names)


def _not_offered(name: str, param: str) -> Refusal:
    return bad_request(
        f"{param!r} names {quoted(name) if name else 'no function'}; name a function that 'tools' offers.",
        param=param,
    )
