"""Which server-side chat a conversation goes on in, recognised by its beginning (spec upstreams.md, §0 point 7, A1.3).

Only digests are kept, in bounded number; who has been idle longest is forgotten first. Two conversations that are the
same word for word are one: the chat that answered last goes on.
"""

from __future__ import annotations

import hashlib
import re
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from chatmock import jsontext
from chatmock.conversation import Attachment, ChatRequest, Image, Message, Part, Text, ToolCall, ToolResult
from chatmock.jsontext import JSONError
from chatmock.providers.qwen.transcript import said

if TYPE_CHECKING:
    from hashlib import _Hash

K = TypeVar("K")
V = TypeVar("V")
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


@attrs.frozen(eq=False)
class Question:
    """What an answer will be remembered under: a conversation's digest so far, and none of its texts."""

    digest: _Hash | None = attrs.field(repr=False)
    """None where an answer cannot be remembered: the last message is the assistant's own, and the answer a part of it."""


class Conversations:
    """The chats that can go on.

    :param limit: how many answers to remember, each of which may be gone on from, and how many chats' last answers.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._places: OrderedDict[bytes, tuple[str, str]] = OrderedDict()
        self._last: OrderedDict[str, str] = OrderedDict()
        self._latest: _Digests | None = None

    def __len__(self) -> int:
        return len(self._places)

    def find(self, chat: ChatRequest, chosen: str = "") -> Place | None:
        """Where *chat* goes on: everything up to its last assistant message is a remembered conversation, and there is
        something new after that. None when all is to be told.

        :param chosen: the chat that was chosen by its id, if one was: what else was said there is nobody else's.
        """
        start = _after_last_answer(chat)
        if start in (0, len(chat.messages)):
            return None
        found = self._places.get(key := self._digests(chat, chosen).before)
        if found is None:
            return None
        self._places.move_to_end(key)
        return Place(*found, start)

    def begin(self, chat: ChatRequest, chosen: str = "") -> Question:
        """What :meth:`remember` needs of *chat*, which may be forgotten while its answer comes."""
        if chat.messages and chat.messages[-1].role == "assistant":
            return Question(None)
        return Question(self._digests(chat, chosen).whole)

    def _digests(self, chat: ChatRequest, chosen: str) -> _Digests:
        """Those of *chat*, which are made once for all that is asked about it, also at another try."""
        if self._latest is None or not self._latest.are_of(chat, chosen):
            self._latest = _digests(chat, chosen)
        return self._latest

    def remember(
        self, question: Question, answer_text: str, calls: Iterable[ToolCall], chat_id: str, response_id: str
    ) -> None:
        """Note that *question* was answered in full with *answer_text* (without its thinking) and *calls*.

        Not for an answer that was cut: the client has less of it than the chat, so it is one for :meth:`note`.
        """
        self.note(chat_id, response_id)
        if question.digest is None:
            return
        digest = question.digest.copy()
        _add(digest, _Canonical().texts([Message("assistant", (Text(answer_text), *calls))]))
        self._keep(self._places, digest.digest(), (chat_id, response_id))

    def note(self, chat_id: str, response_id: str) -> None:
        """Note the last answer of the chat *chat_id*, however it ended."""
        self._keep(self._last, chat_id, response_id)

    def last(self, chat_id: str) -> str | None:
        """The id of the last answer noted or remembered of the chat *chat_id*; None where none is known."""
        found = self._last.get(chat_id)
        if found is not None:
            self._last.move_to_end(chat_id)
        return found

    def _keep(self, kept: OrderedDict[K, V], key: K, value: V) -> None:
        kept[key] = value
        kept.move_to_end(key)
        while len(kept) > self._limit:
            kept.popitem(last=False)

    def forget(self, chat_id: str) -> None:
        """Drop all that is known of the chat *chat_id*, which was deleted or cannot go on."""
        self._last.pop(chat_id, None)
        for key in [key for key, (chat, _) in self._places.items() if chat == chat_id]:
            del self._places[key]


@attrs.frozen(eq=False)
class _Digests:
    """The digests of one request. It is known by the very messages and tools it has, which are not kept for that."""

    names: tuple[object, ...]
    parts: tuple[weakref.ref[Any], ...] = attrs.field(repr=False)
    before: bytes
    """Of all up to the last answer in it."""
    whole: _Hash = attrs.field(repr=False)
    """Of all of it; to be copied before it goes on."""

    def are_of(self, chat: ChatRequest, chosen: str) -> bool:
        """Whether *chat* is that request, or another try of it."""
        parts = *chat.messages, *chat.tools
        return (
            self.names == _names(chat, chosen)
            and len(self.parts) == len(parts)
            and all(known() is part for known, part in zip(self.parts, parts, strict=True))
        )


def _digests(chat: ChatRequest, chosen: str) -> _Digests:
    parts = tuple(weakref.ref(part) for part in (*chat.messages, *chat.tools))
    digest, canonical, start = hashlib.sha256(), _Canonical(), _after_last_answer(chat)
    _add(digest, (chat.model, chosen, *_tools(chat)))
    _add(digest, canonical.texts(chat.messages[:start]))
    before = digest.digest()
    _add(digest, canonical.texts(chat.messages[start:]))
    return _Digests(_names(chat, chosen), parts, before, digest)


def _names(chat: ChatRequest, chosen: str) -> tuple[object, ...]:
    return chat.model, chosen, chat.tool_choice.mode == "none"


def _after_last_answer(chat: ChatRequest) -> int:
    """The index of the first message behind all of the assistant's; 0 where there are none."""
    for index in range(len(chat.messages), 0, -1):
        if chat.messages[index - 1].role == "assistant":
            return index
    return 0


def _add(digest: _Hash, texts: Iterable[str]) -> None:
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data))
        digest.update(data)


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
        """The texts to hash of *messages*, or of those that come next; assistant messages in a row are one."""
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
            case Image():
                yield from ("image", part.digest.hex())
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
