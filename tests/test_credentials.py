"""The ChatGPT login in use, against an issuer that refuses what the real one does, with real files and a clock to wind."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.logger import formatEvent, globalLogPublisher

from chatmock.credentials import LoginCredentials
from chatmock.errors import Kind, Refusal
from chatmock.login.store import keep_login
from chatmock.login_files import LoginFiles, login_lock
from chatmock.providers.chatgpt.contract import LOG_IN_AGAIN
from chatmock.providers.chatgpt.tokens import issued
from chatmock.providers.interface import Credential
from chatmock.settings import Secret
from chatmock.state_files import write_private
from chatmock.upstream import UpstreamClient
from tests.conftest import settle, until, write_login
from tests.upstreams.issuer_answers import Answer
from tests.upstreams.openai_issuer import CLIENT, OpenAIIssuer

NOW = 1_785_060_000.0
PART = 12
"""So many characters of a secret in a row are a leak."""


@attrs.define
class Trial:
    """A login that is used."""

    issuer: OpenAIIssuer
    client: UpstreamClient
    files: LoginFiles
    told: list[str]
    """What has been logged, and what clients were told."""
    now: float = NOW
    clock: Clock = attrs.Factory(Clock)
    credentials: LoginCredentials = attrs.field(init=False)
    secrets: list[str] = attrs.Factory(list)

    def __attrs_post_init__(self) -> None:
        self.issuer.now = lambda: self.now
        self.credentials = self.fresh()

    def fresh(self) -> LoginCredentials:
        """Credentials that know nothing yet, as those of another process."""
        return LoginCredentials(
            self.files, self.issuer.url, CLIENT, self.client, self.clock, lambda: self.now, deferToThread
        )

    @property
    def own(self) -> Path:
        assert self.files.own is not None
        return self.files.own

    def issue(self, seconds: float, **more: Any) -> dict[str, str]:
        """What the issuer gives for a new login whose access token lasts *seconds*."""
        usual, self.issuer.access_seconds = self.issuer.access_seconds, seconds
        answer = self.issuer.issue()
        self.issuer.access_seconds = usual
        self.secrets += [answer["id_token"], answer["access_token"], answer["refresh_token"]]
        return {**answer, **more}

    def login(self, seconds: float, path: Path | None = None, **more: Any) -> str:
        """Write a new login, which is noticed at the next look; its access token."""
        answer = self.issue(seconds)
        self.put(answer, path, **more)
        return answer["access_token"]

    def put(self, answer: dict[str, str], path: Path | None = None, **more: Any) -> None:
        path = path or self.own
        write_login(path.with_name("new"), answer, **more).replace(path)

    def ask(self) -> Deferred[Credential]:
        return Deferred.fromCoroutine(self.credentials.current())

    async def token(self) -> str:
        return revealed(await self.credentials.current())

    async def refused(self, asking: Any = None) -> Refusal:
        """The refusal of *asking*, by default of a request for the token."""
        with pytest.raises(Refusal) as caught:
            await (self.ask() if asking is None else asking)
        self.told += [str(caught.value), repr(caught.value)]
        return caught.value

    async def asked(self, times: int = 1) -> None:
        """Wait until the issuer has been asked."""
        await until(lambda: self.calls >= times)

    async def refreshed(self) -> None:
        """Wait until no refresh is under way."""
        await until(lambda: self.credentials._refreshing is None)

    def count(self, words: str) -> int:
        """How many lines of the log, and of what clients were told, have *words*."""
        return sum(words in line for line in self.told)

    @property
    def calls(self) -> int:
        """How often the issuer's token endpoint has been asked."""
        return len(self.issuer.calls("/oauth/token"))

    def held(self) -> dict[str, Any]:
        """What is in the file."""
        held: dict[str, Any] = json.loads(self.own.read_text())
        return held

    def check_saved(self, token: str) -> None:
        """See that the file holds *token*, and that the issuer honours what goes with it."""
        tokens = self.held()["tokens"]
        assert tokens["access_token"] == token
        assert self.issuer.honours_refresh(tokens["refresh_token"])
        assert self.own.stat().st_mode & 0o777 == 0o600


def revealed(credential: Credential | None) -> str:
    assert credential is not None
    assert credential.token is not None
    return credential.token.reveal()


@pytest.fixture
def told() -> Iterator[list[str]]:
    """All that is logged, with whatever hangs on it."""
    found: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        failure = event.get("log_failure")
        found.append(formatEvent(event) + repr(event) + (failure.getTraceback() if failure else ""))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


@pytest_twisted.async_yield_fixture()
async def trial(issuer: OpenAIIssuer, home: Path, told: list[str]) -> AsyncIterator[Trial]:
    """A state folder without a login. Afterwards nothing is under way, and no part of a secret has been told."""
    files = LoginFiles(home / "state" / "auth.json", (home / "codex" / "auth.json",))
    client = UpstreamClient(reactor, 5, 5, 2)
    made = Trial(issuer, client, files, told)
    yield made
    stopping = Deferred.fromCoroutine(made.credentials.stop())
    await until(lambda: made.clock.advance(1) or stopping.called)
    client.close()
    await settle()
    assert made.clock.getDelayedCalls() == []
    text = "\n".join(told)
    for secret in [*made.secrets, *issuer._access, *issuer._chains]:
        assert not any(secret[at : at + PART] in text for at in range(len(secret) - PART + 1))


def unsigned(claims: dict[str, Any]) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJub25lIn0.{middle}.e30"


# --- logins that come and go


async def test_without_a_login_it_says_what_to_do(trial: Trial) -> None:
    credentials = trial.credentials
    assert (credentials.ready, credentials.account_id) == (False, "")
    refusal = await trial.refused()
    assert (refusal.kind, refusal.code) == (Kind.UNAUTHENTICATED, "login_required")
    assert refusal.message == "chatmock has no ChatGPT login. On chatmock's machine run: chatmock login"
    assert (await trial.refused(credentials.renewed(Credential(Secret("x"))))).code == "login_required"
    assert trial.calls == 0
    assert not trial.own.parent.exists()


async def test_a_login_and_a_logout_are_noticed_within_a_second(trial: Trial) -> None:
    assert not trial.credentials.ready
    token = trial.login(3600)
    trial.clock.advance(1)
    assert (trial.credentials.ready, trial.credentials.account_id) == (True, "account-1")
    assert await trial.token() == token
    trial.own.unlink()
    trial.clock.advance(1)
    assert not trial.credentials.ready
    assert (await trial.refused()).code == "login_required"


@pytest.mark.parametrize("content", [b"{half", b"[]", b'{"tokens": {"access_token":', b"\xff"])
async def test_a_damaged_file_is_told_without_its_path(trial: Trial, content: bytes) -> None:
    trial.own.parent.mkdir()
    trial.own.write_bytes(content)
    refusal = await trial.refused()
    assert (refusal.kind, refusal.code) == (Kind.UNAUTHENTICATED, "login_required")
    assert "cannot be read" in refusal.message
    assert str(trial.own.parent) not in refusal.message
    assert any(f"The login in {trial.own} cannot be read: it is damaged." in line for line in trial.told)
    token = trial.login(3600)
    trial.clock.advance(1)
    assert await trial.token() == token


# --- what the owner is told


async def test_there_is_nothing_to_tell_of_a_login_that_works_or_is_not_there(trial: Trial) -> None:
    assert trial.credentials.notice == ""
    trial.login(-10)
    trial.clock.advance(1)
    assert trial.credentials.notice == ""


async def test_it_is_told_that_another_program_s_login_is_used(trial: Trial) -> None:
    path = trial.files.foreign[0]
    path.parent.mkdir()
    trial.login(3600, path)
    told = trial.credentials.notice
    assert f"the login in {path}, another program's" in told
    assert told.endswith("run: chatmock login")
    trial.own.parent.mkdir()
    trial.own.write_bytes(b"{half")
    trial.clock.advance(1)
    damaged = f"The login in {trial.own} cannot be read: it is damaged."
    assert trial.credentials.notice == f"{damaged} {told}"
    path.unlink()
    trial.clock.advance(1)
    assert trial.credentials.notice == damaged


async def test_it_is_told_that_the_login_has_ended(trial: Trial) -> None:
    trial.login(-10)
    trial.issuer.refuse("invalid_grant")
    await trial.refused()
    assert trial.credentials.notice == "The ChatGPT login has ended (invalid_grant); run: chatmock login"
    trial.login(3600)
    trial.clock.advance(1)
    assert trial.credentials.notice == ""


# --- when it is refreshed


@pytest.mark.parametrize(("seconds", "calls"), [(299, 1), (300, 1), (301, 0), (0, 1), (-1_000_000, 1)])
async def test_it_is_refreshed_five_minutes_before_its_end(trial: Trial, seconds: int, calls: int) -> None:
    before = trial.login(seconds)
    first = await trial.token()
    await trial.refreshed()
    assert trial.calls == trial.issuer.refreshes == calls
    token = await trial.token()
    assert (token != before) == bool(calls)
    assert first == (before if seconds > 0 else token)
    trial.check_saved(token)
    await trial.refreshed()
    assert trial.calls == calls


async def test_a_good_token_is_used_while_a_slow_issuer_makes_the_next(trial: Trial) -> None:
    before = trial.login(200)
    trial.issuer.delay = 0.05
    for _ in range(3):
        assert await trial.token() == before
    await trial.asked()
    asking = trial.ask()
    assert asking.called, "nobody waits"
    assert revealed(await asking) == before
    await trial.refreshed()
    token = await trial.token()
    assert token != before
    trial.check_saved(token)
    assert trial.calls == 1


@pytest.mark.parametrize("seconds", [15, 16])
async def test_a_token_is_used_until_fifteen_seconds_before_its_end(trial: Trial, seconds: int) -> None:
    before = trial.login(seconds)
    token = await trial.token()
    assert (token == before) == (seconds > 15)
    await trial.refreshed()
    trial.check_saved(await trial.token())
    assert trial.calls == 1


async def test_who_comes_at_its_end_joins_the_refresh_that_runs_behind(trial: Trial) -> None:
    before = trial.login(200)
    trial.issuer.delay = 0.05
    assert await trial.token() == before
    await trial.asked()
    trial.now += 200
    asking = trial.ask()
    assert not asking.called
    trial.check_saved(revealed(await asking))
    assert trial.calls == 1


async def test_short_tokens_are_used_until_they_are_refused(trial: Trial) -> None:
    trial.login(-10)
    trial.issuer.access_seconds = 200
    first = await trial.token()
    for _ in range(10):
        trial.now += 10
        trial.clock.advance(10)
        assert await trial.token() == first
        await trial.refreshed()
    assert trial.calls == 1
    renewed = revealed(await trial.credentials.renewed(Credential(Secret(first))))
    assert renewed != first
    assert trial.calls == 2
    trial.issuer.access_seconds = 3600
    trial.clock.advance(60)
    usual = revealed(await trial.credentials.renewed(Credential(Secret(renewed))))
    trial.now += 3500
    assert await trial.token() == usual
    await trial.refreshed()
    assert await trial.token() != usual, "tokens that last are refreshed before their end again"
    assert trial.calls == 4


async def test_a_clock_that_is_ahead_does_not_refresh_for_every_request(trial: Trial) -> None:
    trial.issuer.now = lambda: trial.now - 7200
    trial.login(3600)
    daemons = [trial.credentials, trial.fresh()]
    tokens = []
    for _ in range(10):
        tokens += [revealed(await each.current()) for each in daemons]
        trial.clock.advance(1)
    assert trial.calls == trial.issuer.refreshes == 2, "each daemon learns it once"
    assert len(set(tokens[3:])) == 1
    trial.check_saved(tokens[-1])
    assert trial.issuer.honours(tokens[-1])


async def test_the_end_is_what_the_token_says(trial: Trial) -> None:
    for claims in ({}, {"exp": "soon"}, {"exp": True}, {"exp": 1e300}):
        token = unsigned({"aud": "x", **claims})
        trial.put(trial.issue(-10, access_token=token), last_refresh="2001-01-01T00:00:00Z")
        trial.clock.advance(1)
        assert await trial.token() == token
    trial.put(trial.issue(-10, access_token="opaque"))
    trial.clock.advance(1)
    assert await trial.token() == "opaque"
    assert trial.calls == 0


async def test_those_who_wait_share_one_refresh(trial: Trial) -> None:
    trial.login(-10)
    trial.issuer.delay = 0.02
    refused = Credential(Secret(trial.held()["tokens"]["access_token"]))
    asking: list[Deferred[Any]] = [trial.ask(), trial.ask()]
    asking.append(Deferred.fromCoroutine(trial.credentials.renewed(refused)))
    await trial.asked()
    asking.append(trial.ask())
    tokens = {revealed(await each) for each in asking}
    assert len(tokens) == 1
    assert trial.calls == 1
    trial.check_saved(tokens.pop())


async def test_who_leaves_does_not_end_the_refresh_of_the_others(trial: Trial) -> None:
    trial.login(-10)
    trial.issuer.delay = 0.02
    first, second, third = trial.ask(), trial.ask(), trial.ask()
    await trial.asked()
    for leaving in (first, third):
        leaving.cancel()
        with pytest.raises(CancelledError):
            await leaving
    trial.check_saved(revealed(await second))
    assert trial.calls == 1


async def test_a_refresh_that_nobody_waits_for_is_kept(trial: Trial) -> None:
    before = trial.login(-10)
    trial.issuer.delay = 0.02
    leaving = trial.ask()
    await trial.asked()
    leaving.cancel()
    with pytest.raises(CancelledError):
        await leaving
    await until(lambda: trial.held()["tokens"]["access_token"] != before)
    trial.check_saved(await trial.token())
    assert trial.calls == 1


async def test_an_answer_without_a_refresh_token_keeps_the_old_one(trial: Trial) -> None:
    trial.login(-10)
    before = trial.held()["tokens"]["refresh_token"]
    trial.issuer.omit_refresh_token = True
    trial.check_saved(await trial.token())
    assert trial.held()["tokens"]["refresh_token"] == before


async def test_the_account_is_that_of_the_new_token(trial: Trial) -> None:
    trial.login(-10)
    assert trial.credentials.account_id == "account-1"
    trial.issuer.account_id = "account-2"
    assert (await trial.credentials.current()).account_id == "account-2"
    assert trial.credentials.account_id == trial.held()["tokens"]["account_id"] == "account-2"


async def test_a_refresh_token_that_comes_alone_is_kept(trial: Trial) -> None:
    before = trial.login(-10)
    trial.issuer.omit_access_token = True
    refusal = await trial.refused()
    assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_FAILED, "login_refresh_failed")
    trial.check_saved(before)
    trial.issuer.omit_access_token = False
    trial.clock.advance(15)
    token = await trial.token()
    assert token != before
    trial.check_saved(token)


async def test_what_else_the_file_holds_stays(trial: Trial) -> None:
    trial.login(-10)
    body = {
        **trial.held(),
        "OPENAI_API_KEY": "sk-0123456789abcdef",
        "auth_mode": "chatgpt",
        "n": [1, {"é": None}],
    }
    body["tokens"]["extra"] = {"a": 1}
    trial.secrets.append("sk-0123456789abcdef")
    trial.own.write_text(json.dumps(body))
    token = await trial.token()
    trial.check_saved(token)
    after = trial.held()
    assert after["tokens"]["extra"] == {"a": 1}
    changed = {"tokens", "last_refresh"}
    assert {key: after[key] for key in after if key not in changed} == {
        key: body[key] for key in body if key not in changed
    }
    assert after["last_refresh"] == "2026-07-26T10:00:00Z"
    assert [path.name for path in trial.own.parent.iterdir() if path.name.startswith(".")] == []


async def test_a_login_without_a_refresh_token_lasts_until_its_end(trial: Trial) -> None:
    answer = trial.issue(100)
    trial.put({**answer, "refresh_token": ""})
    assert await trial.token() == answer["access_token"]
    assert (await trial.refused(trial.credentials.renewed(await trial.ask()))).code == "login_required"
    trial.now += 100
    assert (await trial.refused()).code == "login_required"
    assert trial.calls == 0


# --- tokens that the backend refuses


async def test_a_refused_token_is_replaced(trial: Trial) -> None:
    refused = Credential(Secret(trial.login(3600)))
    renewed = revealed(await trial.credentials.renewed(refused))
    assert trial.calls == 1
    trial.check_saved(renewed)
    assert revealed(await trial.credentials.renewed(refused)) == renewed
    assert trial.calls == 1


async def test_a_new_token_that_is_refused_too_is_not_replaced_at_once(trial: Trial) -> None:
    refused = Credential(Secret(trial.login(3600)))
    renewed = await trial.credentials.renewed(refused)
    assert renewed is not None
    for _ in range(3):
        assert await trial.credentials.renewed(renewed) is None
    assert trial.calls == 1
    trial.clock.advance(60)
    assert await trial.credentials.renewed(renewed) not in (None, renewed)
    assert trial.calls == 2


async def test_a_token_in_the_file_takes_a_refused_one_s_place(trial: Trial) -> None:
    refused = Credential(Secret(trial.login(3600)))
    assert await trial.credentials.current() == attrs.evolve(refused, account_id="account-1")
    other = trial.login(3600)
    assert revealed(await trial.credentials.renewed(refused)) == other
    assert trial.calls == 0


async def test_a_token_in_the_file_that_has_ended_is_refreshed(trial: Trial) -> None:
    refused = Credential(Secret(trial.login(3600)))
    await trial.token()
    ended = trial.login(-10)
    renewed = revealed(await trial.credentials.renewed(refused))
    assert renewed not in (ended, revealed(refused))
    assert trial.calls == 1


# --- logins that have ended


@pytest.mark.parametrize("seconds", [-10, 10, 200])
@pytest.mark.parametrize("code", [*sorted(LOG_IN_AGAIN), "code_of_next_year"])
async def test_an_ended_login_is_asked_for_once_and_said_to_all(
    trial: Trial, code: str, seconds: int
) -> None:
    before = trial.login(seconds)
    trial.issuer.refuse(code)
    if seconds == 200:
        assert await trial.token() == before
        await trial.refreshed()
    for asking in (trial.ask, trial.ask, trial.fresh().current):
        refusal = await trial.refused(asking())
        assert (refusal.kind, refusal.code) == (Kind.UNAUTHENTICATED, "login_required")
        assert "run: chatmock login" in refusal.message
        assert code in refusal.message
        trial.clock.advance(100)
    assert trial.calls == 1
    assert trial.held()["login_needed"] == code
    assert trial.credentials.ready, "who asks is told, and not sent elsewhere"
    answer = trial.issue(3600)
    assert keep_login(trial.own.parent, issued(answer, trial.now), trial.now) is None
    trial.clock.advance(1)
    assert await trial.token() == answer["access_token"]
    assert "login_needed" not in trial.held()


async def test_what_the_issuer_repeats_is_not_told(trial: Trial) -> None:
    trial.login(-10)
    spent = trial.held()["tokens"]["refresh_token"]
    said = f"The token {spent} is not valid"
    trial.issuer.answers.append(Answer(500, {"error": {"code": "odd_error", "message": said}}))
    assert "The token" in (await trial.refused()).message
    trial.clock.advance(20)
    trial.issuer.answers.append(Answer(400, {"error": "invalid_grant", "error_description": said}))
    assert (await trial.refused()).code == "login_required"


async def test_a_login_of_who_does_not_know_the_lock_is_adopted(trial: Trial) -> None:
    trial.login(-10)
    trial.issuer.delay = 0.02
    trial.issuer.refuse("refresh_token_reused")
    asking = trial.ask()
    await trial.asked()
    theirs = trial.login(3600)
    assert revealed(await asking) == theirs
    assert await trial.token() == theirs
    assert trial.calls == 1
    trial.check_saved(theirs)
    assert "login_needed" not in trial.held()


async def test_another_program_s_login_is_no_reason_to_forget_that_ours_has_ended(trial: Trial) -> None:
    trial.files.foreign[0].parent.mkdir()
    trial.login(3600, trial.files.foreign[0])
    trial.login(-10)
    trial.issuer.refuse("refresh_token_reused")
    assert (await trial.refused()).code == "login_required"
    assert trial.held()["login_needed"] == "refresh_token_reused"


# --- faults that pass

PASSING = {
    "500": Answer(500, {}),
    "429": Answer(429, {"error": {"code": "rate_limit_exceeded", "message": "Slow down."}}),
    "from the wrong country": Answer(403, {"error": {"code": "unsupported_country_region_territory"}}),
    "not now": Answer(400, {"error": "temporarily_unavailable"}),
    "somebody's page": Answer(401, b"<html>Who are you?</html>"),
    "drop": "drop",
    "garbage": Answer(200, b"<html>Log in to the hotel's network</html>"),
    "half": Answer(200, b'{"id_token": "a.b.c", "acc'),
    "no tokens": Answer(200, {"token_type": "Bearer"}),
    "wrong tokens": Answer(200, {"id_token": "", "access_token": 5}),
}


@pytest.mark.parametrize("seconds", [10, 200])
@pytest.mark.parametrize("fault", PASSING)
async def test_a_passing_fault_leaves_a_good_token_in_use(trial: Trial, fault: str, seconds: int) -> None:
    before = trial.login(seconds)
    trial.issuer.answers.append(PASSING[fault])
    for _ in range(3):
        assert await trial.token() == before
        await trial.refreshed()
    assert trial.calls == 1
    assert trial.count("could not be refreshed yet") == 1
    trial.clock.advance(15)
    await trial.token()
    await trial.refreshed()
    token = await trial.token()
    assert token != before
    trial.check_saved(token)
    assert trial.calls == 2


async def test_a_fault_that_nobody_waited_for_is_told_at_the_end(trial: Trial) -> None:
    before = trial.login(200)
    trial.issuer.answers += [Answer(500, {}), Answer(500, {})]
    assert await trial.token() == before
    await trial.refreshed()
    trial.now += 200
    assert (await trial.refused()).code == "login_refresh_failed"
    assert trial.calls == 1
    trial.clock.advance(15)
    assert (await trial.refused()).code == "login_refresh_failed"
    trial.clock.advance(15)
    trial.check_saved(await trial.token())
    assert trial.calls == 3


@pytest.mark.parametrize("fault", PASSING)
async def test_a_passing_fault_with_an_ended_token_is_told(trial: Trial, fault: str) -> None:
    before = trial.login(-10)
    trial.issuer.answers.append(PASSING[fault])
    for _ in range(3):
        refusal = await trial.refused()
        assert refusal.kind is Kind.UPSTREAM_FAILED
        assert refusal.message.startswith("ChatGPT's login server ")
    assert trial.calls == 1, "it is not asked again for a while"
    assert trial.held()["tokens"]["access_token"] == before
    assert "login_needed" not in trial.held()
    trial.clock.advance(15)
    trial.check_saved(await trial.token())
    assert trial.calls == 2


@pytest.mark.parametrize("seconds", [-10, 10, 200])
async def test_an_issuer_that_is_silent_is_not_waited_for_long(trial: Trial, seconds: int) -> None:
    before = trial.login(seconds)
    trial.issuer.delay = 60
    trial.issuer.answers.append(Answer(500, {}))
    asking = trial.ask()
    await trial.asked()
    assert asking.called == (seconds == 200)
    trial.clock.advance(19.9)
    assert trial.credentials._refreshing is not None
    assert asking.called == (seconds == 200)
    trial.clock.advance(0.1)
    await trial.refreshed()
    assert asking.called
    if seconds > 0:
        assert revealed(await asking) == before
    else:
        refusal = await trial.refused(asking)
        assert refusal.kind is Kind.UPSTREAM_TIMED_OUT
        assert "within 20 s" in refusal.message
    assert trial.count("within 20 s") >= 1
    trial.issuer.delay = 0
    trial.clock.advance(15)
    await trial.token()
    await trial.refreshed()
    token = await trial.token()
    assert token != before
    trial.check_saved(token)


async def test_an_issuer_that_is_not_there(trial: Trial) -> None:
    trial.login(-10)
    trial.credentials._issuer = attrs.evolve(trial.credentials._issuer, url="http://127.0.0.1:1")
    refusal = await trial.refused()
    assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_FAILED, "upstream_connect")


async def test_an_answer_that_was_lost_ends_in_one_clear_word(trial: Trial) -> None:
    trial.login(-10)
    trial.issuer.answers.append("lose")
    assert (await trial.refused()).kind is Kind.UPSTREAM_FAILED
    trial.clock.advance(15)
    for _ in range(3):
        assert (await trial.refused()).code == "login_required"
    assert trial.calls == 2


async def test_a_fault_of_our_own_is_logged_and_ends_no_later_try(
    trial: Trial, logged_faults: list[str]
) -> None:
    trial.login(-10)
    login, faults = trial.credentials._login, [ZeroDivisionError("division by zero")]
    in_thread = login._in_thread

    def faulty(*call: Any) -> Deferred[Any]:
        if faults:
            raise faults.pop()
        return in_thread(*call)

    login._in_thread = faulty
    refusal = await trial.refused()
    assert (refusal.kind, refusal.status) == (Kind.INTERNAL, 500)
    assert len(logged_faults) == 1
    assert "division by zero" in logged_faults.pop()
    trial.clock.advance(15)
    trial.check_saved(await trial.token())


# --- a login that cannot be written


@attrs.frozen
class Obstacle:
    """Something that keeps the file from being written."""

    put: Callable[[Path], object]
    take_away: Callable[[Path], object]


def _folder_in_the_way(path: Path) -> None:
    path.rename(path.with_name("aside"))
    path.mkdir()


def _folder_away(path: Path) -> None:
    path.rmdir()
    path.with_name("aside").rename(path)


def _writes_everywhere() -> bool:
    """Whether modes stop nobody here, as is so for root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o500)
        return os.access(folder, os.W_OK)


OBSTACLES = [
    pytest.param(Obstacle(_folder_in_the_way, _folder_away), id="folder in the way"),
    pytest.param(
        Obstacle(lambda path: path.parent.chmod(0o500), lambda path: path.parent.chmod(0o700)),
        id="folder of mode 0500",
        marks=pytest.mark.skipif(_writes_everywhere(), reason="root may write everywhere"),
    ),
]


async def unsaved(trial: Trial, obstacle: Obstacle, logged_faults: list[str]) -> tuple[str, str]:
    """Refresh a login while it cannot be written; the old token and the new one."""
    before = trial.login(-10)
    lock = login_lock(trial.own)
    assert lock.try_acquire()  # makes the file, which the obstacle would prevent
    lock.release()
    trial.issuer.delay = 0.02
    asking = trial.ask()
    await trial.asked()
    obstacle.put(trial.own)
    token = revealed(await asking)
    assert token != before
    assert len(logged_faults) == 1
    assert "cannot be written" in logged_faults.pop()
    return before, token


FOLDER = Obstacle(_folder_in_the_way, _folder_away)


@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_what_cannot_be_written_is_used_and_written_later(
    trial: Trial, logged_faults: list[str], obstacle: Obstacle
) -> None:
    _, token = await unsaved(trial, obstacle, logged_faults)
    trial.clock.advance(30)
    assert await trial.token() == token
    trial.clock.advance(30)
    await until(lambda: bool(logged_faults))
    logged_faults.clear()
    assert await trial.token() == token
    obstacle.take_away(trial.own)
    trial.clock.advance(60)
    await until(lambda: trial.held()["tokens"]["access_token"] == token)
    trial.check_saved(token)
    await until(lambda: not trial.credentials._login.unsaved)
    trial.clock.advance(60)
    assert await trial.token() == token
    assert trial.calls == 1


@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_what_cannot_be_written_is_written_at_the_stop(
    trial: Trial, logged_faults: list[str], obstacle: Obstacle
) -> None:
    _, token = await unsaved(trial, obstacle, logged_faults)
    obstacle.take_away(trial.own)
    await trial.credentials.stop()
    trial.check_saved(token)


async def test_what_cannot_be_written_is_written_before_the_next_refresh(
    trial: Trial, logged_faults: list[str]
) -> None:
    _, token = await unsaved(trial, FOLDER, logged_faults)
    _folder_away(trial.own)
    trial.now += 3600
    again = await trial.token()
    assert again != token
    assert trial.calls == 2
    trial.check_saved(again)
    await until(lambda: not trial.credentials._login.unsaved)


async def test_a_logout_counts_for_a_login_that_was_not_written(
    trial: Trial, logged_faults: list[str]
) -> None:
    await unsaved(trial, FOLDER, logged_faults)
    trial.own.rmdir()
    trial.clock.advance(1)
    assert not trial.credentials.ready
    trial.clock.advance(60)
    await trial.credentials.stop()
    assert not trial.own.exists()


async def test_a_new_login_counts_before_one_that_was_not_written(
    trial: Trial, logged_faults: list[str]
) -> None:
    await unsaved(trial, FOLDER, logged_faults)
    trial.own.rmdir()
    other = trial.login(3600)
    trial.clock.advance(1)
    assert await trial.token() == other
    trial.clock.advance(60)
    await trial.credentials.stop()
    trial.check_saved(other)


async def test_a_new_login_clears_an_end_that_was_not_written(trial: Trial, logged_faults: list[str]) -> None:
    trial.login(-10)
    trial.issuer.delay = 0.02
    trial.issuer.refuse("invalid_grant")
    asking = trial.ask()
    await trial.asked()
    _folder_in_the_way(trial.own)
    assert (await trial.refused(asking)).code == "login_required"
    trial.clock.advance(1)
    assert (await trial.refused()).code == "login_required"
    assert "cannot be written" in logged_faults.pop()
    assert trial.calls == 1
    trial.own.rmdir()
    other = trial.login(3600)
    trial.clock.advance(1)
    assert await trial.token() == other


@pytest.mark.parametrize("seconds", [-10, 200])
async def test_no_refresh_token_is_spent_where_the_lock_cannot_be_made(trial: Trial, seconds: int) -> None:
    before = trial.login(seconds)
    lock = trial.own.with_name("auth.json.lock")
    lock.mkdir()
    if seconds > 0:
        assert await trial.token() == before
        await trial.refreshed()
    else:
        refusal = await trial.refused()
        assert (refusal.kind, refusal.code) == (Kind.INTERNAL, "login_folder")
    assert trial.count("check its owner and mode") >= 1
    assert trial.calls == 0
    lock.rmdir()
    trial.clock.advance(15)
    await trial.token()
    await trial.refreshed()
    token = await trial.token()
    assert token != before
    trial.check_saved(token)


# --- other programs and other processes


async def test_another_program_s_login_is_only_read(trial: Trial) -> None:
    path = trial.files.foreign[0]
    path.parent.mkdir()
    token = trial.login(200, path)
    before = path.read_bytes()
    assert await trial.token() == token
    assert await trial.credentials.renewed(Credential(Secret(token))) is None
    trial.now += 199
    assert await trial.token() == token
    trial.now += 1
    refusal = await trial.refused()
    assert (refusal.kind, refusal.code) == (Kind.UNAUTHENTICATED, "login_required")
    assert trial.calls == 0
    assert path.read_bytes() == before
    assert not trial.own.parent.exists()
    other = trial.login(3600, path)
    trial.clock.advance(1)
    assert await trial.token() == other
    trial.own.parent.mkdir()
    own = trial.login(3600)
    trial.clock.advance(1)
    assert await trial.token() == own


HOLD = """
import fcntl, os, sys
file = os.open(sys.argv[1] + ".lock", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
if data := sys.stdin.buffer.read():
    with open(sys.argv[1] + ".new", "wb") as new:
        new.write(data)
    os.chmod(sys.argv[1] + ".new", 0o600)
    os.replace(sys.argv[1] + ".new", sys.argv[1])
"""


@attrs.frozen
class Holder:
    """A process that holds the lock."""

    process: subprocess.Popen[bytes]

    def write(self, body: bytes) -> None:
        """Let it write *body* to the file, and end."""
        self.process.communicate(body, timeout=10)
        assert self.process.returncode == 0


@pytest.fixture
def holder(trial: Trial) -> Iterator[Holder]:
    """Another process that holds the lock."""
    trial.own.parent.mkdir()
    with subprocess.Popen(
        [sys.executable, "-S", "-c", HOLD, str(trial.own)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield Holder(process)
        process.kill()


async def wound(trial: Trial, asking: Deferred[Any], seconds: float = 1.0) -> None:
    """Wind the clock, by so many seconds in all, while threads and processes do their work."""
    for _ in range(int(seconds / 0.05)):
        if asking.called:
            return
        trial.clock.advance(0.05)
        await settle()


async def test_what_another_process_has_written_meanwhile_is_used(trial: Trial, holder: Holder) -> None:
    trial.login(-10)
    asking = trial.ask()
    await wound(trial, asking)
    assert not asking.called
    theirs = trial.issue(3600)
    holder.write(json.dumps({"tokens": {**theirs, "account_id": "account-9"}}).encode())
    await until(lambda: trial.clock.advance(0.05) or asking.called)
    assert await asking == Credential(Secret(theirs["access_token"]), "account-9")
    assert trial.calls == 0


async def test_a_process_that_has_died_leaves_the_lock(trial: Trial, holder: Holder) -> None:
    trial.login(-10)
    asking = trial.ask()
    await wound(trial, asking, 0.2)
    assert not asking.called
    holder.process.kill()
    holder.process.wait()
    await until(lambda: trial.clock.advance(0.05) or asking.called)
    trial.check_saved(revealed(await asking))


@pytest.mark.parametrize("seconds", [-10, 200])
async def test_a_lock_that_is_never_given_back_is_told(trial: Trial, holder: Holder, seconds: int) -> None:
    before = trial.login(seconds)
    asking = trial.ask()
    await wound(trial, asking, 0.2)
    assert asking.called == (seconds > 0)
    trial.clock.advance(60)
    await until(lambda: trial.clock.advance(0.05) or trial.credentials._refreshing is None)
    if seconds > 0:
        assert revealed(await asking) == before
        assert await trial.token() == before
    else:
        refusal = await trial.refused(asking)
        assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_TIMED_OUT, "login_locked")
    assert trial.count("is it stuck") >= 1
    assert trial.calls == 0


async def test_a_logout_while_it_waits_for_the_lock(trial: Trial) -> None:
    trial.login(-10)
    lock = login_lock(trial.own)
    assert lock.try_acquire()
    asking = trial.ask()
    await wound(trial, asking, 0.2)
    trial.own.unlink()
    lock.release()
    await until(lambda: trial.clock.advance(0.05) or asking.called)
    assert (await trial.refused(asking)).code == "login_required"
    assert trial.calls == 0


# --- the stop


@pytest.mark.parametrize("seconds", [-10, 200])
async def test_a_stop_waits_for_a_refresh_token_that_is_being_spent(trial: Trial, seconds: int) -> None:
    before = trial.login(seconds)
    trial.issuer.delay = 0.05
    asking = trial.ask()
    await trial.asked()
    stopping = Deferred.fromCoroutine(trial.credentials.stop())
    assert not stopping.called
    trial.clock.advance(19)
    assert not stopping.called, "the issuer has its time"
    await stopping
    token = trial.held()["tokens"]["access_token"]
    assert token != before
    trial.check_saved(token)
    assert revealed(await asking) == (before if seconds > 0 else token)
    assert trial.calls == 1


@pytest.mark.parametrize("seconds", [-10, 200])
async def test_a_stop_does_not_wait_for_the_lock(trial: Trial, holder: Holder, seconds: int) -> None:
    before = trial.login(seconds)
    asking = trial.ask()
    await wound(trial, Deferred(), 0.2)
    assert trial.credentials._refreshing is not None
    stopping = Deferred.fromCoroutine(trial.credentials.stop())
    assert stopping.called
    if seconds > 0:
        assert revealed(await asking) == before
    else:
        assert (await trial.refused(asking)).kind is Kind.CANCELLED
    holder.write(trial.own.read_bytes())
    await wound(trial, Deferred())
    assert trial.calls == 0
    assert trial.held()["tokens"]["access_token"] == before


async def test_a_stop_writes_what_is_unsaved_and_spends_nothing(
    trial: Trial, logged_faults: list[str]
) -> None:
    _, token = await unsaved(trial, FOLDER, logged_faults)
    _folder_away(trial.own)
    trial.now += 3600
    saving: list[Deferred[None]] = []
    in_thread = trial.credentials._login._in_thread

    def slowly(function: Any, *arguments: Any) -> Deferred[Any]:
        if function is not write_private or saving:
            return in_thread(function, *arguments)
        saving.append(Deferred())
        return saving[-1].addCallback(lambda _: in_thread(function, *arguments))

    trial.credentials._login._in_thread = slowly
    asking = trial.ask()
    await until(lambda: bool(saving))
    stopping = Deferred.fromCoroutine(trial.credentials.stop())
    assert not stopping.called
    saving[0].callback(None)
    await stopping
    assert (await trial.refused(asking)).kind is Kind.CANCELLED
    assert trial.calls == 1
    trial.check_saved(token)


async def test_no_refresh_begins_after_the_stop(trial: Trial) -> None:
    trial.login(-10)
    await trial.credentials.stop()
    assert (await trial.refused()).kind is Kind.CANCELLED
    for seconds in (10, 200):
        token = trial.login(seconds)
        trial.clock.advance(1)
        assert await trial.token() == token
        await settle()
        assert trial.credentials._refreshing is None
    assert trial.calls == 0


async def test_a_stop_does_not_wait_for_ever(trial: Trial) -> None:
    trial.login(-10)
    trial.issuer.delay = 60
    asking = trial.ask()
    await trial.asked()
    stopping = Deferred.fromCoroutine(trial.credentials.stop())
    trial.clock.advance(19.9)
    assert not stopping.called
    trial.clock.advance(0.1)
    await stopping
    assert (await trial.refused(asking)).kind is Kind.UPSTREAM_TIMED_OUT
    assert (await trial.refused()).code == "login_refresh_failed"
    assert trial.calls == 1


async def test_a_stop_tells_of_a_refresh_that_has_failed(trial: Trial) -> None:
    trial.login(-10)
    trial.issuer.delay = 0.02
    trial.issuer.answers.append(Answer(500, {}))
    asking = trial.ask()
    await trial.asked()
    await trial.credentials.stop()
    assert (await trial.refused(asking)).code == "login_refresh_failed"
    assert trial.count("is not refreshed at the stop") == 1


# --- answers that leave something out


async def test_an_answer_without_an_id_token_keeps_the_old_one(trial: Trial) -> None:
    trial.login(-10)
    before = trial.held()["tokens"]
    trial.issuer.omit_id_token = True
    trial.check_saved(await trial.token())
    after = trial.held()["tokens"]
    assert (after["id_token"], after["account_id"]) == (before["id_token"], "account-1")
    assert after["refresh_token"] != before["refresh_token"]
