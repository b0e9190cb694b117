"""P10 and P11: no page in a browser on the LAN spends the account, reads an answer or locks anybody out."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock.settings import Secret
from tests.chunks import completion
from tests.conftest import KEY, Daemon, Start
from tests.security.saying import CHAT, ask, reach, say
from tests.upstreams.openai_server import OpenAIServer

APP = ("Origin", "https://app.lan")
EVIL = ("Origin", "https://evil.example")
JSON = ("Content-Type", "application/json")
CROSS = ("Sec-Fetch-Site", "cross-site")
ROUTES = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/m"),
    ("GET", "/v1/usage"),
    ("GET", "/api/queue"),
    ("GET", "/nowhere"),
]


@pytest.fixture
def guarded(start: Start, upstream: OpenAIServer) -> Daemon:
    """A daemon with an upstream that must not be asked, for a page at https://app.lan."""
    upstream.reply_json(completion())
    return start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        cors_origins=("https://app.lan",),
        allowed_hosts=("box.lan",),
    )


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io", "localhost:0",
     "localhost:99999", "localhost:x", "box", "box.lan.", "user@localhost", "[::1", "127.1"],
)  # fmt: skip
async def test_names_of_others_reach_nothing(
    guarded: Daemon, upstream: OpenAIServer, host: str | None
) -> None:
    for method, target in [*ROUTES, ("GET", "/health"), ("OPTIONS", "/v1/models")]:
        answer = await ask(
            guarded, JSON, method=method, target=target, host=host, body=CHAT if method == "POST" else None
        )
        assert answer.status in (400, 421)
        assert host is None or not host or host.encode() not in answer.body
    assert upstream.chats() == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "192.168.1.5:8000", "[::1]:8000", "localhost", "LOCALHOST:1", "Box.lan:8443"]
)
async def test_own_names(guarded: Daemon, host: str) -> None:
    assert (await ask(guarded, host=host)).status == 200


async def test_two_hosts(guarded: Daemon) -> None:
    assert (await ask(guarded, ("Host", "127.0.0.1"))).status in (400, 421)
    assert (await ask(guarded, ("Host", "evil.example"))).status in (400, 421)


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://evil.example/v1/models", "127.0.0.1", 421),
        ("http://localhost@evil.example/v1/models", "127.0.0.1", 421),
        ("http://127.0.0.1/v1/models", "127.0.0.1", 200),
    ],
)
async def test_an_absolute_target_is_judged_by_itself(
    guarded: Daemon, target: str, host: str, status: int
) -> None:
    answer = await ask(guarded, target=target, host=host)
    assert answer.status == status or (status == 421 and answer.status == 400)


@pytest.mark.parametrize(("method", "target"), ROUTES)
@pytest.mark.parametrize(
    "fields",
    [
        [EVIL, JSON],
        [EVIL, ("Content-Type", "text/plain")],
        [EVIL, CROSS, JSON],
        [("Origin", "null"), JSON],
        [("Origin", "https://app.lan.evil.example"), JSON],
        [("Origin", "http://app.lan"), JSON],
        [APP, EVIL, JSON],
        [CROSS, ("Sec-Fetch-Mode", "no-cors"), JSON],
        [CROSS, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"), JSON],
        [("Sec-Fetch-Site", "same-site"), JSON],
    ],
)
async def test_foreign_pages_spend_and_read_nothing(
    guarded: Daemon, upstream: OpenAIServer, method: str, target: str, fields: list[tuple[str, str]]
) -> None:
    answer = await ask(
        guarded, *fields, method=method, target=target, body=CHAT if method == "POST" else None
    )
    assert (answer.status, answer.code) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in answer.fields
    assert answer.fields["vary"] == "Origin"
    assert upstream.chats() == []


async def test_a_refusal_does_not_wait_for_the_body(guarded: Daemon) -> None:
    answer = await say(
        guarded,
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
        b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
    )
    assert answer.status == 403


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_a_page_cannot_do_without_a_preflight(
    guarded: Daemon, upstream: OpenAIServer, kind: str | None
) -> None:
    for page in (APP, ("Sec-Fetch-Site", "same-origin")):
        fields = [page] if kind is None else [page, ("Content-Type", kind)]
        answer = await ask(guarded, *fields, method="POST", target="/v1/chat/completions", body=CHAT)
        assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert upstream.chats() == []


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_others_need_not_call_json_so(guarded: Daemon, kind: str | None) -> None:
    """As `curl -d` does not."""
    fields = [] if kind is None else [("Content-Type", kind)]
    answer = await ask(guarded, *fields, method="POST", target="/v1/chat/completions", body=CHAT)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("more", "body", "status"),
    [([JSON], CHAT, 200), ([JSON], {}, 400), ([("Content-Type", "text/plain")], CHAT, 415), ([JSON, ("Host", "x")], CHAT, 400)],
)  # fmt: skip
async def test_an_allowed_page_reads_answers_and_errors(
    guarded: Daemon, more: list[tuple[str, str]], body: Any, status: int
) -> None:
    answer = await ask(guarded, APP, CROSS, *more, method="POST", target="/v1/chat/completions", body=body)
    assert answer.status == status
    if len(more) == 1:  # two hosts are no request at all
        assert answer.fields["access-control-allow-origin"] == "https://app.lan"
        assert "retry-after" in answer.fields["access-control-expose-headers"]
        assert answer.fields["vary"] == "Origin"


async def test_an_allowed_page_reads_that_its_key_is_wrong(start: Start) -> None:
    daemon = start(require_auth=True, access_token=Secret("s3cret"), cors_origins=("https://app.lan",))
    for number in range(7):
        answer = await ask(daemon, APP, ("Authorization", "Bearer wrong"))
        assert answer.status == (401 if number < 5 else 429)
        assert answer.fields["access-control-allow-origin"] == "https://app.lan"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
async def test_all_answers_differ_by_origin(guarded: Daemon, origin: str | None) -> None:
    fields = [] if origin is None else [("Origin", origin)]
    for target in ("/health", "/v1/models", "/nowhere", "/"):
        assert (await ask(guarded, *fields, target=target)).fields["vary"] == "Origin"


async def test_preflight_needs_no_key_and_grants_only_what_is_fixed(start: Start) -> None:
    daemon = start(require_auth=True, access_token=Secret("s3cret"), cors_origins=("https://app.lan",))
    wish = [
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "x-evil, authorization"),
        ("Access-Control-Request-Private-Network", "true"),
    ]
    answer = await ask(daemon, APP, *wish, method="OPTIONS", target="/v1/chat/completions")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.fields["access-control-allow-origin"] == "https://app.lan"
    allowed = answer.fields["access-control-allow-headers"].split(", ")
    assert {"authorization", "content-type", "x-api-key", "anthropic-version", "anthropic-beta"} <= set(
        allowed
    )
    assert "x-evil" not in allowed
    assert not any("private" in name or "credentials" in name for name in answer.fields)
    for origin in (EVIL, ("Origin", "null")):
        refused = await ask(daemon, origin, *wish, method="OPTIONS", target="/v1/chat/completions")
        assert not any(name.startswith("access-control") for name in refused.fields)


async def test_every_page_only_if_it_is_spelled(start: Start) -> None:
    daemon = start(cors_origins=("*",))
    assert (await ask(daemon, EVIL)).fields["access-control-allow-origin"] == "*"
    assert (await ask(daemon, ("Origin", "null"))).status == 403
    assert (await ask(daemon, CROSS)).status == 403


async def test_pages_of_the_daemon_itself(guarded: Daemon) -> None:
    host = guarded.url.removeprefix("http://")
    own = [("Origin", guarded.url), ("Sec-Fetch-Site", "same-origin"), JSON]
    assert (
        await ask(guarded, *own, method="POST", target="/v1/chat/completions", body=CHAT, host=host)
    ).status == 200
    assert (await ask(guarded, ("Origin", f"https://{host}"), host=host)).status == 403
    assert (await ask(guarded, ("Origin", "http://127.0.0.1"), host=host)).status == 403
    rebound = [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "same-origin")]
    assert (await ask(guarded, *rebound, host="evil.example")).status == 421


async def test_somebody_types_an_address_or_follows_a_link(guarded: Daemon) -> None:
    document = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
    assert (await ask(guarded, ("Sec-Fetch-Site", "none"), *document)).status == 200
    assert (await ask(guarded, ("Sec-Fetch-Site", "same-origin"), *document)).status == 200
    assert (await ask(guarded, CROSS, *document, target="/")).status == 200
    assert (await ask(guarded, CROSS, ("Sec-Fetch-Mode", "no-cors"), target="/")).status == 403


async def test_no_page_locks_anybody_out(start: Start) -> None:
    daemon = start(require_auth=True, access_token=Secret("s3cret"))
    wrong = ("Authorization", "Bearer wrong")
    for _ in range(10):
        assert (await ask(daemon, EVIL, wrong)).status == 403
        assert (await ask(daemon, CROSS, wrong)).status == 403
        assert (await ask(daemon, wrong, host="evil.example")).status == 421
        assert (await ask(daemon, wrong, target="/health")).status == 200
        assert (await ask(daemon, EVIL, wrong, method="OPTIONS")).status == 204
    assert (await ask(daemon, wrong)).status == 401


async def test_the_rules_hold_over_tls(start: Start, tls_files: dict[str, Any]) -> None:
    daemon = start(**tls_files)
    assert (await ask(daemon)).status == 200
    assert (await ask(daemon, EVIL)).status == 403
    assert (await ask(daemon, host="evil.example")).status == 421
    host = daemon.url.removeprefix("https://")
    assert (await ask(daemon, ("Origin", daemon.url), host=host)).status == 200
    assert (await ask(daemon, ("Origin", f"http://{host}"), host=host)).status == 403
    client = await reach(daemon)
    client.leave()
    await client.lost
