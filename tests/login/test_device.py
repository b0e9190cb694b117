"""Logging in with a code that is typed in elsewhere, over real HTTP."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import attrs
import pytest
import pytest_twisted

from chatmock.providers.chatgpt import oauth
from tests.login.trial import Trial, failure, trying
from tests.upstreams.issuer_answers import Answer


@pytest_twisted.async_yield_fixture()
async def trial() -> AsyncIterator[Trial]:
    """A login against a fake issuer."""
    async with trying() as trial:
        yield trial


async def test_a_login_with_a_code(trial: Trial) -> None:
    trial.issuer.pending(1, 403)
    tokens = await trial.start_device()
    trial.check(tokens)
    assert f"{trial.issuer.url}/codex/device" in trial.said[0]
    assert "ABCD-12345" in trial.said[0]
    assert len(trial.issuer.calls("/api/accounts/deviceauth/token")) == 2
    (exchange,) = trial.issuer.calls("/oauth/token")
    assert exchange.body["redirect_uri"] == f"{trial.issuer.url}/deviceauth/callback"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls follow each other at once."""
    monkeypatch.setattr(oauth, "_LEAST_INTERVAL", 0.0)
    monkeypatch.setattr(oauth, "_DEVICE_INTERVAL", 0.0)


@pytest.mark.usefixtures("quick")
async def test_faults_on_the_way_are_waited_out(trial: Trial) -> None:
    trial.issuer.device_interval = "0"
    trial.issuer.pending(2, 404)
    trial.issuer.device_answers += ["drop", "drop", Answer(502, b"<html>"), Answer(403, b"<html>")]
    trial.check(await trial.start_device())
    assert [text.endswith("Still waiting.") for text in trial.said] == [False, True, True]


@pytest.mark.usefixtures("quick")
async def test_an_older_issuer(trial: Trial) -> None:
    trial.issuer.device_fields = ("device_auth_id", "usercode")
    trial.check(await trial.start_device())
    assert "ABCD-12345" in trial.said[0]


@pytest.mark.usefixtures("quick")
async def test_a_code_that_has_ended(trial: Trial) -> None:
    trial.issuer.device_interval = 0
    trial.issuer.device_answers.append(Answer(400, {"error": {"code": "expired", "message": "Too late."}}))
    failed = await failure(trial.start_device())
    assert "Too late (expired)" in failed.message
    assert len(trial.issuer.calls("/api/accounts/deviceauth/token")) == 1


async def test_a_code_login_that_is_not_enabled(trial: Trial) -> None:
    trial.issuer.device_enabled = False
    failed = await failure(trial.start_device())
    assert "Switch on the device code login" in failed.message


@pytest.mark.usefixtures("quick")
async def test_nobody_types_the_code(trial: Trial) -> None:
    trial.issuer.device_interval = "0.02"
    trial.issuer.pending(1000)
    trial.login = attrs.evolve(trial.login, timeout=0.1)
    failed = await failure(trial.start_device())
    assert "Nobody typed in the code" in failed.message
    assert "Security" in failed.message


@pytest.mark.usefixtures("quick")
async def test_a_code_login_whose_exchange_fails(trial: Trial) -> None:
    trial.issuer.device_interval = 0
    trial.issuer.refuse("invalid_grant")
    assert (await failure(trial.start_device())).final
    assert trial.saved == []


async def test_no_issuer_at_all(trial: Trial) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    trial.login = attrs.evolve(trial.login, issuer=url)
    failed = await failure(trial.start_device())
    assert "ChatGPT's login server cannot be reached" in failed.message
