"""ChatGPT's issuer, asked for a login's successor within bounded time (spec chatgpt.md, 1.9)."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import TimeoutError
from twisted.internet.interfaces import IReactorTime

from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError
from chatmock.providers.chatgpt.oauth import ISSUER_TITLE, read_issued, refresh_request
from chatmock.providers.chatgpt.oauth_errors import LoginFailed
from chatmock.providers.chatgpt.tokens import Tokens, issued
from chatmock.providers.interface import UpstreamRequest
from chatmock.settings import Secret
from chatmock.upstream import Upstream, read_start

_MOST_BYTES = 256 * 1024
_SECONDS = 20.0
"""For the head of the issuer's answer, and once more for its body: less in all than others wait for the lock."""


@attrs.frozen
class Issuer:
    """Exchanges refresh tokens.

    :param url: the issuer's base.
    :param client_id: the OAuth client that the login belongs to.
    :param clock: for the time that the issuer has.
    :param wall_clock: Unix time in seconds, written down as that of the refresh.
    """

    url: str
    client_id: str
    _upstream: Upstream
    _clock: IReactorTime
    _wall_clock: Callable[[], float]

    async def successor(self, tokens: Tokens, refresh_token: Secret) -> Tokens:
        """What *tokens* become when *refresh_token* is spent; what the issuer leaves out stays as it was.

        :raises LoginFailed: when they are worth nothing any more.
        :raises Refusal: when there is no answer, or one that says nothing of the login.
        """
        status, body = await self._ask(refresh_request(self.url, self.client_id, refresh_token))
        try:
            return issued(read_issued(status, body), self._wall_clock(), tokens)
        except JSONError:
            raise not_now(f"{ISSUER_TITLE} sent an answer that holds no tokens.") from None
        except LoginFailed as error:
            if error.final:
                raise
            raise not_now(str(error)) from None

    async def _ask(self, request: UpstreamRequest) -> tuple[int, bytes]:
        """The status and the body of the issuer's answer."""
        try:
            sending = self._upstream.send(ISSUER_TITLE, request)
            response = await sending.addTimeout(_SECONDS, self._clock)
        except TimeoutError:
            message = f"{ISSUER_TITLE} did not begin to answer within {_SECONDS:g} s."
            raise not_now(message, Kind.UPSTREAM_TIMED_OUT) from None
        return response.code, await read_start(response, self._clock, _MOST_BYTES, _SECONDS)


def not_now(message: str, kind: Kind = Kind.UPSTREAM_FAILED) -> Refusal:
    """The refusal for a login that could not be refreshed, and may well be a little later."""
    return Refusal(kind, message, code="login_refresh_failed", retryable=True)
