"""The input of a Responses request, as messages (spec upstreams.md, D3; chatgpt.md, 4.1).

A turn of the assistant is several items there: its thinking, its text, each of its calls. Here it is one message, whose
calls are followed by their results. Items and parts that only OpenAI's own servers know what to do with (calls of hosted
tools, references to what they keep) are left out and named: an upstream that speaks this dialect gets the body as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import attrs

from chatmock import jsontext
from chatmock.conversation import (
    Attachment,
    Image,
    Message,
    Part,
    Reasoning,
    RefusalText,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from chatmock.dialects.responses_tools import wrapped_input
from chatmock.errors import Refusal, bad_request

PARAGRAPH = "\n\n"
CALLS = ("function_call", "custom_tool_call")
RESULTS = ("function_call_output", "custom_tool_call_output")
_TEXT_PARTS = ("input_text", "output_text", "text")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,48}")
_ROLES: Mapping[str, Role] = {role: role for role in get_args(Role) if role != "tool"}

Item = Mapping[str, Any]


@attrs.frozen
class ReadInput:
    """What the input of a request says."""

    messages: tuple[Message, ...]
    places: tuple[str, ...]
    """Where each of them begins: ``input``, or ``input[n]``."""
    ignored: tuple[str, ...] = ()
    """The names of what was left out."""


def read_input(items: str | Sequence[Item], earlier: int = 0) -> ReadInput:
    """The messages that *items* are.

    :param earlier: how many of them come from the answer that the request goes on from.
    :raises Refusal: bad request that names the item, where one of a known type lacks what it cannot be without.
    """
    if isinstance(items, str):
        return ReadInput((Message("user", (Text(items),)),), ("input",))
    reader = _Reader()
    for position, item in enumerate(items):
        place = f"input[{position - earlier}]" if position >= earlier else "previous_response_id"
        reader.add(item, place)
    reader.end_turn()
    return ReadInput(tuple(reader.messages), tuple(reader.places), tuple(dict.fromkeys(reader.ignored)))


def kind_of(item: Item) -> str:
    """The type of *item*: it may be left out of messages, and of references to what the server keeps."""
    kind = item.get("type")
    if isinstance(kind, str):
        return kind
    if kind is None and "role" in item:
        return "message"
    return "item_reference" if kind is None and isinstance(item.get("id"), str) else ""


class _Reader:
    """Reads item by item."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.places: list[str] = []
        """Where each of them begins."""
        self.ignored: list[str] = []
        self._turn: list[Part] = []
        """What the assistant has said, thought and called without having had a result."""
        self._began = ""
        """Where that begins."""
        self._said = self._called = False
        """Whether there is text among it; whether there are calls."""

    def add(self, item: Item, where: str) -> None:
        """Read *item*, which stands at *where*."""
        kind = kind_of(item)
        if kind == "message":
            self._message(item, where)
        elif kind == "reasoning":
            self._begin_turn(where)
            self._turn.append(_reasoning(item))
        elif kind in CALLS:
            self._began = self._began or where
            self._turn.append(_call(item, kind, where))
            self._called = True
        elif kind in RESULTS:
            self._result(item, where)
        elif not kind:
            raise bad_request(f"'{where}' has no 'type'.", param=f"{where}.type")
        elif kind != "additional_tools":  # those are offered with the others
            self._ignore("input", kind)

    def end_turn(self) -> None:
        """What comes next is another's. Thinking that has led to nothing is left out: no other API takes that."""
        if self._said or self._called:
            self._add(Message("assistant", tuple(self._turn)), self._began)
        self._turn = []
        self._began = ""
        self._said = self._called = False

    def _add(self, message: Message, where: str) -> None:
        self.messages.append(message)
        self.places.append(where)

    def _begin_turn(self, where: str) -> None:
        """The assistant begins to think or to speak: anew, unless it still waits for the results of its calls."""
        if self._said and not self._called:
            self.end_turn()
        self._began = self._began or where

    def _message(self, item: Item, where: str) -> None:
        given = item.get("role")
        role = _ROLES.get(given) if isinstance(given, str) else None
        if role is None:
            raise bad_request(f"'{where}.role' is none of {', '.join(_ROLES)}.", param=f"{where}.role")
        parts = self._content(item.get("content"), f"{where}.content")
        if role != "assistant":
            self.end_turn()
            if parts:
                self._add(Message(role, tuple(parts)), where)
            return
        self._begin_turn(where)
        if not parts:
            return
        if self._said:
            self._turn.append(Text(PARAGRAPH))
        self._turn += parts
        self._said = True

    def _result(self, item: Item, where: str) -> None:
        id = item.get("call_id")
        if not isinstance(id, str) or not id:
            raise bad_request(f"'{where}' needs the 'call_id' it answers.", param=f"{where}.call_id")
        output = item.get("output")
        if isinstance(output, Mapping):
            output = jsontext.dumps(output).decode()
        parts = self._content(output, f"{where}.output")
        self.end_turn()
        inner = tuple(part for part in parts if isinstance(part, Text | Image | Attachment))
        self._add(Message("tool", (ToolResult(id, inner),)), where)

    def _content(self, content: object, where: str) -> list[Part]:
        if content is None or content == "":
            return []
        if isinstance(content, str):
            return [Text(content)]
        if not isinstance(content, list):
            raise bad_request(f"'{where}' must be text or a list of parts.", param=where)
        parts = [self._part(part, f"{where}[{position}]") for position, part in enumerate(content)]
        return [part for part in parts if part is not None]

    def _part(self, part: object, where: str) -> Part | None:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if not isinstance(part, Mapping) or not isinstance(kind, str):
            raise bad_request(f"'{where}' has no 'type'.", param=f"{where}.type")
        if kind in _TEXT_PARTS:
            text = _text(part, "text", where)
            return Text(text) if text else None
        if kind == "refusal":
            return RefusalText(_text(part, "refusal", where))
        if kind == "input_image":
            return self._image(part, where)
        if kind == "input_file":
            return self._file(part, where)
        if kind == "input_audio":
            return Attachment(kind, part)  # the same in OpenAI chat
        self._ignore("input", kind)
        return None

    def _image(self, part: Item, where: str) -> Image | None:
        url, detail = part.get("image_url"), part.get("detail")
        if isinstance(url, str) and url:
            return Image(url, detail if isinstance(detail, str) else None)
        if not isinstance(part.get("file_id"), str):
            raise bad_request(
                f"'{where}' needs an 'image_url': a link, or a data: URL.", param=f"{where}.image_url"
            )
        self._ignore("input_image", "file_id")
        return None

    def _file(self, part: Item, where: str) -> Attachment | None:
        """A file as OpenAI chat has it, which knows of no links."""
        file = {
            key: part[key] for key in ("file_id", "filename", "file_data") if isinstance(part.get(key), str)
        }
        if "file_id" in file or "file_data" in file:
            return Attachment("file", {"type": "file", "file": file})
        if not isinstance(part.get("file_url"), str):
            raise bad_request(f"'{where}' needs 'file_data' or a 'file_id'.", param=f"{where}.file_data")
        self._ignore("input_file", "file_url")
        return None

    def _ignore(self, field: str, kind: str) -> None:
        self.ignored.append(f"{field}.{kind}" if _PLAIN.fullmatch(kind) else field)


def _reasoning(item: Item) -> Reasoning:
    sealed, id = item.get("encrypted_content"), item.get("id")
    return Reasoning(
        _thought(item.get("content")) or _thought(item.get("summary")),
        sealed if isinstance(sealed, str) else "",
        id if isinstance(id, str) else "",
    )


def _thought(parts: object) -> str:
    """The texts of *parts*, an item's thinking or the summary of it."""
    texts = (
        (part.get("text") for part in parts if isinstance(part, Mapping)) if isinstance(parts, list) else ()
    )
    return PARAGRAPH.join(text for text in texts if isinstance(text, str) and text)


def _call(item: Item, kind: str, where: str) -> ToolCall:
    id, name = item.get("call_id") or item.get("id"), item.get("name")
    if not isinstance(id, str) or not isinstance(name, str) or not name:
        raise bad_request(f"'{where}' needs a 'call_id' and a 'name'.", param=where)
    field = "input" if kind == "custom_tool_call" else "arguments"
    given = _text(item, field, where)
    return ToolCall(id, name, wrapped_input(given) if field == "input" else given)


def _text(value: Item, field: str, where: str) -> str:
    """The string in the *field* of *value*; empty where it is absent.

    :raises Refusal: bad request, when it is something else.
    """
    text = value.get(field)
    if text is not None and not isinstance(text, str):
        raise _not_text(f"{where}.{field}")
    return text or ""


def _not_text(where: str) -> Refusal:
    return bad_request(f"'{where}' must be a string.", param=where)
