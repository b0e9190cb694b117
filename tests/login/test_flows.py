"""Logging in with a browser, end to end over real HTTP, by the callback server and by the pasted address."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError
from twisted.internet.threads import deferToThread

from chatmock.login import pages as login_pages
from chatmock.login.callback import PortInUse
from chatmock.login.flows import browser_login
from chatmock.providers.chatgpt import oauth
from chatmock.providers.chatgpt.oauth import LoginFailed
from tests.conftest import until
from tests.login.trial import Trial, failure, fetch, has_ipv6, trying, visit
from tests.upstreams.issuer_answers import Answer


@pytest_twisted.async_yield_fixture()
async def trial() -> AsyncIterator[Trial]:
    """A login against a fake issuer."""
    async with trying() as trial:
        yield trial


async def test_a_login_with_a_browser(trial: Trial) -> None:
    running = await trial.start()
    page = await visit(await trial.redirect())
    trial.check(await running)
    assert page.status == 200
    assert "You are logged in" in page.text
    assert trial.issuer.exchanges == 1
    assert trial.opened[0] in trial.said[0]
    assert not trial.typing.awaited
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
    "query",
    [
        "code=c&state=wrong",
        "code=c",
        "",
        "state={state}",
        "error=access_denied&state=x",
        "error=access_denied&error_description=Call+this+number",
    ],
)
async def test_a_stray_callback_is_refused_and_told_and_the_right_one_counts(
    trial: Trial, query: str
) -> None:
    running = await trial.start()
    stray = await visit(f"{trial.callback}?{query.format(**trial.query)}")
    assert stray.status == 400
    assert "ignored this page" in stray.text
    assert "Still waiting" in trial.said[1]
    assert "number" not in stray.text + trial.said[1]
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
        ("GET", "/%ff", {}, 400),
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


async def test_a_refusal_ends_the_login_and_its_words_are_escaped(trial: Trial) -> None:
    running = await trial.start()
    state = f"&state={trial.query['state']}"
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
    assert "It was interrupted" in (await page).text
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


@pytest.mark.parametrize("make", [login_pages.failure_page, login_pages.stray_page, login_pages.refused_page])
def test_every_page_escapes(make: Callable[[str], bytes]) -> None:
    page = make("<img src=x onerror='y'>&\"")
    assert b"<img" not in page
    assert b"&lt;img src=x onerror=&#x27;y&#x27;&gt;&amp;&quot;" in page
