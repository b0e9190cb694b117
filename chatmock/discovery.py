"""Asks each upstream which models it has, and remembers: fresh for a while, then renewed behind the requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatmock.account import Account
from chatmock.catalogue import Catalogue
from chatmock.errors import Kind, Refusal
from chatmock.model import Model
from chatmock.providers.interface import Credential, UpstreamRequest
from chatmock.upstream import read_start, response_headers

_FRESH_SECONDS = 600.0
_RETRY_SECONDS = 30.0
_READ_SECONDS = 10.0
_PATIENCE_SECONDS = 2.0
_MOST_BYTES = 16 * 1024 * 1024
_LASTING = (Kind.UNAUTHENTICATED, Kind.FORBIDDEN)
"""What asking again soon does not change."""


class Discovery:
    """The catalogues of all *accounts*."""

    log = Logger()

    def __init__(self, accounts: Mapping[str, Account], clock: IReactorTime) -> None:
        self._accounts = accounts
        self._clock = clock
        self._etags: dict[str, str] = {}
        self._asked: set[str] = set()
        self._outdated: set[str] = set()
        """Those that are being asked, and whose models have changed since."""
        self._whose = {name: account.credentials.account_id for name, account in accounts.items()}
        self._catalogues = {name: self._recall(name, account) for name, account in accounts.items()}
        self._renew_at = dict.fromkeys(accounts, float("-inf"))
        self._running: dict[str, Deferred[None]] = {}
        self._waiters: list[Deferred[None]] = []

    def current(self) -> Mapping[str, Catalogue]:
        """The catalogues as far as they are known, at once; stale ones are being renewed behind."""
        now = self._clock.seconds()
        for name, account in self._accounts.items():
            if account.credentials.account_id != self._whose[name]:
                self._forget(name, account)
            if now >= self._renew_at[name] and name not in self._running and account.credentials.ready:
                self._start(name)
        return self._catalogues

    async def catalogues(self) -> Mapping[str, Catalogue]:
        """The catalogues, after every upstream has been asked once, whether or not it answered; a slow one is not
        waited for longer than a moment, since one that is silent must not hold up what the others could answer.

        Cancelling ends the wait, not the asking.
        """
        known = self.current()
        until = self._clock.seconds() + _PATIENCE_SECONDS
        while not self._asked.issuperset(self._running) and (left := until - self._clock.seconds()) > 0:
            waiter: Deferred[None] = Deferred(self._waiters.remove)
            self._waiters.append(waiter)
            try:
                await waiter.addTimeout(left, self._clock)
            except TimeoutError:
                self._asked.update(self._running)
        return known

    def renew(self, name: str) -> None:
        """Have *name* asked again by the next request, which waits for it: its models have changed.

        What it is answering now may be older, and is asked for once more at once.
        """
        self._renew_at[name] = float("-inf")
        self._asked.discard(name)
        if name in self._running:
            self._outdated.add(name)

    def stop(self) -> None:
        """End what is being asked."""
        self._outdated.clear()
        for running in list(self._running.values()):
            running.cancel()

    def _forget(self, name: str, account: Account) -> None:
        """Somebody else has logged in at *name*: what the one before could use says nothing of it."""
        self._outdated.discard(name)
        if (running := self._running.get(name)) is not None:
            running.cancel()
        self._whose[name] = account.credentials.account_id
        self._etags.pop(name, None)
        self._asked.discard(name)
        self._renew_at[name] = float("-inf")
        self._catalogues[name] = self._recall(name, account)

    def _recall(self, name: str, account: Account) -> Catalogue:
        """What is known of *name* before it has been asked: what it said before the restart, or what is presumed."""
        kept = None if account.memory is None else account.memory.recall()
        if kept is not None:
            try:
                catalogue = account.catalogue(account.provider.read_catalogue(kept[0]))
            except Refusal as refusal:
                self.log.warn("the kept models of {name} are not used: {why}", name=name, why=refusal.message)
            else:
                self._etags[name] = kept[1]
                self._asked.add(name)
                return catalogue
        return account.catalogue(None)

    def _start(self, name: str) -> None:
        self._renew_at[name] = self._clock.seconds() + _FRESH_SECONDS
        running = Deferred.fromCoroutine(self._renew(name))
        if not running.called:
            self._running[name] = running
        running.addBoth(self._asked_once, name)

    def _asked_once(self, _: Any, name: str) -> None:
        self._running.pop(name, None)
        if name in self._outdated:
            self._outdated.discard(name)
            self._start(name)
            return
        self._asked.add(name)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)

    async def _renew(self, name: str) -> None:
        account = self._accounts[name]
        try:
            models = await self._ask(name, account)
        except CancelledError:
            return
        except Refusal as refusal:
            if refusal.kind not in _LASTING:
                self._renew_at[name] = self._clock.seconds() + _RETRY_SECONDS
            self.log.warn("the models of {name} are not known: {why}", name=name, why=refusal.message)
            return
        if models is not None:
            self._catalogues[name] = account.catalogue(models)

    async def _ask(self, name: str, account: Account) -> Sequence[Model] | None:
        """The models of *name*; None when they are still the known ones."""
        provider = account.provider
        etag = self._etags.get(name, "")

        def request(credential: Credential) -> UpstreamRequest:
            asking = provider.catalogue_request(credential)
            return attrs.evolve(asking, headers={**asking.headers, "If-None-Match": etag}) if etag else asking

        _, response = await account.ask(request)
        headers = response_headers(response)
        body = await read_start(response, self._clock, _MOST_BYTES, _READ_SECONDS)
        if response.code == 304 and etag:
            return None
        if response.code != 200:
            raise provider.refusal(response.code, headers, body)
        models = provider.read_catalogue(body)
        self._etags[name] = headers.get("etag", "")
        if account.memory is not None:
            account.memory.keep(body, self._etags[name])
        return models
