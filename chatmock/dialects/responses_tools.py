"""The tools of a Responses request, and which of them the model may call (spec upstreams.md, D3; chatgpt.md, 4.2).

A custom tool takes free text. Other APIs have none, so it is offered as a function with one string, ``input``, and a call
of it is turned back (:func:`unwrapped_input`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.conversation import Tool, ToolChoice
from chatmock.dialects.reading import FunctionBody, read_shape
from chatmock.errors import Refusal, bad_request
from chatmock.jsontext import JSONError

_INPUT: Final = "input"
_MODES: Final = ("none", "auto", "required")


@attrs.frozen
class OfferedTools:
    """What the model may call."""

    tools: tuple[Tool, ...]
    others: tuple[Mapping[str, Any], ...]
    """Tools that run at the upstream, and kinds that only OpenAI's own models know."""
    choice: ToolChoice
    ignored: tuple[str, ...] = ()


def read_tools(body: Mapping[str, Any], choice: str | Mapping[str, Any] | None) -> OfferedTools:
    """The tools of the request *body*, those included that its input adds.

    :param choice: the ``tool_choice``.
    :raises Refusal: bad request that names the tool or the choice.
    """
    tools: list[Tool] = []
    others: list[Mapping[str, Any]] = []
    for where, tool in _offered(body):
        read = _tool(tool, where)
        if read is None:
            others.append(tool)
        else:
            tools.append(read)
    wanted, allowed, ignored = _choice(choice)
    if allowed is not None:
        tools = [tool for tool in tools if tool.name in allowed]
    return OfferedTools(tuple(tools), tuple(others), wanted, ignored)


def custom_names(body: Mapping[str, Any]) -> frozenset[str]:
    """The names of the custom tools in the request *body*."""
    return frozenset(
        tool["name"] for _, tool in _offered(body) if tool.get("type") == "custom" and "name" in tool
    )


def wrapped_input(text: str) -> str:
    """*text*, the input of a custom tool, as the arguments of the function in its place."""
    return jsontext.dumps({_INPUT: text}).decode()


def unwrapped_input(arguments: str) -> str:
    """The free text in *arguments*, with which a model has called the function that stands for a custom tool.

    Models that do not keep to the schema may mean their only string, or the text itself; an answer that was cut short ends
    within the string.
    """
    for text in (arguments, arguments + '"}'):
        try:
            value = jsontext.loads(text)
        except JSONError:
            continue
        if isinstance(value, str):
            return value
        if isinstance(value, dict):
            texts = [each for each in value.values() if isinstance(each, str)]
            given = value.get(_INPUT, texts[0] if len(texts) == len(value) == 1 else None)
            return given if isinstance(given, str) else arguments
    return arguments


def _offered(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each tool and where it stands: in ``tools``, or in an item of the input that adds some."""
    lists: list[tuple[str, object]] = [("tools", body.get("tools"))]
    items = body.get("input")
    for position, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, Mapping) and item.get("type") == "additional_tools":
            lists.append((f"input[{position}].tools", item.get("tools")))
    for where, tools in lists:
        for position, tool in enumerate(tools if isinstance(tools, list) else ()):
            if isinstance(tool, Mapping):
                yield f"{where}[{position}]", tool


def _tool(tool: Mapping[str, Any], where: str) -> Tool | None:
    kind = tool.get("type")
    if not isinstance(kind, str):
        raise bad_request(f"'{where}' has no 'type'.", param=f"{where}.type")
    if kind == "function":
        return _function(tool, where)
    return _custom(tool, where) if kind == "custom" else None


def _function(tool: Mapping[str, Any], where: str) -> Tool:
    """A function; clients that come from OpenAI chat may have it one level deeper."""
    inner = tool.get("function")
    fields = {**inner, **tool} if isinstance(inner, Mapping) else tool
    try:
        function = read_shape(fields, FunctionBody)
    except Refusal as refusal:
        refusal.param = f"{where}.{refusal.param}" if refusal.param else where
        raise
    if not function.name:
        raise bad_request(f"'{where}' has no name.", param=f"{where}.name")
    return Tool(
        function.name, function.description or "", function.parameters or {}, strict=bool(function.strict)
    )


def _custom(tool: Mapping[str, Any], where: str) -> Tool:
    name, description = tool.get("name"), tool.get("description")
    if not isinstance(name, str) or not name:
        raise bad_request(f"'{where}' has no name.", param=f"{where}.name")
    told = [description] if isinstance(description, str) and description else []
    told += _grammar(tool.get("format"))
    parameters = {
        "type": "object",
        "properties": {_INPUT: {"type": "string", "description": "The input of the tool, as plain text."}},
        "required": [_INPUT],
        "additionalProperties": False,
    }
    return Tool(name, "\n\n".join(told), parameters)


def _grammar(form: object) -> Sequence[str]:
    """What to tell a model of the grammar that its input has to keep to."""
    if not isinstance(form, Mapping) or form.get("type") != "grammar":
        return ()
    syntax, definition = form.get("syntax"), form.get("definition")
    if not isinstance(definition, str):
        return ()
    kind = "regular expression" if syntax == "regex" else "Lark grammar"
    return (f"The string {_INPUT!r} must match this {kind}:\n{definition}",)


def _choice(
    choice: str | Mapping[str, Any] | None,
) -> tuple[ToolChoice, frozenset[str] | None, tuple[str, ...]]:
    """The choice, the names of the tools it is among where that is said, and what of it means nothing elsewhere."""
    if choice is None:
        return ToolChoice(), None, ()
    if isinstance(choice, str):
        if choice not in _MODES:
            raise bad_request(
                f"'tool_choice' is {', '.join(_MODES)} or an object, not {choice[:50]!r}.", "tool_choice"
            )
        return ToolChoice(choice), None, ()  # type: ignore[arg-type]  # just checked
    kind = choice.get("type")
    if kind == "allowed_tools":
        return _allowed(choice)
    if kind in ("function", "custom"):
        inner = choice.get(kind)
        name = choice.get("name", inner.get("name") if isinstance(inner, Mapping) else None)
        if not isinstance(name, str):
            raise bad_request("'tool_choice' does not name a tool.", param="tool_choice.name")
        return ToolChoice("named", name), None, ()
    if not isinstance(kind, str):
        raise bad_request("'tool_choice' has no 'type'.", param="tool_choice.type")
    return ToolChoice(), None, ("tool_choice",)  # of a tool that runs at the upstream


def _allowed(choice: Mapping[str, Any]) -> tuple[ToolChoice, frozenset[str], tuple[str, ...]]:
    where = "tool_choice.tools"
    tools = choice.get("tools")
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise bad_request(f"'{where}' must be a list of tools.", param=where)
    mode = "required" if choice.get("mode") == "required" else "auto"
    names = frozenset(tool["name"] for tool in tools if isinstance(tool.get("name"), str))
    return ToolChoice("required" if mode == "required" else "auto"), names, ()
