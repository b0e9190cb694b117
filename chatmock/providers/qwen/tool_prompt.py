"""The texts that offer tools to a model whose site knows none, in the grammar of :mod:`.tool_markup` (spec upstreams.md, A1.7).

The client's texts in here (names, descriptions, schemas, arguments) stand in JSON, one value a line, so that they hold no
line break and no quote of their own. Where they stand in a message is for :mod:`.transcript` to mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chatmock import jsontext
from chatmock.conversation import ResponseFormat, Tool
from chatmock.jsontext import JSONError
from chatmock.providers.qwen.tool_markup import CLOSE, OPEN
from chatmock.providers.qwen.tool_offer import Offer

RESPONSE_OPEN: Final = "<tool_response"
RESPONSE_CLOSE: Final = "</tool_response>"
NO_TOOL_CALL: Final = "upstream_no_tool_call"
"""The code of a failure: a call was asked for, and the answer has none that counts."""
INVALID_TOOL_CALL: Final = "upstream_invalid_tool_call"
"""The code of a failure: a call cannot be used, since it is broken, of a tool that is not there, or does not fit its schema."""

_HOW: Final = f"""\
You can call the tools listed at the end of this part. They run where the user is, not with you. Each line there is one \
tool: its name, what it does, and the JSON Schema of its arguments.

To call a tool, write this and nothing around it, no code fence either:
{OPEN}{{"name": "tool name", "arguments": {{"parameter": "value"}}}}{CLOSE}

- Between the tags stands one JSON object on its own, in strict JSON: double quotes, line breaks in strings as \\n.
- "arguments" is an object that fits the tool's schema; for a tool without parameters it is {{}}.
- What you want to say goes before the first call. After the last call stop at once.
- The results come in the next message, as {RESPONSE_OPEN} id="…" name="…">…{RESPONSE_CLOSE}. Never write a result yourself.
- Write {OPEN} only to call a tool. Use no other tools and no other syntax for calls.

The tools:
"""


def tools_text(tools: Sequence[Tool]) -> str:
    """How to call *tools*, and a line for each of them."""
    lines = [
        jsontext.dumps(
            {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters or {"type": "object", "properties": {}},
            }
        ).decode()
        for tool in tools
    ]
    return _HOW + "\n".join(lines)


def choice_text(offered: Offer) -> str:
    """What is to be called in the next answer; said in each message, since it may differ each time. Empty without tools."""
    if not offered.usable:
        return ""
    names = jsontext.dumps([tool.name for tool in offered.usable]).decode()
    if offered.forced and len(offered.usable) == 1:
        first = f"Your answer must call the tool {names[1:-1]}."
    elif offered.forced:
        first = f"Your answer must call at least one of these tools: {names}."
    elif len(offered.usable) < len(offered.tools):
        first = f"Answer, or call tools where they help; only these may be called now: {names}."
    else:
        first = "Answer, or call tools where they help."
    count = (
        f"Several calls that do not depend on each other may follow one after the other, each in its own {OPEN}."
        if offered.parallel
        else "Make at most one call."
    )
    return f"{first} {count} A call is written as {OPEN}{{…}}{CLOSE}."


def format_text(wanted: ResponseFormat) -> str:
    """The form of the next answer's text, which the site cannot be told in another way; empty for plain text."""
    if wanted.kind == "text":
        return ""
    alone = "The text of your answer must be one JSON {} and nothing else: no code fence, no words before or after it."
    if wanted.kind == "json_object":
        return alone.format("object")
    schema = jsontext.dumps(wanted.schema or {}).decode()
    return f"{alone.format('value')} It must fit this JSON Schema:\n{schema}"


def call_text(name: str, arguments: str) -> str:
    """An earlier call as the model wrote it, or would have. Arguments that are no JSON object are given as a string."""
    body = jsontext.dumps({"name": name, "arguments": _object_or_text(arguments)}).decode()
    return f"{OPEN}{body}{CLOSE}"


def _object_or_text(arguments: str) -> object:
    if not arguments.strip():
        return {}
    try:
        jsontext.loads_object(arguments)
    except JSONError:
        return arguments
    return jsontext.Raw(arguments.encode())


def response_text(id: str, name: str | None, content: str) -> str:
    """What a tool answered. *content* stays as it is: the caller marks where it ends."""
    named = "" if name is None else f" name={jsontext.dumps(name).decode()}"
    return f"{RESPONSE_OPEN} id={jsontext.dumps(id).decode()}{named}>\n{content}\n{RESPONSE_CLOSE}"


def repair_note(offered: Offer, fault: str | None = None) -> str:
    """The message that asks once more, in the same chat, after an answer that failed with :data:`NO_TOOL_CALL` or
    :data:`INVALID_TOOL_CALL`.

    :param fault: what is wrong with the call that was made; None where there was none.
    """
    told = "Your last answer called no tool." if fault is None else f"Your last call cannot be used: {fault}"
    wish = "Write the call now" if offered.forced else "If you want to call a tool, write the call"
    return (
        f"{told}\n{choice_text(offered)} {wish}, exactly in this form, and nothing else:\n"
        f'{OPEN}{{"name": "tool name", "arguments": {{}}}}{CLOSE}'
    )
