"""The ChatGPT login in use: read from its file, refreshed by one at a time, in this process and among all of them.

Refresh tokens work once. So before one is spent, a lock between processes is taken and the file is read again: if
somebody else has refreshed in the meantime, theirs is used. The successor is on disk before anybody uses it. Another
program's login (``foreign``) is only read: spending its refresh token would log that program out (spec chatgpt.md,
1.7, 1.9).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatmock.errors import Kind, Refusal
from chatmock.issuer import Issuer, not_now
from chatmock.login_files import InThread, KeptLogin, LoginFiles
from chatmock.providers.chatgpt.oauth_errors import ISSUER_TITLE, LoginFailed
from chatmock.providers.chatgpt.tokens import Tokens
from chatmock.providers.interface import Credential
from chatmock.settings import Secret
from chatmock.upstream import Upstream

_MARGIN = 300.0
"""Seconds before its end at which an access token is renewed."""
_LOOK_SECONDS = 1.0
_PAUSE_AFTER_FAULT = 15.0
_PAUSE_AFTER_REFRESH = 60.0
"""Seconds for which a new token that the backend refuses is not replaced: it is not the token that it minds."""
_SOON = 15.0
"""Seconds before its end until which a token is used while its successor is being fetched."""


class LoginCredentials:
    """The :class:`~chatmock.account.Credentials` of a ChatGPT login.

    :param wall_clock: Unix time in seconds, to compare with the tokens' end.
    :param clock: for waits and pauses.
    :param in_thread: runs a function that blocks.
    """

    log = Logger()

    def __init__(
        self,
        files: LoginFiles,
        issuer: str,
        client_id: str,
        upstream: Upstream,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        in_thread: InThread,
    ) -> None:
        self._login = KeptLogin(files, clock, in_thread)
        self._issuer = Issuer(issuer, client_id, upstream, clock, wall_clock)
        self._clock = clock
        self._wall_clock = wall_clock
        self._look_at = float("-inf")
        self._refreshing: Deferred[Any] | None = None
        self._waiters: list[Deferred[Tokens]] = []
        self._fault: Refusal | None = None
        self._fault_until = float("-inf")
        self._refreshed_at = float("-inf")
        self._on_trust = False
        """Whether the last new token was by our clock about to end: the clock is wrong, or tokens are short. Tokens are
        then used until the backend does not accept them."""
        self._holding = False
        """Whether the refresh has the lock: what it does then is brought to its end."""
        self._stopping = False

    @property
    def ready(self) -> bool:
        """Whether there is a login, be it one that has ended: who asks is then told so."""
        self._look()
        return self._login.found.tokens is not None

    @property
    def account_id(self) -> str:
        """The account that is logged in; empty where none is, or it is not known."""
        self._look()
        tokens = self._login.found.tokens
        return "" if tokens is None else tokens.account_id

    @property
    def token(self) -> Secret | None:
        """The access token in use: another one after a login, and after a refresh."""
        self._look()
        tokens = self._login.found.tokens
        return None if tokens is None else tokens.access_token

    @property
    def notice(self) -> str:
        """What the owner should know of the login; empty while all is well."""
        self._look()
        found = self._login.found
        told = [found.trouble] if found.trouble else []
        if found.tokens is not None and found.foreign:
            told.append(
                f"ChatGPT answers by the login in {found.path}, another program's, for as long as it lasts; for one of"
                " its own run: chatmock login"
            )
        elif found.tokens is not None and found.tokens.login_needed:
            told.append(f"The ChatGPT login has ended ({found.tokens.login_needed}); run: chatmock login")
        return " ".join(told)

    async def current(self) -> Credential:
        """The access token. About to end it is used while its successor is fetched; at its end that is waited for."""
        tokens = self._present()
        left = self._left(tokens)
        if left > _MARGIN:
            return _credential(tokens)
        if self._login.found.foreign or tokens.refresh_token is None:
            if left <= 0:
                raise _log_in("The login that chatmock used has ended, and is not one that it can refresh.")
            return _credential(tokens)
        if self._on_trust:
            return _credential(tokens)
        if left > _SOON:
            self._refresh_behind()
            return _credential(tokens)
        try:
            return _credential(await self._refreshed())
        except Refusal as refusal:
            if refusal.kind is Kind.UNAUTHENTICATED or self._left(tokens) <= 0:
                raise
            return _credential(tokens)

    async def renewed(self, refused: Credential) -> Credential | None:
        """Another token than the one that the backend has *refused*.

        None for a login that is not ours to refresh, and for a token that has only just been issued.
        """
        self._look(at_once=True)
        tokens = self._present()
        if tokens.access_token != refused.token:
            return await self.current()
        if self._login.found.foreign or self._clock.seconds() < self._refreshed_at + _PAUSE_AFTER_REFRESH:
            return None
        return _credential(await self._refreshed())

    async def stop(self) -> None:
        """Wait for a refresh token that is being spent: its answer is the only login there will be.

        The issuer has bounded time for that. None begins later.
        """
        self._stopping = True
        if self._refreshing is not None and not self._holding:
            self._refreshing.cancel()
        if self._refreshing is not None:
            try:
                await self._waiter()
            except Refusal as refusal:
                self.log.warn("the ChatGPT login is not refreshed at the stop: {why}", why=refusal.message)
        await self._login.stop()

    def _left(self, tokens: Tokens) -> float:
        """Seconds until the end of the access token; it may not say."""
        return float("inf") if tokens.expires_at is None else tokens.expires_at - self._wall_clock()

    def _present(self) -> Tokens:
        """The login there is.

        :raises Refusal: unauthenticated, when there is none or it has ended for good.
        """
        self._look()
        found = self._login.found
        if found.tokens is None:
            raise _log_in(
                "The file of chatmock's ChatGPT login cannot be read; its log says why."
                if found.trouble
                else "chatmock has no ChatGPT login."
            )
        if found.tokens.login_needed and not found.foreign:
            raise _log_in(f"The ChatGPT login has ended ({found.tokens.login_needed}).")
        return found.tokens

    def _look(self, at_once: bool = False) -> None:
        """Take notice of a login, a logout or another process's refresh."""
        now = self._clock.seconds()
        if now < self._look_at and not at_once:
            return
        self._look_at = now + _LOOK_SECONDS
        if self._login.look() and self._login.found.trouble:
            self.log.warn("{trouble}", trouble=self._login.found.trouble)

    async def _refreshed(self) -> Tokens:
        """The login after one refresh, whoever of those that wait here has begun it.

        Cancelling ends the wait, not the refresh.
        """
        if self._fault is not None and self._paused:
            raise attrs.evolve(self._fault)
        if self._stopping and self._refreshing is None:
            raise _stopped()
        waiter = self._waiter()
        self._begin()
        return await waiter

    def _refresh_behind(self) -> None:
        """Refresh without anybody waiting for it: the token of now is still good."""
        if not self._paused and not self._stopping:
            self._begin()

    @property
    def _paused(self) -> bool:
        return self._clock.seconds() < self._fault_until

    def _begin(self) -> None:
        if self._refreshing is None:
            running = Deferred.fromCoroutine(self._refresh())
            running.addCallbacks(self._deliver, self._fail)
            if not running.called:
                self._refreshing = running

    def _waiter(self) -> Deferred[Tokens]:
        waiter: Deferred[Tokens] = Deferred(self._waiters.remove)
        self._waiters.append(waiter)
        return waiter

    def _deliver(self, tokens: Tokens) -> None:
        self._refreshing, self._fault = None, None
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(tokens)

    def _fail(self, failure: Failure) -> None:
        self._refreshing = None
        waiters, self._waiters = self._waiters, []
        error = failure.value
        if isinstance(error, CancelledError):
            error = _stopped()
        elif not isinstance(error, Refusal):
            self.log.failure("the ChatGPT login could not be refreshed", failure=failure)
            error = Refusal(Kind.INTERNAL, "chatmock failed to refresh the ChatGPT login. Its log says why.")
        if error.kind is not Kind.UNAUTHENTICATED:
            self.log.warn("the ChatGPT login could not be refreshed yet: {why}", why=error.message)
            self._fault, self._fault_until = error, self._clock.seconds() + _PAUSE_AFTER_FAULT
        for waiter in waiters:
            waiter.errback(Failure(error))

    async def _refresh(self) -> Tokens:
        before = self._login.found.tokens
        lock = await self._login.locked()
        self._holding = True
        try:
            self._look(at_once=True)
            if self._login.unsaved:
                await self._login.save()
            tokens = self._present()
            if self._login.found.foreign or before is None or tokens.access_token != before.access_token:
                return tokens
            return await self._exchange(tokens)
        finally:
            self._holding = False
            lock.release()

    async def _exchange(self, tokens: Tokens) -> Tokens:
        """Spend the refresh token; its successor is on disk when this returns."""
        if tokens.refresh_token is None:
            raise _log_in("The ChatGPT login cannot be refreshed: it has no refresh token.")
        if self._stopping:
            raise _stopped()
        try:
            answer = await self._issuer.successor(tokens, tokens.refresh_token)
        except LoginFailed as error:
            return await self._ended(tokens, error.code or "refused")
        self._login.use(answer)
        await self._login.save()
        if answer.access_token == tokens.access_token:
            raise not_now(f"{ISSUER_TITLE} sent no new access token.")
        self._refreshed_at = self._clock.seconds()
        self._on_trust = self._left(answer) <= _MARGIN
        self.log.info("the ChatGPT login has been refreshed")
        return answer

    async def _ended(self, spent: Tokens, code: str) -> Tokens:
        """What to use once the issuer has said that *spent* is worth nothing any more.

        That is a login which a program has written that does not know our lock; else there is none, and the file
        says so to every process.
        """
        self._look(at_once=True)
        found = self._login.found
        if (
            found.tokens is not None
            and not found.foreign
            and found.tokens.refresh_token != spent.refresh_token
        ):
            return found.tokens
        self._login.use(attrs.evolve(spent, login_needed=code))
        await self._login.save()
        self.log.warn("the ChatGPT login has ended ({code}); run: chatmock login", code=code)
        raise _log_in(f"The ChatGPT login has ended ({code}).")


def _credential(tokens: Tokens) -> Credential:
    return Credential(tokens.access_token, tokens.account_id)


def _log_in(message: str) -> Refusal:
    return Refusal(
        Kind.UNAUTHENTICATED, f"{message} On chatmock's machine run: chatmock login", code="login_required"
    )


def _stopped() -> Refusal:
    return Refusal(Kind.CANCELLED, "chatmock is stopping.")
