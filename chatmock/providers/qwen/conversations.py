"""Which server-side chat a conversation goes on in, recognised by its beginning (spec upstreams.md, §0 point 7, A1.3).

Only digests are kept, in bounded number; who has been idle longest is forgotten first. Two conversations that are the
same word for word are one: the chat that answered last goes on.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.conversation import Attachment, ChatRequest, Image, Message, Part, Text, ToolCall, ToolResult
from chatmock.jsontext import JSONError
from chatmock.providers.qwen.transcript import said

_THOUGHT: Final = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""The thinking before an answer, as the mode think-tags shows it and clients send it back."""


@attrs.frozen
class Place:
    """Where a conversation goes on."""

    chat_id: str
    parent_id: str | None
    """The id of the answer it goes on from; None at a chat's beginning."""
    start: int
    """The index of the first message that the chat does not have yet."""


class Conversations:
    """The chats that can go on.

    :param limit: how many answers to remember; each may be gone on from.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._places: OrderedDict[bytes, tuple[str, str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def find(self, chat: ChatRequest) -> Place | None:
        """Where *chat* goes on: everything up to its last assistant message is a remembered conversation, and there is
        something new after that. None when a new chat is to be opened."""
        roles = [message.role for message in chat.messages]
        if "assistant" not in roles or roles[-1] == "assistant":
            return None
        start = len(roles) - roles[::-1].index("assistant")
        key = _key(chat, chat.messages[:start])
        found = self._places.get(key)
        if found is None:
            return None
        self._places.move_to_end(key)
        return Place(*found, start)

    def remember(
        self, chat: ChatRequest, answer_text: str, calls: Iterable[ToolCall], chat_id: str, response_id: str
    ) -> None:
        """Note that *chat* was answered in full with *answer_text* (without its thinking) and *calls*.

        Not for an answer that was cut: the client has less of it than the chat.
        """
        answer = Message("assistant", (Text(answer_text), *calls))
        key = _key(chat, (*chat.messages, answer))
        self._places[key] = (chat_id, response_id)
        self._places.move_to_end(key)
        while len(self._places) > self._limit:
            self._places.popitem(last=False)

    def forget(self, chat_id: str) -> None:
        """Drop all that is known of the chat *chat_id*, which was deleted or cannot go on."""
        for key in [key for key, (chat, _) in self._places.items() if chat == chat_id]:
            del self._places[key]


def _key(chat: ChatRequest, messages: Sequence[Message]) -> bytes:
    digest = hashlib.sha256()
    for text in (chat.model, *_tools(chat), *_Canonical().texts(messages)):
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.digest()


def _tools(chat: ChatRequest) -> Iterator[str]:
    """The tools that the chat's first message tells of."""
    if chat.tool_choice.mode != "none":
        for tool in chat.tools:
            yield from ("tool", tool.name, tool.description, _sorted_json(tool.parameters))


class _Canonical:
    """Writes messages in the one form that all ways have in which clients send them back."""

    def __init__(self) -> None:
        self._calls: dict[str, int] = {}
        """The number of the latest call of each id: clients may make ids anew."""
        self._called = 0

    def texts(self, messages: Sequence[Message]) -> Iterator[str]:
        """The texts to hash; assistant messages in a row are one."""
        answer: list[Part] = []
        for message in messages:
            if message.role == "assistant":
                answer += message.parts
                continue
            if answer:
                yield from self._answer(answer)
                answer = []
            yield from self._other(message)
        if answer:
            yield from self._answer(answer)

    def _answer(self, parts: Sequence[Part]) -> Iterator[str]:
        yield from ("assistant", _THOUGHT.sub("", said(parts)).strip(), *_shown(parts))
        for part in parts:
            if isinstance(part, ToolCall):
                self._calls[part.id] = self._called
                self._called += 1
                yield from ("call", part.name, _canonical_arguments(part.arguments))

    def _other(self, message: Message) -> Iterator[str]:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        for result in results:
            number = self._calls.get(result.id)
            yield from ("result", result.id if number is None else f"#{number}", said(result.parts))
            yield from _shown(result.parts)
        if not results or len(results) < len(message.parts):
            role = "system" if message.role == "developer" else message.role
            yield from (role, message.name or "", said(message.parts), *_shown(message.parts))


def _shown(parts: Sequence[Part]) -> Iterator[str]:
    """What is no text: a picture is told by its address, which may hold it, and only its hash is kept."""
    for part in parts:
        match part:
            case Image(url):
                yield from ("image", hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest())
            case Attachment(kind, value):
                yield from ("attachment", kind, _sorted_json(value))


def _canonical_arguments(arguments: str) -> str:
    """Arguments without the differences that reading and writing JSON makes."""
    try:
        return _sorted_json(jsontext.loads(arguments)) if arguments.strip() else "{}"
    except JSONError:
        return arguments


def _sorted_json(value: object) -> str:
    return jsontext.dumps(_sorted(value)).decode()


def _sorted(value: Any) -> Any:
    """*value* with the keys of objects in order, and whole numbers as such."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
