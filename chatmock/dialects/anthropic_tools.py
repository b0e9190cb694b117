"""The tools of a Messages request and the choice among them (spec upstreams.md, F)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from chatmock.conversation import Tool, ToolChoice
from chatmock.dialects.anthropic_fields import MISSING, fault, read
from chatmock.jsontext import Struct

TOOL_NAME: Final = "^[a-zA-Z0-9_-]{1,128}$"
"""What a tool of the client's own may be called."""
_TOOL_NAME: Final = re.compile(TOOL_NAME.strip("^$"))
_SEARCH: Final = "web_search"
_SEARCH_KEYS: Final = ("type", "name", "user_location", "allowed_domains", "cache_control")
"""What a search is told by, or need not be told."""


class ToolBody(Struct):
    """A tool; one of another type than ``custom`` is Anthropic's own."""

    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None


class ToolChoiceBody(Struct):
    """Whether tools are called, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


@attrs.frozen
class Offered:
    """The tools as a :class:`~chatmock.conversation.ChatRequest` has them."""

    tools: tuple[Tool, ...]
    hosted: tuple[Mapping[str, Any], ...]
    """Those that run at the upstream, as OpenAI names them: web search."""
    ignored: tuple[str, ...]
    """The names of those that no upstream here has."""
    names: frozenset[str]
    """What all of them are called."""


def read_tools(tools: Sequence[Mapping[str, Any]]) -> Offered:
    """Read *tools*: the client's own, web search, and others, which only Anthropic has.

    :raises Refusal: bad request, naming the field at fault.
    """
    own: list[Tool] = []
    hosted: list[Mapping[str, Any]] = []
    ignored: list[str] = []
    names: list[str] = []
    for position, value in enumerate(tools):
        where = f"tools.{position}"
        tool = read(value, ToolBody, where)
        if tool.type in (None, "custom"):
            own.append(_own(tool, where))
        elif tool.type is not None and tool.type.startswith(_SEARCH):
            hosted.append(_search(value))
            ignored.extend(f"tools.{_SEARCH}.{key}" for key in value if key not in _SEARCH_KEYS)
        else:
            ignored.append(f"tools.{tool.type}")
        names.extend([tool.name] if tool.name else [])
    if len(set(names)) < len(names):
        raise fault("tools", "Tool names must be unique.")
    return Offered(tuple(own), tuple(hosted), tuple(ignored), frozenset(names))


def read_tool_choice(asked: ToolChoiceBody | None, offered: Offered) -> ToolChoice:
    """The choice that *asked* is among what is *offered*.

    :raises Refusal: bad request, for a choice without the name it needs, or of what is not there.
    """
    if asked is not None and asked.type in ("any", "tool"):
        _check_choice(asked, offered)
    match asked:
        case None | ToolChoiceBody(type="auto"):
            return ToolChoice()
        case ToolChoiceBody(type="none"):
            return ToolChoice("none")
        case ToolChoiceBody(type="any"):
            return ToolChoice("required")
        case ToolChoiceBody(name=name):
            own = any(tool.name == name for tool in offered.tools)
            # Who wants the search to be called has no name for it at the upstream.
            searches = name == _SEARCH and bool(offered.hosted) and not own
            if not own and not searches:
                raise fault("tool_choice", f"Only Anthropic's servers have the tool {str(name)[:128]!r}.")
            return ToolChoice("required") if searches else ToolChoice("named", name)


def _check_choice(asked: ToolChoiceBody, offered: Offered) -> None:
    if asked.type == "tool" and not asked.name:
        raise fault("tool_choice.tool.name", MISSING)
    if not (offered.tools or offered.hosted or offered.ignored):
        raise fault("tool_choice", "tool_choice may only be specified while providing tools")
    if asked.type == "tool" and asked.name not in offered.names:
        raise fault("tool_choice", f"Tool {str(asked.name)[:128]!r} not found in provided tools")


def _own(tool: ToolBody, where: str) -> Tool:
    if not tool.name:
        raise fault(f"{where}.custom.name", MISSING)
    if not _TOOL_NAME.fullmatch(tool.name):
        raise fault(f"{where}.custom.name", f"String should match pattern '{TOOL_NAME}'")
    if tool.input_schema is None:
        raise fault(f"{where}.custom.input_schema", MISSING)
    return Tool(tool.name, tool.description or "", tool.input_schema, strict=bool(tool.strict))


def _search(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Anthropic's web search as OpenAI's."""
    search: dict[str, Any] = {"type": _SEARCH}
    if isinstance(tool.get("user_location"), Mapping):
        search["user_location"] = tool["user_location"]
    if isinstance(tool.get("allowed_domains"), list):
        search["filters"] = {"allowed_domains": tool["allowed_domains"]}
    return search
