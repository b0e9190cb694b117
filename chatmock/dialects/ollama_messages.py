"""Reads the messages, pictures and tools of Ollama's requests (spec upstreams.md, E2; chatgpt.md, 4.4)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatmock import jsontext
from chatmock.conversation import (
    Image,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from chatmock.dialects.reading import FunctionBody, read_shape
from chatmock.errors import Refusal, bad_request
from chatmock.jsontext import Struct

_ROLES: Final[Mapping[str, Role]] = {
    "": "user",
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_MAGIC: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "png"),
    (re.compile(rb"\xff\xd8\xff"), "jpeg"),
    (re.compile(rb"GIF8[79]a"), "gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webp"),
)
_DATA_URL: Final = re.compile(r"data:[^,\s]{0,200};base64,")
_NOT_BASE64: Final = re.compile(r"[^A-Za-z0-9+/]")


class CalledBody(Struct):
    """What was called in an earlier turn."""

    name: str
    arguments: dict[str, Any] | str | None = None
    """An object; the text of one from clients that know OpenAI's form."""
    index: int | None = None


class CallBody(Struct):
    """A tool call of an earlier turn."""

    function: CalledBody
    id: str | None = None


class MessageBody(Struct):
    """A message."""

    role: str = ""
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[CallBody] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class ToolBody(Struct):
    """A tool that is offered."""

    function: dict[str, Any] | None = None
    type: str | None = None


class Outstanding:
    """The calls that no tool has answered yet. Ollama's calls had no ids once, and not all clients send them back."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self._made = 0

    def called(self, call: CallBody) -> ToolCall:
        """*call*, under its id, or one that is the same whenever the conversation is sent again."""
        self._made += 1
        arguments = call.function.arguments or {}
        if not isinstance(arguments, str):
            arguments = jsontext.dumps(arguments).decode()
        made = ToolCall(call.id or f"call_{self._made:08}", call.function.name, arguments)
        self._calls.append(made)
        return made

    def forget(self) -> None:
        """The conversation has gone on without the answers."""
        self._calls.clear()

    def answered(self, id: str | None, name: str | None) -> str:
        """The id of the call that a tool answers: the one named, else the first of the tool *name*, else the first."""
        found = next((call for call in self._calls if call.id == id), None)
        if id and found is None:
            return id
        if found is None and name:
            found = next((call for call in self._calls if call.name == name), None)
        if found is None and self._calls:
            found = self._calls[0]
        if found is None:
            self._made += 1
            return f"call_{self._made:08}"
        self._calls.remove(found)
        return found.id


def read_messages(asked: Sequence[MessageBody]) -> tuple[Message, ...]:
    """The conversation.

    :raises Refusal: bad request, naming the message at fault.
    """
    outstanding = Outstanding()
    return tuple(_message(message, f"messages[{i}]", outstanding) for i, message in enumerate(asked))


def check_roles(messages: Sequence[Mapping[str, Any]]) -> None:
    """See that the messages of a request have roles that every upstream knows; only an Ollama takes those of its models'
    templates besides, such as ``control``.

    :raises Refusal: bad request, naming the message at fault.
    """
    for i, message in enumerate(messages):
        role = message.get("role") or ""
        if role.lower() not in _ROLES:
            raise bad_request(
                f"'messages[{i}].role' is {role[:50]!r}: it can be system, user, assistant or tool.",
                param=f"messages[{i}].role",
            )


def _message(asked: MessageBody, where: str, outstanding: Outstanding) -> Message:
    role = _ROLES.get(
        asked.role.lower(), "system"
    )  # another one is only for an Ollama to judge, which is passed it as it is
    pictures = read_images(asked.images, f"{where}.images")
    if role == "tool":
        said: tuple[Text | Image, ...] = (Text(asked.content or ""), *pictures)
        return Message(role, (ToolResult(outstanding.answered(asked.tool_call_id, asked.tool_name), said),))
    if role != "assistant":
        outstanding.forget()
        return Message(role, with_pictures(asked.content, pictures))
    parts: list[Part] = [Reasoning(asked.thinking)] if asked.thinking else []
    if asked.content or pictures:
        parts.extend(with_pictures(asked.content, pictures))
    parts.extend(map(outstanding.called, asked.tool_calls or ()))
    return Message(role, tuple(parts))


def with_pictures(text: str | None, pictures: Sequence[Image]) -> tuple[Part, ...]:
    """What is said and shown; an empty text where there is neither."""
    said = (Text(text or ""),) if text or not pictures else ()
    return (*said, *pictures)


def read_images(images: Sequence[str] | None, where: str) -> tuple[Image, ...]:
    """Pictures in base64 as ``data:`` URLs.

    :raises Refusal: bad request, for what is no base64, and no PNG, JPEG, GIF or WebP.
    """
    return tuple(_image(image, f"{where}[{i}]") for i, image in enumerate(images or ()))


def _image(data: str, where: str) -> Image:
    prefix = _DATA_URL.match(data)
    data = data[prefix.end() :] if prefix else data
    if "\n" in data or "\r" in data:
        data = data.replace("\r", "").replace("\n", "")
    try:
        start = binascii.a2b_base64(data, strict_mode=True)[:16]
    except ValueError:  # also for what is not ASCII
        odd = _NOT_BASE64.search(data)
        at = odd.start() if odd else len(data)
        raise bad_request(f"'{where}': illegal base64 data at input byte {at}", param=where) from None
    kind = next((kind for magic, kind in _MAGIC if magic.match(start)), None)
    if kind is None:
        raise bad_request(
            f"'{where}': image: unknown format; it can be PNG, JPEG, GIF or WebP, in base64", param=where
        )
    return Image(f"data:image/{kind};base64,{data}")


def read_tools(asked: Sequence[dict[str, Any]] | None) -> tuple[Tool, ...]:
    """The tools that are offered.

    :raises Refusal: bad request, naming the tool at fault.
    """
    return tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(asked or ()))


def _tool(tool: Mapping[str, Any], where: str) -> Tool:
    """A tool, also where its function stands by itself, as some clients send it."""
    try:
        wrapped = read_shape(tool, ToolBody).function
        function = read_shape(tool if wrapped is None else wrapped, FunctionBody)
    except Refusal as refusal:
        refusal.param = f"{where}.{refusal.param}" if refusal.param else where
        raise
    return Tool(function.name, function.description or "", function.parameters or {}, bool(function.strict))
