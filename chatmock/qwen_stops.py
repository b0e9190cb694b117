"""Ends answers that nobody wants any more, so that their chats are not left locked (spec upstreams.md, A1.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatmock.account import Account
from chatmock.errors import Refusal
from chatmock.providers.qwen import contract
from chatmock.providers.qwen.provider import Qwen
from chatmock.upstream import read_start, response_headers

SECONDS = 10.0
"""The most that a stop may take, its second try with it."""
AGAIN_SECONDS = 1.0
"""How long after a passing fault a stop is asked for once more."""
_MOST_BYTES = 64 * 1024
_READ_SECONDS = 5.0


class Stops:
    """The calls of ``/stop`` under way; they go on behind whatever else does."""

    log = Logger()

    def __init__(self, provider: Qwen, clock: IReactorTime) -> None:
        self._provider = provider
        self._clock = clock
        self.running: set[Deferred[Any]] = set()
        self._finishing = False

    def begin(self, account: Account, chat_id: str, response_id: str, then: Callable[[], object]) -> None:
        """Stop the answer *response_id* (empty where it is not known) in a chat, and call *then*, whatever comes of it."""
        stopping = Deferred.fromCoroutine(self._stop(account, chat_id, response_id))
        self.running.add(stopping)
        stopping.addTimeout(SECONDS, self._clock)
        stopping.addErrback(self._failed)
        stopping.addBoth(self._over, stopping, then)

    async def finish(self) -> None:
        """Wait for all that are under way; each has a bounded time."""
        self._finishing = True
        while self.running:
            await DeferredList(list(self.running))

    async def _stop(self, account: Account, chat_id: str, response_id: str) -> None:
        """Ask for the stop, and once more where that is refused for a passing fault; then give the site its moment."""
        try:
            await self._ask(account, chat_id, response_id)
        except Refusal as refusal:
            if not refusal.retryable:
                raise
            await deferLater(self._clock, AGAIN_SECONDS)
            await self._ask(account, chat_id, response_id)
        if not self._finishing and not response_id:
            await deferLater(self._clock, contract.BUSY_WAIT)

    async def _ask(self, account: Account, chat_id: str, response_id: str) -> None:
        _, response = await account.ask(
            lambda credential: self._provider.stop_request(chat_id, response_id, credential)
        )
        body = await read_start(response, self._clock, _MOST_BYTES, _READ_SECONDS)
        self._provider.check_stop(response.code, response_headers(response), body)

    def _over(self, result: None, stopping: Deferred[Any], then: Callable[[], object]) -> None:
        self.running.discard(stopping)
        then()

    def _failed(self, failure: Failure) -> None:
        if not failure.check(Refusal, TimeoutError, CancelledError):
            self.log.failure("an answer of {title} could not be stopped", failure, title=contract.TITLE)
            return
        why = failure.getErrorMessage() if failure.check(Refusal) else "it took too long"
        self.log.warn("an answer of {title} could not be stopped: {why}", title=contract.TITLE, why=why)
