"""The small HTTP server on this machine to which the issuer sends the browser after a login (spec chatgpt.md, 1.3)."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.protocols.policies import WrappingFactory
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from chatmock.listening import BoundedSite
from chatmock.login import pages as login_pages
from chatmock.providers.chatgpt.contract import CALLBACK_PATH
from chatmock.providers.chatgpt.oauth import LoginFailed, StrayRedirect

_SUCCESS_PATH: Final = "/success"
_MOST_BODY_BYTES: Final = 4096
_FAREWELL_SECONDS: Final = 2.0
"""How long browsers may take to fetch the last page."""
_FAREWELL_STEP: Final = 0.01
_WITHOUT_IPV6: Final = frozenset([errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT])

Take = Callable[[str], Awaitable[None]]
"""Takes the query of a redirect and returns when the login has succeeded; raises :exc:`LoginFailed` when it has
not, and :exc:`StrayRedirect` when the query is no answer to it."""


class PortInUse(Exception):
    """Another program listens on the port that the issuer sends browsers to."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} is in use, perhaps by another login. End that program and try again, or use:"
            " chatmock login --headless"
        )


class CallbackServer:
    """Waits for the browser, on the given address and on the IPv6 loopback, since ``localhost`` may mean either.

    :param host: the address to listen on. :param port: 0 for any free one, then the same on both.
    :param take: is given the query of each request to the callback.
    :param stray: is told, as half a sentence, why a callback was ignored.
    :param access: is given a line about each request, without its query.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        take: Take,
        stray: Callable[[str], None],
        access: Callable[[str], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._host = host
        self.port = port
        """Where it listens, once it does."""
        self._page = CallbackPage(take, stray)
        self._factory = WrappingFactory(_CallbackSite(self._page, reactor, access))
        self._factory.noisy = False
        self._ports: list[IListeningPort] = []

    async def listen(self) -> None:
        """Open the ports.

        :raises PortInUse: when one of them is taken.
        :raises LoginFailed: when they cannot be opened for another reason.
        """
        try:
            self.port = self._open(self._host, self.port)
            if self._host not in ("::", "::1"):
                self._open("::1", self.port, _WITHOUT_IPV6)
        except BaseException:
            await self.close()
            raise
        names = ["localhost", "127.0.0.1", "[::1]", f"[{self._host}]" if ":" in self._host else self._host]
        self._page.authorities = frozenset(f"{name.lower()}:{self.port}" for name in names)

    async def close(self) -> None:
        """Close the ports, and the connections once they have got their pages."""
        ports, self._ports = self._ports, []
        for port in ports:
            await maybeDeferred(port.stopListening)
        await self._page.answered()
        waited = 0.0
        while self._factory.protocols and waited < _FAREWELL_SECONDS:
            for connection in list(self._factory.protocols):
                connection.loseConnection()
            await deferLater(self._reactor, _FAREWELL_STEP)
            waited += _FAREWELL_STEP
        for connection in list(self._factory.protocols):
            connection.abortConnection()

    def _open(self, host: str, port: int, allowed: Collection[int] = ()) -> int:
        try:
            opened = self._reactor.listenTCP(port, self._factory, interface=host)
        except (CannotListenError, OSError) as error:
            cause = error.socketError if isinstance(error, CannotListenError) else error
            number = getattr(cause, "errno", None)
            if number in allowed:
                return port
            if number == errno.EADDRINUSE:
                raise PortInUse(port) from None
            reason = getattr(cause, "strerror", None) or str(cause)
            raise LoginFailed(
                f"The login cannot listen on {host}, port {port}: {reason}. Check CHATGPT_LOCAL_LOGIN_BIND, or use:"
                " chatmock login --headless"
            ) from None
        self._ports.append(opened)
        number = opened.getHost().port
        assert isinstance(number, int)
        return number


class CallbackPage(Resource):
    """Every path of the server; only a GET of the callback does anything, and nothing ends the waiting but that."""

    isLeaf = True

    def __init__(self, take: Take, stray: Callable[[str], None]) -> None:
        Resource.__init__(self)
        self.authorities: Collection[str] = ()
        """The values of ``Host`` that mean this server; others are pages that had their names point here."""
        self._take = take
        self._stray = stray
        self._answers: set[Deferred[None]] = set()
        self._succeeded = False

    async def answered(self) -> None:
        """Wait until every callback has its page."""
        await DeferredList(list(self._answers))

    def render(self, request: HTTPRequest) -> int | bytes:
        """Answer *request*."""
        path, _, query = request.uri.partition(b"?")
        refusal = self._refusal(request, path.decode("latin-1"))
        if refusal is not None:
            return _finish(request, *refusal)
        if path.decode("latin-1") == _SUCCESS_PATH:
            page = login_pages.success_page() if self._succeeded else login_pages.waiting_page()
            return _finish(request, 200, page)
        gone: list[Any] = []
        request.notifyFinish().addErrback(gone.append)
        answering = Deferred.fromCoroutine(self._answer(request, query.decode("latin-1"), gone))
        self._answers.add(answering)
        answering.addBoth(lambda _: self._answers.discard(answering))
        return NOT_DONE_YET

    def _refusal(self, request: HTTPRequest, path: str) -> tuple[int, bytes] | None:
        """Status and page for a request that is not even looked at."""
        if request.method != b"GET":
            request.setHeader("Allow", "GET")
            return 405, login_pages.refused_page("This page can only be opened by a browser.")
        hosts = request.requestHeaders.getRawHeaders(b"host", [])
        if [host.decode("latin-1").lower() in self.authorities for host in hosts] != [True]:
            return 400, login_pages.refused_page(
                "This server does not go by that name. Paste the address of this page at chatmock's console instead."
            )
        if path not in (CALLBACK_PATH, _SUCCESS_PATH):
            return 404, login_pages.refused_page("Only the end of a login is shown here.")
        if request.requestHeaders.getRawHeaders(b"sec-fetch-dest", [b"document"]) != [b"document"]:
            # A part of some other page, which must not be able to end the login.
            return 403, login_pages.refused_page("This page must be opened by itself.")
        return None

    async def _answer(self, request: HTTPRequest, query: str, gone: Collection[Any]) -> None:
        try:
            await self._take(query)
        except StrayRedirect as stray:
            self._stray(str(stray))
            status, page = 400, login_pages.stray_page(str(stray))
        except LoginFailed as failed:
            status = 403 if failed.code == "access_denied" else 500
            page = login_pages.failure_page(failed.message)
        except CancelledError:
            status, page = 500, login_pages.failure_page("It was interrupted.")
        else:
            self._succeeded = True
            status, page = 200, login_pages.success_page()
        if not gone:
            request.write(_finish(request, status, page))
            request.finish()


class _CallbackSite(BoundedSite):
    def __init__(self, page: CallbackPage, reactor: Any, access: Callable[[str], None] | None) -> None:
        super().__init__(page, reactor, _MOST_BODY_BYTES)
        self._access = access

    def log(self, request: Any) -> None:
        """Tell of the request, but not its query, which holds the code."""
        if self._access is not None:
            asked = (request.method + b" " + request.uri.partition(b"?")[0])[:200].decode(
                "ascii", "backslashreplace"
            )
            printable = "".join(c if c.isprintable() else "?" for c in asked)
            self._access(f"{request.getClientAddress().host} {printable} {request.code}")


def _finish(request: HTTPRequest, status: int, page: bytes) -> bytes:
    """Set the head of the answer; returns its body."""
    request.setResponseCode(status)
    for name, value in login_pages.HEADERS.items():
        request.setHeader(name, value)
    request.setHeader("Content-Length", str(len(page)))
    return page
