"""Asking with a credential that may end on the way, and who answers whom."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from chatmock.account import Account, Accounts, FixedCredential, OneCall
from chatmock.credentials import LoginCredentials
from chatmock.errors import Kind, Refusal
from chatmock.login_files import LoginFiles
from chatmock.providers.chatgpt import ChatGPT
from chatmock.providers.compatible import DIFFERENCES
from chatmock.providers.interface import Credential, Headers
from chatmock.providers.openai_compatible import OpenAICompatible
from chatmock.settings import Secret
from chatmock.upstream import UpstreamClient, read_start
from tests.conftest import settle, until, write_login
from tests.upstreams.chatgpt_backend import ChatGPTBackend
from tests.upstreams.openai_issuer import CLIENT, OpenAIIssuer

# --- asking


@attrs.define
class Asking:
    """ChatGPT's account, with a login that is good for an hour."""

    account: Account
    backend: ChatGPTBackend
    issuer: OpenAIIssuer
    path: Path
    observed: list[Headers]

    def ask(self) -> Deferred[Any]:
        """Ask for the list of models."""
        return Deferred.fromCoroutine(self.account.ask(self.account.provider.catalogue_request))

    async def status(self) -> int:
        """The status of the answer, which is read to its end."""
        _, response = await self.ask()
        await read_start(response, reactor, 65536, 5)
        code: int = response.code
        return code

    def sent(self) -> list[str]:
        """The tokens that the backend was shown."""
        return [asked.headers["authorization"].removeprefix("Bearer ") for asked in self.backend.asked]


@pytest_twisted.async_yield_fixture()
async def asking(issuer: OpenAIIssuer, backend: ChatGPTBackend, home: Path) -> AsyncIterator[Asking]:
    path = write_login(home / "state" / "auth.json", issuer.issue())
    client = UpstreamClient(reactor, 5, 5, 2)
    credentials = LoginCredentials(
        LoginFiles(path), issuer.url, CLIENT, client, reactor, time.time, deferToThread
    )
    provider = ChatGPT(backend.url)
    observed: list[Headers] = []
    account = Account(provider, OneCall(provider, reactor), credentials, client, observe=observed.append)
    yield Asking(account, backend, issuer, path, observed)
    await credentials.stop()
    client.close()
    await settle()


async def test_a_good_token_is_shown_once(asking: Asking) -> None:
    assert await asking.status() == 200
    assert len(asking.sent()) == 1
    assert [headers["etag"] for headers in asking.observed] == ['"one"']


async def test_a_token_that_is_refused_is_renewed_once(asking: Asking) -> None:
    asking.issuer.revoke_access()
    assert await asking.status() == 200
    first, second = asking.sent()
    assert first != second
    assert second == json.loads(asking.path.read_text())["tokens"]["access_token"]
    assert asking.issuer.refreshes == 1
    assert ["etag" in headers for headers in asking.observed] == [False, True], "of every answer"
    await until(lambda: asking.backend.active == 0)
    assert asking.backend.open_connections == 1, "the refused answer is not left open"


async def test_a_token_that_is_refused_again_is_told(asking: Asking) -> None:
    asking.backend.honours = lambda token: False
    assert await asking.status() == 401
    assert len(asking.sent()) == len(asking.observed) == 2
    assert await asking.status() == 401
    assert asking.issuer.refreshes == 1


async def test_other_faults_have_nothing_to_do_with_the_token(asking: Asking) -> None:
    asking.account = attrs.evolve(asking.account, provider=ChatGPT(asking.backend.url + "/nowhere"))
    assert await asking.status() == 404
    assert (len(asking.sent()), asking.issuer.refreshes) == (1, 0)


async def test_leaving_during_the_renewal_closes_the_refused_answer(asking: Asking) -> None:
    asking.issuer.revoke_access()
    asking.issuer.delay = 0.1
    leaving = asking.ask()
    await until(lambda: bool(asking.issuer.calls("/oauth/token")))
    assert asking.backend.open_connections == 1
    leaving.cancel()
    with pytest.raises(CancelledError):
        await leaving
    await until(lambda: asking.backend.open_connections == 0)
    assert await asking.status() == 200
    assert asking.issuer.refreshes == 1, "what had begun went on"


async def test_a_login_that_has_ended_closes_the_refused_answer(asking: Asking) -> None:
    asking.issuer.revoke_access()
    asking.issuer.revoke_refresh()
    with pytest.raises(Refusal, match="chatmock login") as caught:
        await asking.ask()
    assert caught.value.kind is Kind.UNAUTHENTICATED
    await until(lambda: asking.backend.open_connections == 0)
    with pytest.raises(Refusal, match="chatmock login"):
        await asking.ask()
    assert len(asking.sent()) == 1, "no token, no request"


async def test_a_key_cannot_be_renewed(asking: Asking) -> None:
    key = FixedCredential(Credential(Secret("key"), "account-1"))
    asking.account = attrs.evolve(asking.account, credentials=key)
    assert await asking.status() == 401
    assert asking.sent() == ["key"]
    assert len(asking.observed) == 1


# --- who answers whom


@attrs.define
class Login:
    """Credentials that come and go."""

    ready: bool = True
    account_id: str = ""

    async def current(self) -> Credential:
        return Credential()

    async def renewed(self, refused: Credential) -> Credential | None:
        return None


def accounts(chosen: str | None = None, **ready: bool) -> Accounts:
    by_name = {}
    for name, is_ready in {**ready, "demo": True}.items():
        provider = OpenAICompatible(name, "http://x/v1", DIFFERENCES)
        by_name[name] = Account(provider, OneCall(provider, Clock()), Login(is_ready), None)
    return Accounts(by_name, chosen)


def test_the_first_that_has_a_credential_is_the_default() -> None:
    assert accounts(chatgpt=True, grok=True).default == "chatgpt"
    assert accounts(chatgpt=False, grok=True).default == "grok"
    assert accounts(chatgpt=False).default == "demo"
    assert accounts("grok", chatgpt=True, grok=True).default == "grok"
    assert accounts("chatgpt", chatgpt=False, grok=True).default == "chatgpt", (
        "who is named may lack a login yet"
    )


def test_the_default_follows_a_login() -> None:
    found = accounts(chatgpt=False, grok=True)
    login: Any = found.by_name["chatgpt"].credentials
    login.ready = True
    assert (found.default, found.ready) == ("chatgpt", ["chatgpt", "grok", "demo"])
    login.ready = False
    assert (found.default, found.ready) == ("grok", ["grok", "demo"])


def test_the_demo_is_offered_only_where_it_is_the_default() -> None:
    assert accounts(chatgpt=True, grok=False).offered == ["chatgpt"]
    assert accounts(chatgpt=False).offered == ["demo"]
    assert accounts("demo", chatgpt=True).offered == ["chatgpt", "demo"]
    assert accounts("chatgpt", chatgpt=False, grok=True).offered == ["grok"]


@pytest.mark.parametrize(
    ("model", "wanted", "reachable"),
    [
        ("m", None, ["grok", "demo"]),
        ("m", "chatgpt", ["chatgpt", "grok", "demo"]),
        ("chatgpt/m", None, ["chatgpt", "grok", "demo"]),
        ("chatgpt", None, ["grok", "demo"]),
        ("x-ai/m", None, ["grok", "demo"]),
        ("m", "nobody", ["grok", "demo"]),
    ],
)
def test_who_has_no_credential_is_reached_by_name_only(
    model: str, wanted: str | None, reachable: list[str]
) -> None:
    assert accounts(chatgpt=False, grok=True, qwen=False).reachable(model, wanted) == reachable


def test_the_chosen_one_is_always_reached() -> None:
    assert accounts("chatgpt", chatgpt=False, grok=True).reachable("m", None) == ["chatgpt", "grok", "demo"]
