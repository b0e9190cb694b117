"""The chats that a fake chat.qwen.ai keeps: what each has been told, and which of them are locked."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed

from tests.upstreams.playing_site import Course
from tests.upstreams.qwen_script import Ids

STOPPED = b'data: {"response.stopped": {}}\n\n'
"""How a stream ends whose client is still there after ``/stop``."""


@attrs.define(eq=False)
class Turn(Course):
    """One message, and the answer to it."""

    chat: Chat
    parent: Turn | None
    """The turn it continues; None for one that remembers nothing."""
    response_id: str
    message: Mapping[str, Any]
    """The message as it was sent."""
    body: Mapping[str, Any]
    """The whole request."""
    pictures: tuple[bytes, ...] = ()
    """What the model sees: the content of the message's files."""
    answer: str = ""
    """The text of the answer; what was planned, if the client has left."""
    failed: bool = False
    """Whether there is no answer to go on from: it failed or was empty."""
    over_after: int | None = None
    """After how many pieces of the stream the chat is free again."""
    stopped: bool = False
    """Whether ``/stop`` came before the end."""
    _waiting: list[Deferred[None]] = attrs.field(factory=list)

    @property
    def text(self) -> str:
        """What the user says."""
        content = self.message["content"]
        return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)

    @property
    def context(self) -> list[tuple[str, str]]:
        """What the model remembers: (message, answer), the oldest first, without this turn."""
        turns: list[tuple[str, str]] = []
        turn = self.parent
        while turn is not None:
            turns.append((turn.text, turn.answer))
            turn = turn.parent
        return turns[::-1]

    def end(self) -> None:
        """The answer is complete: the chat is free."""
        if self.chat.answering is self:
            self.chat.answering = None

    def stop(self) -> None:
        """The answer is stopped: its stream ends, and the chat is free."""
        self.stopped = True
        self.end()
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    def last_words(self) -> bytes | None:
        """Nothing more is said once the answer is stopped."""
        return STOPPED if self.stopped else None

    def wrote(self, count: int) -> None:
        """The chat is free once the record that ends the answer is out."""
        if count == self.over_after:
            self.end()

    def released(self) -> Deferred[None]:
        """Fires when the answer is stopped."""
        if self.stopped:
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    @property
    def ids(self) -> Ids:
        """What the answer's records name."""
        parent = None if self.parent is None else self.parent.response_id
        return Ids(self.chat.id, parent, self.response_id)


@attrs.define(eq=False)
class Chat:
    """One chat."""

    id: str
    model: str
    turns: list[Turn] = attrs.field(factory=list)
    deleted: bool = False
    answering: Turn | None = None
    """The turn that locks the chat: it is being answered, or its client has left without a word."""

    def take(self, message: Mapping[str, Any], body: Mapping[str, Any], parent: Turn | None) -> Turn:
        """A new turn, which locks the chat."""
        turn = Turn(self, parent, str(uuid.uuid4()), message, body)
        self.turns.append(turn)
        self.answering = turn
        return turn

    def history(self) -> dict[str, Any]:
        """The chat as its page is told it."""
        messages: dict[str, Any] = {}
        for turn in self.turns:
            asked, answered = str(turn.message.get("fid")), turn.response_id
            parent = None if turn.parent is None else turn.parent.response_id
            messages[asked] = {"id": asked, "role": "user", "parentId": parent, "childrenIds": [answered]}
            messages[answered] = {"id": answered, "role": "assistant", "parentId": asked, "childrenIds": []}
        leaf = self.turns[-1].response_id if self.turns else None
        return {"messages": messages, "currentId": leaf}

    def turn(self, response_id: str | None) -> Turn | None:
        """The turn that *response_id* answered."""
        return next((turn for turn in self.turns if turn.response_id == response_id), None)


class Chats:
    """All chats of an account."""

    def __init__(self) -> None:
        self._by_id: dict[str, Chat] = {}

    def __iter__(self) -> Iterator[Chat]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def open(self, model: str) -> Chat:
        """A new chat."""
        chat = Chat(str(uuid.uuid4()), model)
        self._by_id[chat.id] = chat
        return chat

    def get(self, chat_id: object) -> Chat | None:
        """The chat of that id, unless it was deleted."""
        chat = self._by_id.get(str(chat_id))
        return None if chat is None or chat.deleted else chat

    @property
    def turns(self) -> list[Turn]:
        """Every turn of every chat, chat by chat."""
        return [turn for chat in self for turn in chat.turns]

    @property
    def locked(self) -> list[str]:
        """The ids of chats that take no message now."""
        return [chat.id for chat in self if chat.answering is not None]
