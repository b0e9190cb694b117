"""Asks each upstream which models it has, and remembers: fresh for a while, then renewed behind the requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatmock.account import Account
from chatmock.catalogue import Catalogue
from chatmock.errors import Refusal
from chatmock.model import Model
from chatmock.upstream import read_start, response_headers

_FRESH_SECONDS = 600.0
_RETRY_SECONDS = 30.0
_READ_SECONDS = 10.0
_PATIENCE_SECONDS = 2.0
_MOST_BYTES = 16 * 1024 * 1024


class Discovery:
    """The catalogues of all *accounts*."""

    log = Logger()

    def __init__(self, accounts: Mapping[str, Account], clock: IReactorTime) -> None:
        self._accounts = accounts
        self._clock = clock
        self._catalogues = {name: account.catalogue(None) for name, account in accounts.items()}
        self._renew_at = dict.fromkeys(accounts, float("-inf"))
        self._asked: set[str] = set()
        self._running: dict[str, Deferred[None]] = {}
        self._waiters: list[Deferred[None]] = []

    def current(self) -> Mapping[str, Catalogue]:
        """The catalogues as far as they are known, at once; stale ones are being renewed behind."""
        now = self._clock.seconds()
        for name, at in self._renew_at.items():
            if now >= at and name not in self._running:
                self._start(name)
        return self._catalogues

    async def catalogues(self) -> Mapping[str, Catalogue]:
        """The catalogues, after every upstream has been asked once, whether or not it answered; a slow one is not
        waited for longer than a moment, since one that is silent must not hold up what the others could answer.

        Cancelling ends the wait, not the asking.
        """
        known = self.current()
        until = self._clock.seconds() + _PATIENCE_SECONDS
        while len(self._asked) < len(self._accounts) and (left := until - self._clock.seconds()) > 0:
            waiter: Deferred[None] = Deferred(self._waiters.remove)
            self._waiters.append(waiter)
            try:
                await waiter.addTimeout(left, self._clock)
            except TimeoutError:
                self._asked.update(self._running)
        return known

    def stop(self) -> None:
        """End what is being asked."""
        for running in list(self._running.values()):
            running.cancel()

    def _start(self, name: str) -> None:
        self._renew_at[name] = self._clock.seconds() + _FRESH_SECONDS
        running = Deferred.fromCoroutine(self._renew(name))
        if not running.called:
            self._running[name] = running
        running.addBoth(self._asked_once, name)

    def _asked_once(self, _: Any, name: str) -> None:
        self._running.pop(name, None)
        self._asked.add(name)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)

    async def _renew(self, name: str) -> None:
        account = self._accounts[name]
        try:
            models = await self._ask(account)
        except CancelledError:
            return
        except Refusal as refusal:
            self._renew_at[name] = self._clock.seconds() + _RETRY_SECONDS
            self.log.warn("the models of {name} are not known: {why}", name=name, why=refusal.message)
            return
        self._catalogues[name] = account.catalogue(models)

    async def _ask(self, account: Account) -> Sequence[Model]:
        provider = account.provider
        response = await account.upstream.send(provider.title, provider.catalogue_request(account.credential))
        body = await read_start(response, self._clock, _MOST_BYTES, _READ_SECONDS)
        if response.code != 200:
            raise provider.refusal(response.code, response_headers(response), body)
        return provider.read_catalogue(body)
