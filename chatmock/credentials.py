"""The ChatGPT login in use: read from its file, refreshed by one at a time, in this process and among all of them.

Refresh tokens work once. So before one is spent, a lock between processes is taken and the file is read again: if
somebody else has refreshed in the meantime, theirs is used. The successor is on disk before anybody uses it. Another
program's login (``foreign``) is only read: spending its refresh token would log that program out (spec chatgpt.md,
1.7, 1.9).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError
from chatmock.login_files import FoundLogin, LoginFiles, find_login, login_lock
from chatmock.providers.chatgpt.oauth import read_issued, refresh_request
from chatmock.providers.chatgpt.oauth_errors import LoginFailed
from chatmock.providers.chatgpt.tokens import Tokens, issued, write_tokens
from chatmock.providers.interface import Credential
from chatmock.state_files import FileLock, write_private
from chatmock.upstream import Upstream, read_start

InThread = Callable[..., Deferred[Any]]
"""``deferToThread``, or what stands for it."""

ISSUER_TITLE = "ChatGPT's login server"
_MARGIN = 300.0
"""Seconds before its end at which an access token is renewed."""
_LOOK_SECONDS = 1.0
_PAUSE_AFTER_FAULT = 15.0
_LOCK_SECONDS = 60.0
_LOCK_PAUSE = 0.05
_STOP_SECONDS = 15.0
_MOST_BYTES = 64 * 1024
_READ_SECONDS = 15.0


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
        self._files = files
        self._issuer = issuer
        self._client_id = client_id
        self._upstream = upstream
        self._clock = clock
        self._wall_clock = wall_clock
        self._in_thread = in_thread
        self._found = FoundLogin(None)
        self._stamps: object = None
        self._look_at = float("-inf")
        self._unsaved = False
        self._refreshing: Deferred[Any] | None = None
        self._waiters: list[Deferred[Tokens]] = []
        self._fault: Refusal | None = None
        self._fault_until = float("-inf")

    @property
    def ready(self) -> bool:
        """Whether there is a login, be it one that has ended: who asks is then told so."""
        self._look()
        return self._found.tokens is not None

    @property
    def account_id(self) -> str:
        """The account that is logged in; empty where none is, or it is not known."""
        self._look()
        tokens = self._found.tokens
        return "" if tokens is None else tokens.account_id

    async def current(self) -> Credential:
        """The access token; refreshed before if it is about to end."""
        tokens = self._present()
        ends = tokens.expires_at
        left = float("inf") if ends is None else ends - self._wall_clock()
        if left > _MARGIN:
            return _credential(tokens)
        if self._found.foreign:
            if left <= 0:
                raise _log_in("The login of another program that chatmock used has ended.")
            return _credential(tokens)
        try:
            return _credential(await self._refreshed())
        except Refusal as refusal:
            if left <= 0 or refusal.kind is Kind.UNAUTHENTICATED:
                raise
            self.log.warn("the ChatGPT login could not be refreshed yet: {why}", why=refusal.message)
            return _credential(tokens)

    async def renewed(self, refused: Credential) -> Credential | None:
        """Another token than the one that the backend has *refused*; None for a login that is not ours to refresh."""
        self._look_at = float("-inf")
        tokens = self._present()
        if tokens.access_token != refused.token:
            return _credential(tokens)
        if self._found.foreign:
            return None
        return _credential(await self._refreshed())

    async def stop(self) -> None:
        """Wait for a refresh that is under way: its answer is the only login there will be."""
        if self._refreshing is not None:
            waiter = self._waiter()
            try:
                await waiter.addTimeout(_STOP_SECONDS, self._clock)
            except (Refusal, TimeoutError) as error:
                self.log.warn(
                    "the ChatGPT login could not be refreshed before the stop: {why}", why=str(error)
                )
        if self._refreshing is not None:
            self._refreshing.cancel()
        if self._unsaved:
            await self._save()

    def _present(self) -> Tokens:
        """The login there is.

        :raises Refusal: unauthenticated, when there is none or it has ended for good.
        """
        self._look()
        tokens = self._found.tokens
        if tokens is None:
            raise _log_in(self._found.trouble or "chatmock has no ChatGPT login.")
        if tokens.login_needed and not self._found.foreign:
            raise _log_in(f"The ChatGPT login has ended ({tokens.login_needed}).")
        return tokens

    def _look(self) -> None:
        """Take notice of a login, a logout or another process's refresh."""
        now = self._clock.seconds()
        if now < self._look_at or self._unsaved:
            return
        self._look_at = now + _LOOK_SECONDS
        stamps = [_stamp(path) for path in (self._files.own, *self._files.foreign)]
        if stamps != self._stamps:
            self._stamps = stamps
            self._found = find_login(self._files)

    async def _refreshed(self) -> Tokens:
        """The login after one refresh, whoever of those that wait here has begun it.

        Cancelling ends the wait, not the refresh.
        """
        if self._fault is not None and self._clock.seconds() < self._fault_until:
            raise self._fault
        waiter = self._waiter()
        if self._refreshing is None:
            running = Deferred.fromCoroutine(self._refresh())
            running.addCallbacks(self._deliver, self._fail)
            if not running.called:
                self._refreshing = running
        return await waiter

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
            error = Refusal(Kind.CANCELLED, "chatmock is stopping.")
        elif not isinstance(error, Refusal):
            self.log.failure("the ChatGPT login could not be refreshed", failure=failure)
            error = Refusal(Kind.INTERNAL, "chatmock failed to refresh the ChatGPT login. Its log says why.")
        if error.kind is not Kind.UNAUTHENTICATED:
            self._fault, self._fault_until = error, self._clock.seconds() + _PAUSE_AFTER_FAULT
        for waiter in waiters:
            waiter.errback(Failure(error))

    async def _refresh(self) -> Tokens:
        before, own = self._found.tokens, self._files.own
        assert own is not None, "only our own login is refreshed"
        lock = login_lock(own)
        await self._acquire(lock)
        try:
            if self._unsaved:
                await self._save()
            self._look_at = float("-inf")
            tokens = self._present()
            if before is None or tokens.access_token != before.access_token:
                return tokens
            return await self._exchange(tokens)
        finally:
            lock.release()

    async def _acquire(self, lock: FileLock) -> None:
        until = self._clock.seconds() + _LOCK_SECONDS
        while not await self._in_thread(_try, lock):
            if self._clock.seconds() >= until:
                message = "Another process has been refreshing the ChatGPT login for a minute: is it stuck?"
                raise Refusal(Kind.UPSTREAM_TIMED_OUT, message, code="login_locked")
            await deferLater(self._clock, _LOCK_PAUSE)

    async def _exchange(self, tokens: Tokens) -> Tokens:
        """Spend the refresh token; its successor is on disk when this returns."""
        if tokens.refresh_token is None:
            raise _log_in("The ChatGPT login cannot be refreshed: it has no refresh token.")
        request = refresh_request(self._issuer, self._client_id, tokens.refresh_token)
        response = await self._upstream.send(ISSUER_TITLE, request)
        body = await read_start(response, self._clock, _MOST_BYTES, _READ_SECONDS)
        try:
            answer = issued(read_issued(response.code, body), self._wall_clock(), tokens)
        except JSONError:
            raise _not_now(f"{ISSUER_TITLE} sent an answer that holds no tokens.") from None
        except LoginFailed as error:
            if not error.final:
                raise _not_now(str(error)) from None
            if (others := self._written_by_others(tokens)) is not None:
                return others
            self._found = FoundLogin(
                attrs.evolve(tokens, login_needed=error.code or "refused"), self._files.own
            )
            await self._save()
            self.log.warn("the ChatGPT login has ended ({code}); run: chatmock login", code=error.code)
            raise _log_in(f"The ChatGPT login has ended ({error.code}).") from None
        self._found = FoundLogin(answer, self._files.own)
        await self._save()
        self.log.info("the ChatGPT login has been refreshed")
        return answer

    def _written_by_others(self, spent: Tokens) -> Tokens | None:
        """A login in the file that is not the *spent* one: of a program which does not know our lock."""
        self._look_at = float("-inf")
        self._look()
        found = self._found.tokens
        other = found is not None and not self._found.foreign and found.refresh_token != spent.refresh_token
        return found if other else None

    async def _save(self) -> None:
        """Write the login; if that fails it is kept here, used, and written at the next refresh."""
        tokens, own = self._found.tokens, self._files.own
        assert tokens is not None, "there is a login to save"
        assert own is not None, "there is a file of ours"
        self._unsaved = True
        try:
            await self._in_thread(write_private, own, write_tokens(tokens))
        except OSError as error:
            self.log.critical(
                "the refreshed ChatGPT login cannot be written ({why}); it will be lost when chatmock stops",
                why=error.strerror,
            )
            return
        self._unsaved = False
        self._look_at = float("-inf")


def _try(lock: FileLock) -> bool:
    try:
        return lock.try_acquire()
    except OSError as error:
        message = (
            f"The folder of the ChatGPT login cannot be written ({error.strerror}): check its owner and mode."
        )
        raise Refusal(Kind.INTERNAL, message, code="login_folder") from None


def _stamp(path: Path | None) -> object:
    if path is None:
        return None
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_ino, told.st_size, told.st_mtime_ns


def _credential(tokens: Tokens) -> Credential:
    return Credential(tokens.access_token, tokens.account_id)


def _log_in(message: str) -> Refusal:
    return Refusal(
        Kind.UNAUTHENTICATED, f"{message} On chatmock's machine run: chatmock login", code="login_required"
    )


def _not_now(message: str) -> Refusal:
    return Refusal(Kind.UPSTREAM_FAILED, message, code="login_refresh_failed", retryable=True)
