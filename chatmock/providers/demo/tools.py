"""Which tools the demo calls, and with what."""

from __future__ import annotations

import re
from typing import Any, Literal

import attrs

from chatmock.errors import bad_request
from chatmock.providers.demo.asked import Asked, ToolBody
from chatmock.providers.demo.effort import Effort
from chatmock.providers.demo.schema import example
from chatmock.providers.demo.text import json_text

_ARGUMENT = {"function": "arguments", "custom": "input"}
_OUR_ID = re.compile(r"call_demo_(\d{1,9})")


@attrs.frozen
class Call:
    """One call of a tool."""

    kind: Literal["function", "custom"]
    name: str
    argument: str
    """JSON text for a function, free text for a custom tool."""
    index: int
    """Its place among the calls of its choice."""
    number: int
    """Sets it apart from the other calls of the conversation."""

    @property
    def id(self) -> str:
        """The id by which its result is sent back."""
        return f"call_demo_{self.number}"

    def piece(self, token: str, first: bool) -> dict[str, Any]:
        """Stream *token* as a part of the call: the name comes first, then the argument."""
        if first:
            return {"index": self.index, **self.whole("")}
        return {"index": self.index, self.kind: {_ARGUMENT[self.kind]: token}}

    def whole(self, argument: str) -> dict[str, Any]:
        """Write the call as a complete answer has it, with as much of the argument as was said."""
        called = {"name": self.name, _ARGUMENT[self.kind]: argument}
        return {"id": self.id, "type": self.kind, self.kind: called}


def calls(asked: Asked) -> list[Call]:
    """Choose the calls: none when none are wanted, or when tools have answered since the model spoke last.

    The tool that is named is called; else those whose names occur in the last user message, in the order in
    which they are offered; else the first one offered.

    :raises Refusal: bad request, for a choice that no tool can meet, or a schema without an example.
    """
    choice = asked.body.tool_choice
    offered = _offered(asked)
    if choice == "none" or asked.results:
        return []
    if not offered:
        if choice in (None, "auto"):
            return []
        raise bad_request(
            "'tool_choice' asks for a tool, but none is offered that the demo can call.", "tool_choice"
        )
    chosen = [one for one in offered if _occurs(one[1].name, asked.text)] or offered[:1]
    if asked.body.parallel_tool_calls is False:
        chosen = chosen[:1]
    number = _first_number(asked)
    effort = Effort()
    return [_call(place, tool, index, number + index, effort) for index, (place, tool) in enumerate(chosen)]


def _offered(asked: Asked) -> list[tuple[int, ToolBody]]:
    """Find the tools that ``tool_choice`` leaves, each with its place in ``tools``."""
    choice, offered = asked.body.tool_choice, asked.body.usable_tools
    if not isinstance(choice, dict):
        return offered
    kind = choice.get("type", "function")
    value = choice.get(kind)
    listed = value.get("tools", []) if kind == "allowed_tools" and isinstance(value, dict) else [choice]
    names = [_name(entry) for entry in listed] if isinstance(listed, list) else []
    return [one for one in offered if one[1].name in names]


def _name(entry: Any) -> str | None:
    """Find the name in ``{"type": "function", "function": {"name": …}}``."""
    value = entry.get(entry.get("type")) if isinstance(entry, dict) else None
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


def _occurs(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def _first_number(asked: Asked) -> int:
    earlier = asked.earlier_calls()
    ours = [int(found[1]) for call in earlier if (found := _OUR_ID.fullmatch(call.id))]
    return max([len(earlier), *ours]) + 1


def _call(place: int, tool: ToolBody, index: int, number: int, effort: Effort) -> Call:
    if tool.custom is not None and tool.type == "custom":
        form = (tool.custom.format or {}).get("type", "text")
        if form != "text":
            message = f"The demo cannot write the input of the tool {tool.name!r} by a {str(form)[:20]}."
            raise bad_request(message, f"tools[{place}].custom.format")
        return Call("custom", tool.name, "example input", index, number)
    parameters = tool.function.parameters if tool.function is not None else None
    schema = {"type": "object", **(parameters or {})}
    argument = json_text(example(schema, f"tools[{place}].function.parameters", effort))
    return Call("function", tool.name, argument, index, number)
