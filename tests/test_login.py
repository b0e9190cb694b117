"""Logging in, end to end over real HTTP: a fake issuer, the callback server, and a browser played in a thread."""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredQueue
from twisted.internet.threads import deferToThread

from chatmock import login_pages
from chatmock.login import Browser, Login, browser_login, device_login
from chatmock.login_callback import PortInUse
from chatmock.providers.chatgpt import oauth
from chatmock.providers.chatgpt.oauth import LoginFailed
from chatmock.providers.chatgpt.tokens import Tokens, owner
from chatmock.upstream import UpstreamClient, read_start
from tests.conftest import settle, until
from tests.upstreams.answering_site import Answer
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


@pytest_twisted.async_yield_fixture()
async def trial() -> AsyncIterator[Trial]:
    """A login against a fake issuer."""
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


async def test_a_login_with_a_browser(trial: Trial) -> None:
    running = await trial.start()
    page = await visit(await trial.redirect())
    trial.check(await running)
    assert page.status == 200
    assert "You are logged in" in page.text
    assert trial.issuer.exchanges == 1
    assert trial.opened[0] in trial.said[0]
    assert "paste it here" in trial.said[0]


async def test_nothing_secret_is_told_or_shown(trial: Trial) -> None:
    running = await trial.start()
    address = await trial.redirect()
    page = await visit(address)
    tokens = await running
    code = parse_qs(urlsplit(address).query)["code"][0]
    verifier = oauth.pkce(bytes(range(64))).verifier.reveal()
    told = " ".join(
        [page.text, *page.headers.values(), *trial.said, *trial.access, *trial.opened, repr(tokens)]
    )
    for secret in [code, verifier, *(t.reveal() for t in (tokens.id_token, tokens.access_token))]:
        assert secret not in told
    assert trial.access == ["127.0.0.1 GET /auth/callback 200"] or trial.access == [
        "::1 GET /auth/callback 200"
    ]


async def test_the_pages_are_closed_in(trial: Trial) -> None:
    running = await trial.start()
    page = await visit(await trial.redirect())
    await running
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    (style,) = re.findall("<style>(.*?)</style>", page.text)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script|src=|href=|url\(|@import", page.text)


@pytest.mark.parametrize("whole", [True, False])
async def test_a_login_by_the_pasted_address(trial: Trial, whole: bool) -> None:
    running = await trial.start()
    address = await trial.redirect()
    trial.typing.type("")
    trial.typing.type(f"  {address if whole else urlsplit(address).query}  \r")
    trial.check(await running)


async def test_what_is_pasted_wrongly_is_told_and_the_next_line_counts(trial: Trial) -> None:
    running = await trial.start()
    address = await trial.redirect()
    state = trial.query["state"]
    wrong = [
        "hello",
        f"{trial.callback}?code=c",
        f"{trial.callback}?code=c&state=0",
        f"{trial.callback}?state={state}",
    ]
    for line in [*wrong, " ", address]:
        trial.typing.type(line)
    trial.check(await running)
    said = trial.said[1:]
    assert len(said) == len(wrong)
    for text, why in zip(said, ["no state", "no state", "another login", "no code"], strict=True):
        assert why in text
        assert "Paste the whole address" in text
    assert trial.issuer.exchanges == 1
    assert len(trial.issuer.calls("/oauth/token")) == 1


async def test_the_end_of_the_input_ends_only_the_reading(trial: Trial) -> None:
    running = await trial.start()
    trial.typing.type(None)
    await visit(await trial.redirect())
    trial.check(await running)


async def test_a_refusal_that_is_pasted_ends_the_login(trial: Trial) -> None:
    trial.issuer.denial = {"error": "access_denied", "error_description": "You said no."}
    running = await trial.start()
    trial.typing.type(await trial.redirect())
    failed = await failure(running)
    assert failed.code == "access_denied"
    assert "You said no (access_denied)" in failed.message


@pytest.mark.parametrize(
    "query", ["code=c&state=wrong", "code=c", "", "state={state}", "error=access_denied&state=x"]
)
async def test_a_stray_callback_is_refused_and_told_and_the_right_one_counts(
    trial: Trial, query: str
) -> None:
    running = await trial.start()
    stray = await visit(f"{trial.callback}?{query.format(**trial.query)}")
    assert stray.status == 400
    assert "ignored this page" in stray.text
    assert "Still waiting" in trial.said[1]
    assert trial.issuer.calls("/oauth/token") == []
    page = await visit(await trial.redirect())
    assert page.status == 200
    trial.check(await running)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/favicon.ico", {}, 404),
        ("GET", "/", {}, 404),
        ("GET", "/auth/callback/", {}, 404),
        ("GET", "/%ff", {}, 404),
        ("GET", "/success", {}, 200),
        ("HEAD", "/auth/callback?error=access_denied", {}, 405),
        ("POST", "/auth/callback?error=access_denied", {}, 405),
        ("OPTIONS", "/auth/callback", {}, 405),
        ("BREW", "/auth/callback", {}, 405),
        ("GET", "/auth/callback?error=access_denied", {"Host": "evil.example"}, 400),
        ("GET", "/auth/callback?error=access_denied", {"Host": "localhost"}, 400),
        ("GET", "/auth/callback?error=access_denied", {"Sec-Fetch-Dest": "image"}, 403),
    ],
)
async def test_requests_that_are_no_callback_end_nothing(
    trial: Trial, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    running = await trial.start()
    root = trial.callback.removesuffix("/auth/callback")
    other = await visit(f"{root}{path}", method, headers)
    assert other.status == status
    assert "logged in" not in other.text.replace("Not logged in yet", "")
    assert other.headers["cache-control"] == "no-store"
    assert not running.called
    page = await visit(await trial.redirect(), headers={"Sec-Fetch-Dest": "document"})
    assert page.status == 200
    trial.check(await running)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
@pytest.mark.parametrize("at", ["127.0.0.1", "::1"])
async def test_both_loopbacks_answer_by_every_name(trial: Trial, name: str, at: str) -> None:
    if at == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    running = await trial.start()
    address = (await trial.redirect()).replace("http://localhost", f"http://{name}")
    page = await visit(address, at=at)
    assert page.status == 200
    trial.check(await running)


async def test_another_bind_address_is_a_name_too(trial: Trial) -> None:
    trial.browser = attrs.evolve(trial.browser, host="127.0.0.2")
    running = await trial.start()
    address = (await trial.redirect()).replace("http://localhost", "http://127.0.0.2")
    assert (await visit(address)).status == 200
    trial.check(await running)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("with_state", [True, False])
async def test_a_refusal_ends_the_login_and_its_words_are_escaped(trial: Trial, with_state: bool) -> None:
    running = await trial.start()
    state = f"&state={trial.query['state']}" if with_state else ""
    words = "<script>alert(1)</script>&\"'"
    page = await visit(
        f"{trial.callback}?error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E%26%22%27{state}"
    )
    failed = await failure(running)
    assert words in failed.message
    assert page.status == 403
    assert "<script" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#x27;" in page.text
    assert trial.saved == []


async def test_a_failed_exchange_is_told_on_the_page_too(trial: Trial) -> None:
    body = {"error": "invalid_grant", "error_description": "The <b>code</b> is too old."}
    trial.issuer.answers.append(Answer(400, body))
    running = await trial.start()
    page = await visit(await trial.redirect())
    failed = await failure(running)
    assert (failed.code, failed.final) == ("invalid_grant", True)
    assert page.status == 500
    assert "The login failed" in page.text
    assert "The &lt;b&gt;code&lt;/b&gt; is too old" in page.text
    assert trial.saved == []


@pytest.mark.parametrize(
    "answer", ["drop", "lose", Answer(500, b"<html>"), Answer(200, {}), Answer(200, b"<html>")]
)
async def test_an_issuer_that_is_ill_fails_the_login(trial: Trial, answer: Answer | str) -> None:
    trial.issuer.answers.append(answer)
    running = await trial.start()
    page = await visit(await trial.redirect())
    failed = await failure(running)
    assert page.status == 500
    assert "try again" in failed.message or "in its place" in failed.message
    assert "<html>" not in failed.message


async def test_a_login_that_cannot_be_kept_is_told_on_the_page(trial: Trial) -> None:
    trial.fault = LoginFailed("The login cannot be kept: disk full.")
    running = await trial.start()
    page = await visit(await trial.redirect())
    assert await failure(running) is trial.fault
    assert page.status == 500
    assert "disk full" in page.text


async def test_the_page_waits_for_the_exchange_and_a_reload_exchanges_nothing_again(trial: Trial) -> None:
    trial.issuer.delay = 0.2
    running = await trial.start()
    address = await trial.redirect()
    first = deferToThread(fetch, address)
    await until(lambda: trial.issuer.exchanges == 1)
    second = deferToThread(fetch, address)
    trial.typing.type(address)
    trial.check(await running)
    pages = [await first, await second]
    assert [page.status for page in pages] == [200, 200]
    assert len(trial.issuer.calls("/oauth/token")) == 1


async def test_a_browser_that_leaves_does_not_lose_the_login(trial: Trial) -> None:
    trial.issuer.delay = 0.1
    running = await trial.start()
    parts = urlsplit(await trial.redirect())
    assert parts.port is not None
    with socket.create_connection(("127.0.0.1", parts.port)) as connection:
        connection.sendall(
            f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        )
        await until(lambda: trial.issuer.exchanges == 1)
    trial.check(await running)


async def test_an_idle_connection_does_not_hold_up_the_end(trial: Trial) -> None:
    running = await trial.start()
    address = await trial.redirect()
    with socket.create_connection(("127.0.0.1", urlsplit(address).port or 0)) as idle:
        assert (await visit(address)).status == 200
        trial.check(await running)
        assert await deferToThread(idle.recv, 1) == b""


async def test_nobody_logs_in(trial: Trial) -> None:
    trial.login = attrs.evolve(trial.login, timeout=0.05)
    running = await trial.start()
    failed = await failure(running)
    assert "Nobody logged in within 0.05 seconds" in failed.message
    with pytest.raises(ConnectionRefusedError):
        await visit(trial.callback, at="127.0.0.1")


async def test_an_exchange_that_has_begun_in_time_is_waited_for(trial: Trial) -> None:
    trial.issuer.delay = 0.6
    trial.login = attrs.evolve(trial.login, timeout=0.3)
    running = await trial.start()
    trial.typing.type(await trial.redirect())
    trial.check(await running)


async def test_an_interrupted_login_leaves_nothing_behind(trial: Trial) -> None:
    trial.issuer.delay = 30.0
    running = await trial.start()
    page = deferToThread(fetch, await trial.redirect())
    await until(lambda: trial.issuer.exchanges == 1)
    running.cancel()
    with pytest.raises(CancelledError):
        await running
    assert (await page).status == 500
    assert trial.saved == []


@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
async def test_a_port_that_is_taken(trial: Trial, taken: str) -> None:
    if taken == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    with socket.create_server((taken, 0), family=family) as server:
        trial.browser = attrs.evolve(trial.browser, port=server.getsockname()[1])
        with pytest.raises(PortInUse, match="in use"):
            await browser_login(trial.login, trial.browser)
    assert trial.opened == []


async def test_a_second_login_finds_the_port_taken(trial: Trial) -> None:
    running = await trial.start()
    port = urlsplit(trial.callback).port or 0
    with pytest.raises(PortInUse):
        await browser_login(trial.login, attrs.evolve(trial.browser, port=port))
    await visit(await trial.redirect())
    trial.check(await running)


async def test_an_address_that_is_not_this_machines(trial: Trial) -> None:
    trial.browser = attrs.evolve(trial.browser, host="192.0.2.1")
    failed = await failure(browser_login(trial.login, trial.browser))
    assert "192.0.2.1" in failed.message
    assert "CHATGPT_LOCAL_LOGIN_BIND" in failed.message


async def test_without_a_console_nobody_is_told_to_paste(trial: Trial) -> None:
    trial.browser = attrs.evolve(trial.browser, lines=None)
    running = await trial.start()
    await visit(await trial.redirect())
    trial.check(await running)
    assert "paste" not in trial.said[0]
    assert "ssh -L" in trial.said[0]


# --- with a code


async def test_a_login_with_a_code(trial: Trial) -> None:
    trial.issuer.pending(1, 403)
    tokens = await trial.start_device()
    trial.check(tokens)
    assert f"{trial.issuer.url}/codex/device" in trial.said[0]
    assert "ABCD-12345" in trial.said[0]
    assert len(trial.issuer.calls("/api/accounts/deviceauth/token")) == 2
    (exchange,) = trial.issuer.calls("/oauth/token")
    assert exchange.fields["redirect_uri"] == f"{trial.issuer.url}/deviceauth/callback"


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


# --- the fake itself, since other tests build on it


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
    from tests.upstreams.answering_site import Asked

    right = {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": "http://localhost:1455/auth/callback",
        "scope": "openid profile email offline_access",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
        "state": "s" * 16,
    }
    answer = OpenAIIssuer(reactor).answer(Asked("GET", "/oauth/authorize", {}, {**right, **change}))
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


@pytest.mark.parametrize("make", [login_pages.failure_page, login_pages.stray_page, login_pages.refused_page])
def test_every_page_escapes(make: Callable[[str], bytes]) -> None:
    page = make("<img src=x onerror='y'>&\"")
    assert b"<img" not in page
    assert b"&lt;img src=x onerror=&#x27;y&#x27;&gt;&amp;&quot;" in page
