"""Which tool result answers which call, and the ids that tell it upstream (spec chatgpt.md, 4.1)."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable

from chatmock.conversation import Message, ToolCall
from chatmock.providers.chatgpt.contract import MOST_CALL_ID_CHARS


class CallIds:
    """The calls of one conversation, read from its start on.

    Upstream every call has an id of its own: the client's, or one made here for a call that has none, that
    repeats an earlier one's (as functions called by name do), or whose id is too long. Made ids depend on
    the conversation so far only, so they are the same when it goes on.

    :param messages: the whole conversation, whose ids the made ones keep away from.
    """

    __slots__ = ("_latest", "_made", "_pending", "_taken", "_used", "_waiting")

    def __init__(self, messages: Iterable[Message]) -> None:
        self._taken = {
            part.id for message in messages for part in message.parts if isinstance(part, ToolCall)
        }
        self._used: set[str] = set()
        self._made = 0
        self._pending: dict[str, str] = {}
        self._waiting: defaultdict[str, deque[str]] = defaultdict(deque)
        self._latest: dict[str, str] = {}

    def begin(self, call: ToolCall) -> str:
        """The id upstream of the next call."""
        fits = 0 < len(call.id) <= MOST_CALL_ID_CHARS and call.id not in self._used
        id = call.id if fits else self._make()
        self._used.add(id)
        self._pending[id] = call.name
        self._waiting[call.id].append(id)
        self._latest[call.id] = id
        return id

    def answer(self, id: str, name: str | None) -> str | None:
        """The id upstream of the call that a result answers; None when there is no such call before it.

        A result without an id answers the oldest open call of the tool *name*, or the oldest of any. One
        that comes again for a call keeps its call.
        """
        if id:
            waiting = self._waiting.get(id, deque())
            while waiting and waiting[0] not in self._pending:
                waiting.popleft()
            found = waiting[0] if waiting else self._latest.get(id)
        else:
            named = (open for open, tool in self._pending.items() if tool == name)
            found = next(named, None) or next(iter(self._pending), None)
        if found is not None:
            self._pending.pop(found, None)
        return found

    def _make(self) -> str:
        while True:
            self._made += 1
            id = f"call_chatmock_{self._made}"
            if id not in self._taken:
                return id
