"""A login that is tried: against a fake issuer, with a browser played in a thread and a console played in memory."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.threads import deferToThread

from chatmock.login.flows import Browser, Login, browser_login, device_login
from chatmock.providers.chatgpt.oauth import LoginFailed
from chatmock.providers.chatgpt.tokens import Tokens, owner
from chatmock.upstream import UpstreamClient
from tests.conftest import settle, until
from tests.upstreams.openai_issuer import CLIENT, OpenAIIssuer


@attrs.frozen
class Page:
    """What a browser got."""

    status: int
    headers: dict[str, str]
    text: str


def fetch(url: str, method: str = "GET", headers: dict[str, str] | None = None, at: str = "") -> Page:
    """Get *url*, connecting to the address *at* where that is another; redirects are not followed."""
    parts = urlsplit(url)
    assert parts.port is not None
    connection = http.client.HTTPConnection(at or parts.hostname or "", parts.port, timeout=20)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, headers={"Host": parts.netloc, **(headers or {})})
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Page(response.status, fields, response.read().decode())
    finally:
        connection.close()


async def visit(url: str, method: str = "GET", headers: dict[str, str] | None = None, at: str = "") -> Page:
    page = await deferToThread(fetch, url, method, headers, at)
    assert isinstance(page, Page)
    return page


class Typing:
    """What somebody types, as an async source."""

    def __init__(self) -> None:
        self._queue: DeferredQueue[str | None] = DeferredQueue()

    def type(self, line: str | None) -> None:
        self._queue.put(line)

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for a line."""
        return bool(self._queue.waiting)

    def __aiter__(self) -> Typing:
        return self

    async def __anext__(self) -> str:
        line = await self._queue.get()
        if line is None:
            raise StopAsyncIteration
        return line


class Trial:
    """One login that is tried."""

    def __init__(self, issuer: OpenAIIssuer, client: UpstreamClient) -> None:
        self.said: list[str] = []
        self.saved: list[Tokens] = []
        self.opened: list[str] = []
        self.access: list[str] = []
        self.typing = Typing()
        self.fault: LoginFailed | None = None
        self.issuer = issuer
        self.login = Login(reactor, client, issuer.url, CLIENT, time.time, self.said.append, self._save, 60.0)
        self.browser = Browser(
            lambda count: bytes(range(count)),
            self.opened.append,
            self.typing,
            port=0,
            access=self.access.append,
        )

    async def _save(self, tokens: Tokens) -> None:
        if self.fault is not None:
            raise self.fault
        self.saved.append(tokens)

    async def start(self) -> Deferred[Tokens]:
        """Begin, until there is a URL to open."""
        running = Deferred.fromCoroutine(browser_login(self.login, self.browser))
        await until(lambda: bool(self.opened) or running.called)
        return running

    def start_device(self) -> Deferred[Tokens]:
        return Deferred.fromCoroutine(device_login(self.login))

    @property
    def query(self) -> dict[str, str]:
        """The query of the URL that was opened."""
        return {name: value for name, [value] in parse_qs(urlsplit(self.opened[0]).query).items()}

    @property
    def callback(self) -> str:
        return self.query["redirect_uri"]

    async def redirect(self) -> str:
        """Go to the URL that was opened, and give the address that the browser is sent to."""
        page = await visit(self.opened[0])
        assert page.status == 302, page.text
        return page.headers["location"]

    def check(self, tokens: Tokens) -> None:
        """See that *tokens* are a login, and kept."""
        assert self.saved == [tokens]
        assert self.issuer.honours(tokens.access_token.reveal())
        assert tokens.refresh_token is not None
        assert self.issuer.honours_refresh(tokens.refresh_token.reveal())
        assert (tokens.account_id, owner(tokens).login, owner(tokens).plan) == (
            "account-1",
            "owner@example.com",
            "plus",
        )
        assert tokens.last_refresh.endswith("Z")


@asynccontextmanager
async def trying() -> AsyncIterator[Trial]:
    """A login against a fake issuer; everything is closed afterwards."""
    issuer = OpenAIIssuer(reactor)
    issuer.listen()
    client = UpstreamClient(reactor, 5, 5, 1)
    yield Trial(issuer, client)
    client.close()
    await issuer.port.stopListening()
    await settle()


async def failure(running: Awaitable[Any]) -> LoginFailed:
    with pytest.raises(LoginFailed) as caught:
        await running
    return caught.value


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
