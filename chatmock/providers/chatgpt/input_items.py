"""The conversation as the Responses API has it: instructions, and a list of input items (spec chatgpt.md, 2.4, 4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

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
from chatmock.errors import Refusal, bad_request
from chatmock.providers.chatgpt.call_ids import CallIds
from chatmock.providers.chatgpt.contract import TITLE
from chatmock.providers.client_fields import quoted
from chatmock.providers.data_urls import cleaned

Item = dict[str, Any]

_ROLES: Mapping[Role, str] = {
    "system": "developer",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
}
"""The backend takes no system messages in the input."""
_MOST_IDS_TOLD = 5


def leading_text(messages: Sequence[Message]) -> tuple[str, int]:
    """The system and developer texts that *messages* begin with, joined by blank lines, and how many messages they are.

    One that holds more than text ends them: it can only stand in the input.
    """
    texts: list[str] = []
    for count, message in enumerate(messages):
        if message.role not in ("system", "developer"):
            return "\n\n".join(texts), count
        said = [part.text for part in message.parts if isinstance(part, Text)]
        if len(said) != len(message.parts):
            return "\n\n".join(texts), count
        texts.extend(text for text in said if text.strip())
    return "\n\n".join(texts), len(messages)


def input_items(
    messages: Sequence[Message], start: int, names: Mapping[str, str], reads_images: bool
) -> list[Item]:
    """The input for *messages* from position *start* on: never empty, since the backend wants something to answer.

    :param names: long names of functions, to those that go upstream.
    :param reads_images: whether the model does.
    :raises Refusal: bad request, for parts the backend does not take (naming the part) and for tool results
        without their call (naming the ids).
    """
    writer = _Writer(messages, names, reads_images)
    for position in range(start, len(messages)):
        writer.add(messages[position], f"messages[{position}]")
    if writer.orphans:
        raise _orphaned(writer.orphans)
    return writer.items or [_message("user", [{"type": "input_text", "text": " "}])]


@attrs.define
class _Step:
    """What was thought in one go, and what it led to."""

    thought: list[Item] = attrs.field(factory=list)
    content: list[Item] = attrs.field(factory=list)
    calls: list[Item] = attrs.field(factory=list)

    @property
    def leads(self) -> bool:
        """Whether it has led to anything."""
        return bool(self.content or self.calls)

    def items(self, role: Role) -> list[Item]:
        """Its items. Thinking that led to nothing is left out: the backend wants to see what came of it."""
        said = [_message(_ROLES[role], self.content)] if self.content else []
        return [*self.thought, *said, *self.calls] if self.leads else []


class _Writer:
    __slots__ = ("_ids", "_names", "_reads_images", "items", "orphans")

    def __init__(self, messages: Sequence[Message], names: Mapping[str, str], reads_images: bool) -> None:
        self._ids = CallIds(messages)
        self._names = names
        self._reads_images = reads_images
        self.items: list[Item] = []
        self.orphans: list[tuple[str, str]] = []
        """Where results without a call stand, and the id each of them has."""

    def add(self, message: Message, where: str) -> None:
        """Write *message*: what was said before the calls it led to, and after the results it goes with. Thinking goes before
        what it led to; without a seal it is left out, for it would be a text like any other."""
        step, written, results = _Step(), [], []
        for position, part in enumerate(message.parts):
            match part:
                case Reasoning(sealed=""):
                    continue
                case Reasoning():
                    if step.leads:
                        written += step.items(message.role)
                        step = _Step()
                    step.thought.append(_reasoning(part))
                case ToolCall():
                    step.calls.append(self._call(part))
                case ToolResult():
                    results += self._result(part, message.name, where)
                case _:
                    step.content += self._content(part, message.role, f"{where}.content[{position}]")
        if step.content and message.role == "tool":
            raise bad_request(f"{where!r} needs the 'tool_call_id' it answers.", f"{where}.tool_call_id")
        self.items += [*results, *written, *step.items(message.role)]

    def _call(self, call: ToolCall) -> Item:
        return {
            "type": "function_call",
            "call_id": self._ids.begin(call),
            "name": self._names.get(call.name, call.name),
            "arguments": call.arguments or "{}",
        }

    def _result(self, result: ToolResult, name: str | None, where: str) -> list[Item]:
        id = self._ids.answer(result.id, name)
        if id is None:
            self.orphans.append((where, result.id))
            return []
        output: str | list[Item]
        if all(isinstance(part, Text) for part in result.parts):
            output = "\n".join(part.text for part in result.parts if isinstance(part, Text))
        else:
            output = []
            for position, part in enumerate(result.parts):
                output += self._content(part, "tool", f"{where}.content[{position}]")
        return [{"type": "function_call_output", "call_id": id, "output": output}]

    def _content(self, part: Part, role: Role, where: str) -> list[Item]:
        match part:
            case Text(text) | RefusalText(text):
                kind = "output_text" if role == "assistant" else "input_text"
                return [{"type": kind, "text": text}] if text else []
            case _ if role == "assistant":
                raise bad_request(
                    f"{where!r} of the assistant's message is no text: {TITLE} takes pictures and files from "
                    "users only. Put it into a message of role 'user'.",
                    param=where,
                )
            case Image():
                return [self._image(part, where)]
            case Attachment("file", value):
                return [_file(value.get("file"), where)]
            case _:
                kind = part.kind if isinstance(part, Attachment) else type(part).__name__
                raise bad_request(
                    f"{where!r} is of type {quoted(kind)}, which {TITLE} does not take. "
                    "It takes text, image_url and file.",
                    param=where,
                )

    def _image(self, image: Image, where: str) -> Item:
        if not self._reads_images:
            raise bad_request(
                f"{where!r} is a picture, and the model reads no pictures. Leave it out or pick another model.",
                param=where,
            )
        item = {"type": "input_image", "image_url": cleaned(image.url)}
        if image.detail:
            item["detail"] = image.detail
        return item


def _file(file: object, where: str) -> Item:
    if isinstance(file, Mapping):
        id, name, data = (file.get(key) for key in ("file_id", "filename", "file_data"))
        if isinstance(id, str) and id:
            return {"type": "input_file", "file_id": id}
        if isinstance(name, str) and isinstance(data, str) and name and data:
            return {"type": "input_file", "filename": name, "file_data": data}
    raise bad_request(
        f"{where!r} needs a 'file' with a 'file_id', or with 'filename' and 'file_data'.",
        param=f"{where}.file",
    )


def _reasoning(thinking: Reasoning) -> Item:
    """*thinking*, which has a seal. Its id stays here: the backend, which keeps nothing, would look for it."""
    summary = [{"type": "summary_text", "text": thinking.text}] if thinking.text else []
    return {"type": "reasoning", "summary": summary, "encrypted_content": thinking.sealed}


def _message(role: str, content: list[Item]) -> Item:
    return {"type": "message", "role": role, "content": content}


def _orphaned(orphans: Sequence[tuple[str, str]]) -> Refusal:
    told = ", ".join(quoted(id) if id else "one without an id" for _, id in orphans[:_MOST_IDS_TOLD])
    more = f" and {len(orphans) - _MOST_IDS_TOLD} more" if len(orphans) > _MOST_IDS_TOLD else ""
    return bad_request(
        f"There are tool results without a call before them: {told}{more}. "
        "Send the assistant's message with these calls, too.",
        param=f"{orphans[0][0]}.tool_call_id",
    )
