"""The fake issuer itself, since the tests of logins and refreshes build on what it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError

from chatmock.providers.chatgpt import oauth
from chatmock.upstream import read_start
from tests.login.trial import Trial, failure, trying
from tests.upstreams.openai_issuer import CLIENT, OpenAIIssuer
from tests.upstreams.playing_site import Asked


@pytest_twisted.async_yield_fixture()
async def trial() -> AsyncIterator[Trial]:
    """A login against a fake issuer."""
    async with trying() as trial:
        yield trial


async def refreshed(trial: Trial, token: str) -> Any:
    request = oauth.refresh_request(trial.issuer.url, CLIENT, oauth.Secret(token))
    response = await trial.login.upstream.send("issuer", request)
    return oauth.read_issued(response.code, await read_start(response, reactor, 65536, 5))


async def test_refresh_tokens_work_once_and_a_reused_one_ends_the_chain(trial: Trial) -> None:
    issuer = trial.issuer
    first = issuer.issue()
    second = await refreshed(trial, first["refresh_token"])
    assert issuer.honours(first["access_token"])
    assert issuer.honours(second["access_token"])
    assert not issuer.honours_refresh(first["refresh_token"])
    assert issuer.honours_refresh(second["refresh_token"])
    failed = await failure(refreshed(trial, first["refresh_token"]))
    assert (failed.code, failed.final) == ("refresh_token_reused", True)
    assert not issuer.honours_refresh(second["refresh_token"])
    assert (await failure(refreshed(trial, second["refresh_token"]))).code == "refresh_token_invalidated"
    assert issuer.refreshes == 1


async def test_what_the_issuer_can_be_told(trial: Trial) -> None:
    issuer = trial.issuer
    login = issuer.issue()
    token = login["refresh_token"]
    issuer.omit_refresh_token = True
    assert "refresh_token" not in await refreshed(trial, token)
    issuer.refuse("refresh_token_expired")
    assert (await failure(refreshed(trial, token))).code == "refresh_token_expired"
    assert issuer.honours_refresh(token)
    issuer.revoke_access()
    assert not issuer.honours(login["access_token"])
    issuer.access_seconds = -1.0
    assert not issuer.honours((await refreshed(trial, token))["access_token"])


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_id": "other"}, 400, None),
        ({"redirect_uri": "https://evil.example/"}, 400, None),
        ({"response_type": "token"}, 302, "invalid_request"),
        ({"scope": "openid"}, 302, "invalid_request"),
        ({"code_challenge_method": "plain"}, 302, "invalid_request"),
        ({"code_challenge": "short"}, 302, "invalid_request"),
        ({"state": ""}, 302, "invalid_request"),
        ({}, 302, None),
    ],
)
def test_the_issuer_checks_what_it_is_asked(change: dict[str, str], status: int, error: str | None) -> None:
    right = {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": "http://localhost:1455/auth/callback",
        "scope": "openid profile email offline_access",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
        "state": "s" * 16,
    }
    answer = OpenAIIssuer(reactor).answer(Asked("GET", "/oauth/authorize", body={**right, **change}))
    assert answer.status == status
    if status == 302:
        assert parse_qs(urlsplit(answer.location or "").query).get("error") == (error and [error])


async def test_the_issuer_exchanges_a_code_once_and_for_its_verifier_only(trial: Trial) -> None:
    async def exchange(address: str, verifier: str, redirect: str) -> Any:
        code = oauth.Secret(parse_qs(urlsplit(address).query)["code"][0])
        grant = oauth.Grant(code, oauth.Secret(verifier))
        request = oauth.exchange_request(trial.issuer.url, CLIENT, grant, redirect)
        response = await trial.login.upstream.send("issuer", request)
        return oauth.read_issued(response.code, await read_start(response, reactor, 65536, 5))

    running = await trial.start()
    right = oauth.pkce(bytes(range(64))).verifier.reveal()
    for wrong, redirect in [("x", trial.callback), (right, "http://localhost:1/auth/callback")]:
        assert (await failure(exchange(await trial.redirect(), wrong, redirect))).code == "invalid_grant"
    address = await trial.redirect()
    assert await exchange(address, right, trial.callback)
    assert (await failure(exchange(address, right, trial.callback))).code == "invalid_grant"
    running.cancel()
    with pytest.raises(CancelledError):
        await running
