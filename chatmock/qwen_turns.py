"""One answer at a time in each chat: whose turn it is, who waits, and where an answer is only being stopped."""

from __future__ import annotations

from twisted.internet.defer import DeferredLock, TimeoutError
from twisted.internet.interfaces import IReactorTime

from chatmock.errors import Kind, Refusal
from chatmock.providers.qwen import contract

WAIT_SECONDS = 30.0
"""How long one waits for a turn, at most."""
MOST_WAITING = 2
"""How many wait for the turn in one chat, at most: each keeps a permit from others meanwhile."""


class Turns:
    """The turns of all chats. A chat is known while somebody has or awaits its turn."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._locks: dict[str, DeferredLock] = {}
        self._stopping: set[str] = set()

    def __len__(self) -> int:
        return len(self._locks)

    def answering(self, chat_id: str) -> bool:
        """Whether an answer is being written there; not where it is only being stopped."""
        return chat_id in self._locks and chat_id not in self._stopping

    async def take(self, chat_id: str) -> None:
        """Wait for the turn.

        :raises Refusal: rate limited, when too many wait already or the others take too long.
        """
        lock = self._locks.setdefault(chat_id, DeferredLock())
        if len(lock.waiting) >= MOST_WAITING:
            raise _busy()
        try:
            await lock.acquire().addTimeout(WAIT_SECONDS, self._clock)
        except TimeoutError:
            raise _busy() from None

    def stopping(self, chat_id: str) -> None:
        """Note that the answer of whose turn it is is only being stopped."""
        self._stopping.add(chat_id)

    def free(self, chat_id: str) -> None:
        """The turn is over: the next one's begins."""
        self._stopping.discard(chat_id)
        lock = self._locks[chat_id]
        lock.release()
        # Who was next may have been refused at once, and have given its turn back within the release.
        if not lock.locked and self._locks.get(chat_id) is lock:
            del self._locks[chat_id]


def _busy() -> Refusal:
    message = f"This chat at {contract.TITLE} answers others, one at a time. Ask again in a while, or without a chat_id."
    return Refusal(Kind.RATE_LIMITED, message, code="chat_turn", retry_after=contract.BUSY_WAIT)
