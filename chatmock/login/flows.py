"""Logging in to ChatGPT: with a browser that comes back here, or whose last address is pasted, or with a code that is
typed in on another machine (spec chatgpt.md, 1.2 to 1.8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from chatmock.errors import Refusal
from chatmock.jsontext import JSONError
from chatmock.login.callback import CallbackServer
from chatmock.providers.chatgpt import oauth
from chatmock.providers.chatgpt.contract import CALLBACK_PORT
from chatmock.providers.chatgpt.oauth import Grant, LoginFailed, Pkce, StrayRedirect
from chatmock.providers.chatgpt.tokens import Tokens, issued
from chatmock.providers.interface import UpstreamRequest
from chatmock.upstream import Upstream, read_start

TIMEOUT: Final = 900.0
"""Seconds that the owner has to log in (1.8)."""
_READ_SECONDS: Final = 30.0
_MOST_BYTES: Final = 256 * 1024
_SLOWER_SECONDS: Final = 5.0
"""By how much the device login asks less often after it was told that it asks too often."""


@attrs.frozen
class Login:
    """What every way of logging in needs."""

    reactor: Any
    upstream: Upstream
    issuer: str
    """The issuer's base URL."""
    client_id: str
    wall_clock: Callable[[], float]
    """Unix time in seconds."""
    say: Callable[[str], None]
    """Tells the person at the console."""
    save: Callable[[Tokens], Awaitable[None]]
    """Keeps the login, before anybody is told that it succeeded; raises :exc:`LoginFailed`."""
    timeout: float = TIMEOUT
    """Seconds that the owner has; what has begun to be exchanged by then is still waited for."""


@attrs.frozen
class Browser:
    """What the login with a browser needs besides."""

    random: Callable[[int], bytes]
    """That many unpredictable bytes."""
    open: Callable[[str], None] | None = None
    """Shows a URL in a browser on this machine, without blocking; None where there is none."""
    lines: AsyncIterator[str] | None = None
    """What is typed at the console, a line at a time; None where nobody can type."""
    host: str = "127.0.0.1"
    port: int = CALLBACK_PORT
    """The issuer knows no other for its client; 0 for any free one."""
    access: Callable[[str], None] | None = None
    """Is given a line about each request to the callback server."""


async def browser_login(login: Login, browser: Browser) -> Tokens:
    """Log in with a browser; the first redirect that comes back, by itself or pasted, counts.

    :raises LoginFailed: when the owner or the issuer refuses, or the time is up.
    :raises PortInUse: when the callback's port is taken.
    """
    pkce = oauth.pkce(browser.random(oauth.VERIFIER_BYTES))
    attempt = _Attempt(login, pkce, browser.random(oauth.STATE_BYTES).hex())

    async def take(query: str) -> None:
        await attempt.take(query)

    def stray(why: str) -> None:
        login.say(f"A page that is no answer to this login was ignored: {why}. Still waiting.")

    server = CallbackServer(login.reactor, browser.host, browser.port, take, stray, browser.access)
    await server.listen()
    reading: Deferred[Any] | None = None
    try:
        attempt.redirect = oauth.redirect_uri(server.port)
        url = oauth.authorize_url(
            login.issuer, login.client_id, attempt.redirect, pkce.challenge, attempt.state
        )
        login.say(_browser_text(url, server.port, browser.lines is not None))
        if browser.open is not None:
            browser.open(url)
        if browser.lines is not None:
            reading = Deferred.fromCoroutine(_read_pasted(browser.lines, attempt, login.say))
            reading.addErrback(lambda failure: failure.trap(CancelledError))
        return await attempt.finished()
    finally:
        attempt.stop()
        if reading is not None:
            reading.cancel()
        await server.close()


async def device_login(login: Login) -> Tokens:
    """Log in with a code that the owner types in on any machine (1.8).

    :raises LoginFailed: when the owner or the issuer refuses, or the time is up.
    """
    until = login.reactor.seconds() + login.timeout
    device = oauth.read_device_code(
        *await _ask(login, oauth.device_code_request(login.issuer, login.client_id))
    )
    login.say(
        "Open this page in a browser on any machine, and log in there:\n\n"
        f"    {oauth.device_page(login.issuer)}\n\n"
        f"Then type in this code:\n\n    {device.user_code}\n\n"
        f"chatmock waits for {_minutes(login.timeout)}. Only type it in if you have just started this login yourself."
    )
    interval = device.interval
    trouble = ""
    while (left := until - login.reactor.seconds()) > 0:
        await deferLater(login.reactor, min(interval, left))
        try:
            answer = await _ask(login, oauth.device_token_request(login.issuer, device))
            grant = oauth.read_device_token(*answer)
        except LoginFailed as failed:
            if not failed.passing:
                raise
            if failed.message != trouble:
                login.say(f"{failed.message} Still waiting.")
            trouble = failed.message
            interval += _SLOWER_SECONDS if failed.status == 429 else 0.0
            continue
        if grant is not None:
            return await _exchange(login, grant, oauth.device_redirect_uri(login.issuer))
    raise LoginFailed(
        f"Nobody typed in the code within {_minutes(login.timeout)}. If you did, check that the device code login is"
        " switched on in ChatGPT's settings under Security; then start again with: chatmock login --headless"
    )


class _Attempt:
    """One login with a browser, whichever way its redirect comes back; its code is exchanged once.

    Those who bring a redirect and the one who waits all get its result.
    """

    def __init__(self, login: Login, pkce: Pkce, state: str) -> None:
        self._login = login
        self._pkce = pkce
        self.state = state
        self.redirect = ""
        self._exchanging: Deferred[None] | None = None
        self._result: Tokens | Failure | None = None
        self._waiters: list[Deferred[Tokens]] = []

    def take(self, query: str) -> Deferred[Tokens]:
        """Exchange the code of the redirect with *query*, unless one is being exchanged already.

        :raises StrayRedirect: when it is none of this login.
        :raises LoginFailed: when it says that the login failed, which ends it.
        """
        try:
            code = oauth.read_redirect(query, self.state)
        except LoginFailed:
            if self._exchanging is None:
                self._end(Failure())
            raise
        waiter = self._waiter()
        if self._exchanging is None and self._result is None:
            exchange = _exchange(self._login, Grant(code, self._pkce.verifier), self.redirect)
            self._exchanging = Deferred.fromCoroutine(exchange).addBoth(self._end)
        return waiter

    async def finished(self) -> Tokens:
        """Wait for the result: for a redirect no longer than the owner has, for the exchange until it is over."""
        try:
            return await self._waiter().addTimeout(self._login.timeout, self._login.reactor)
        except TimeoutError:
            if self._exchanging is None:
                raise LoginFailed(
                    f"Nobody logged in within {_minutes(self._login.timeout)}. Start again with: chatmock login"
                ) from None
        return await self._waiter()

    def stop(self) -> None:
        """Nobody waits for the result any more."""
        if self._exchanging is not None:
            self._exchanging.cancel()

    def _waiter(self) -> Deferred[Tokens]:
        waiter: Deferred[Tokens] = Deferred()
        if self._result is None:
            self._waiters.append(waiter)
        else:
            waiter.callback(self._result)
        return waiter

    def _end(self, result: Tokens | Failure) -> None:
        self._result = result
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(result)


async def _read_pasted(lines: AsyncIterator[str], attempt: _Attempt, say: Callable[[str], None]) -> None:
    """Take the address of the page that did not load, when it is pasted; ends with the login or the input."""
    async for line in lines:
        pasted = line.strip().strip("'\"<>")
        if not pasted:
            continue
        address, mark, query = pasted.partition("?")
        try:
            await attempt.take((query if mark else address).partition("#")[0])
        except StrayRedirect as stray:
            say(
                f"That address does not help: {stray}. Paste the whole address of the page to which the browser went"
                " after the login."
            )
        except (LoginFailed, CancelledError):
            return  # told by the one who waits for the attempt
        else:
            return


async def _exchange(login: Login, grant: Grant, redirect: str) -> Tokens:
    answer = await _ask(login, oauth.exchange_request(login.issuer, login.client_id, grant, redirect))
    try:
        tokens = issued(oauth.read_issued(*answer, new=True), login.wall_clock())
    except JSONError:
        raise LoginFailed(
            f"{oauth.ISSUER_TITLE} answered without tokens. That is a fault on its side: try again later."
        ) from None
    await login.save(tokens)
    return tokens


async def _ask(login: Login, request: UpstreamRequest) -> tuple[int, bytes]:
    """Status and body of the issuer's answer."""
    try:
        response = await login.upstream.send(oauth.ISSUER_TITLE, request)
    except Refusal as refusal:
        raise LoginFailed(
            f"{refusal.message} Check this machine's network, then try again.", passing=True
        ) from None
    clock: IReactorTime = login.reactor
    return response.code, await read_start(response, clock, _MOST_BYTES, _READ_SECONDS)


def _browser_text(url: str, port: int, can_paste: bool) -> str:
    paste = (
        "\nIf the browser runs on another machine (you are here over SSH, or chatmock is in a container), the page after"
        "\nthe login will not load there. Copy its address all the same (it begins with"
        f"\n{oauth.redirect_uri(port)}) and paste it here, then press Enter."
    )
    return (
        f"To log in to ChatGPT, open this address in a browser:\n\n    {url}\n"
        f"{paste if can_paste else ''}"
        "\nFrom another machine you can also forward the port before you open the address:"
        f"\n    ssh -L {port}:localhost:{port} USER@THIS-MACHINE"
        "\nor stop this (Ctrl-C) and log in without a browser here: chatmock login --headless\n"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:g} seconds"
