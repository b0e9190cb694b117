"""P2, P3, P12 and P13: who needs a key shows one, in the same way everywhere, and cannot guess."""

from __future__ import annotations

import base64
import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

from chatmock.admission.client import Key
from chatmock.keys.database import KEYS_FILE
from chatmock.keys.entries import Entry, digest_of
from chatmock.keys.store import KeyStore
from chatmock.settings import Secret
from tests.conftest import Daemon, Start
from tests.security.saying import CHAT, Said, ask, say

ROUTES = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/demo"),
    ("GET", "/v1/usage"),
    ("GET", "/api/queue"),
    ("GET", "/readyz"),
    ("GET", "/not/yet/a/route"),
    ("POST", "/health"),
    ("DELETE", "/v1/models"),
]
WRONG = ("Authorization", "Bearer wrong")
RIGHT = ("Authorization", "Bearer s3cret")
PROXY = {"trusted_proxies": (ip_network("127.0.0.3/32"),)}


def basic(text: str) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(text.encode()).decode()


def lock(start: Start, **more: Any) -> Daemon:
    return start(require_auth=True, access_token=Secret("s3cret"), **more)


def shown(answer: Said) -> tuple[int, dict[str, str], bytes]:
    """The answer without what differs in each."""
    varying = ("date", "x-request-id")
    return answer.status, {k: v for k, v in answer.fields.items() if k not in varying}, answer.body


@pytest.mark.parametrize(("method", "target"), ROUTES)
async def test_every_route_needs_a_key_and_none_tells_wrong_from_missing(
    start: Start, method: str, target: str
) -> None:
    daemon = lock(start)
    body = CHAT if method == "POST" else None
    missing = await ask(daemon, method=method, target=target, body=body)
    assert missing.status == 401
    assert missing.fields["www-authenticate"] == "Bearer"
    assert b"s3cret" not in missing.body
    for number, field in enumerate([WRONG, ("x-api-key", "wrong"), basic("s3cret:wrong")]):
        wrong = await ask(daemon, field, method=method, target=target, body=body)
        assert shown(wrong) == shown(missing), number


@pytest.mark.parametrize(
    "field",
    [
        RIGHT,
        ("authorization", "bEaReR   s3cret"),
        ("X-Api-Key", "s3cret"),
        basic("anybody:s3cret"),
        basic(":s3cret"),
    ],
)
async def test_all_forms_of_the_right_key(start: Start, field: tuple[str, str]) -> None:
    daemon = lock(start)
    assert (await ask(daemon, field)).status == 200
    assert (await ask(daemon, field, method="POST", target="/v1/chat/completions", body={})).status == 400


@pytest.mark.parametrize(
    "fields",
    [
        [RIGHT, RIGHT],
        [RIGHT, WRONG],
        [WRONG, RIGHT],
        [RIGHT, ("x-api-key", "wrong")],
        [WRONG, ("x-api-key", "s3cret")],
        [("x-api-key", "s3cret"), ("x-api-key", "s3cret")],
        [("Authorization", "Bearer"), ("x-api-key", "s3cret")],
        [("Authorization", "s3cret")],
        [("Authorization", "Token s3cret")],
        [("Authorization", "Bearer s3cret, Bearer s3cret")],
        [("Authorization", "Bearer s3cretx")],
        [("Authorization", "Bearer s3cre")],
        [("Authorization", "Bearer S3CRET")],
        [basic("s3cret")],
        [basic("s3cret:")],
        [("Api-Key", "s3cret")],
        [("Cookie", "token=s3cret")],
    ],
)
async def test_other_forms_are_no_key(start: Start, fields: list[tuple[str, str]]) -> None:
    assert (await ask(lock(start), *fields)).status == 401


async def test_one_that_says_the_same_twice(start: Start) -> None:
    assert (await ask(lock(start), RIGHT, ("x-api-key", "s3cret"))).status == 200


@pytest.mark.parametrize("name", ["api_key", "key", "access_token", "token", "authorization"])
async def test_a_query_is_no_place_for_a_key(start: Start, name: str) -> None:
    assert (await ask(lock(start), target=f"/v1/models?{name}=s3cret")).status == 401


async def test_bytes_that_are_no_ascii_are_no_fault_of_ours(start: Start, logged_faults: list[Any]) -> None:
    answer = await ask(lock(start), ("Authorization", "Bearer \xff\xfe"))
    assert answer.status in (400, 401)
    assert logged_faults == []


async def test_open_are_health_and_how_to_trust(start: Start) -> None:
    daemon = lock(start)
    for target in ("/health", "/healthz", "/"):
        assert (await ask(daemon, WRONG, target=target)).status == 200
        head = await ask(daemon, ("Connection", "close"), method="HEAD", target=target)
        assert (head.status, head.body) == (200, b"")
    for target in ("/ca", "/ca.pem"):
        assert (await ask(daemon, target=target)).status == 404  # there is none of ours here
    for target in ("/health/", "/%68ealth", "//health", "/health;x", "/v1/../health", "/HEALTH"):
        assert (await ask(daemon, target=target)).status in (400, 401)


async def test_a_refusal_does_not_wait_for_the_body(start: Start) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n"
    assert (await say(lock(start), head)).status == 401


async def test_nobody_needs_one_by_default(start: Start) -> None:
    daemon = start(access_token=Secret("s3cret"))
    for fields in ([], [WRONG], [RIGHT], [WRONG, WRONG]):
        assert (await ask(daemon, *fields)).status == 200


# --- P13


async def test_five_wrong_keys_and_no_more_are_told(start: Start) -> None:
    daemon = lock(start)
    for _ in range(5):
        assert (await ask(daemon, WRONG)).status == 401
    for field in (WRONG, ("x-api-key", "other"), basic("s3cret:wrong")):
        answer = await ask(daemon, field)
        assert (answer.status, answer.code) == (429, "too_many_wrong_keys")
        assert 1 <= int(answer.fields["retry-after"]) <= 60
        assert "www-authenticate" not in answer.fields
    assert (await ask(daemon, RIGHT)).status == 200
    assert (await ask(daemon)).status == 401
    assert (await ask(daemon, WRONG, source="127.0.0.2")).status == 401


async def test_a_burst_is_counted_whole(start: Start) -> None:
    daemon = lock(start)
    answers = await gatherResults(
        [Deferred.fromCoroutine(ask(daemon, ("Authorization", f"Bearer {number}"))) for number in range(40)]
    )
    assert sorted(answer.status for answer in answers) == [401] * 5 + [429] * 35


async def test_who_shows_no_key_is_not_guessing(start: Start) -> None:
    daemon = lock(start)
    for fields in [[], [("Authorization", "Bearer")], [WRONG, WRONG], [RIGHT, ("x-api-key", "wrong")]] * 3:
        assert (await ask(daemon, *fields)).status == 401
    assert (await ask(daemon, WRONG)).status == 401


async def test_the_lockout_is_not_fooled_by_what_a_client_says_of_itself(start: Start) -> None:
    daemon = lock(start, **PROXY)
    for number in range(5):
        assert (
            await ask(daemon, WRONG, ("X-Forwarded-For", f"9.9.9.{number}"), source="127.0.0.2")
        ).status == 401
    answer = await ask(daemon, WRONG, ("X-Forwarded-For", "9.9.9.99"), source="127.0.0.2")
    assert answer.status == 429


async def test_nobody_is_framed(start: Start) -> None:
    """Neither from outside, nor through the proxy by saying the victim's address first."""
    daemon = lock(start, **PROXY)
    for _ in range(7):
        await ask(daemon, WRONG, ("X-Forwarded-For", "10.0.0.7"), source="127.0.0.2")
        await ask(daemon, WRONG, ("X-Forwarded-For", "10.0.0.7, 10.0.0.66"), source="127.0.0.3")
    victim = await ask(daemon, WRONG, ("X-Forwarded-For", "10.0.0.7"), source="127.0.0.3")
    assert victim.status == 401
    attacker = await ask(daemon, WRONG, ("X-Forwarded-For", "10.0.0.66"), source="127.0.0.3")
    assert attacker.status == 429


# --- P2


async def test_no_key_is_looked_at_that_came_in_the_clear(start: Start, tls_files: dict[str, Any]) -> None:
    """Nor is it counted: five wrong ones later the first over TLS is still told to be wrong."""
    daemon = lock(start, require_tls=True, **PROXY)
    for _ in range(7):
        answer = await ask(daemon, WRONG)
        assert (answer.status, answer.code) == (403, "tls_required")
    assert (await ask(daemon, RIGHT)).status == 403
    through_proxy = [("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "127.0.0.1")]
    assert (await ask(daemon, WRONG, *through_proxy, source="127.0.0.3")).status == 401
    encrypted = lock(start, require_tls=True, **tls_files)
    assert (await ask(encrypted, WRONG)).status == 401
    assert (await ask(encrypted, RIGHT)).status == 200


@pytest.mark.parametrize(
    ("source", "values", "status"),
    [
        ("127.0.0.3", ["https"], 200),
        ("127.0.0.3", ["http, https"], 200),
        ("127.0.0.3", ["https, http"], 403),
        ("127.0.0.3", ["https", "http"], 403),
        ("127.0.0.3", ["https,"], 403),
        ("127.0.0.3", ["on"], 403),
        ("127.0.0.3", [], 403),
        ("127.0.0.2", ["https"], 403),
    ],
)
async def test_whose_word_on_tls_counts(start: Start, source: str, values: list[str], status: int) -> None:
    daemon = start(require_tls=True, allow_open=True, **PROXY)
    fields = [("X-Forwarded-Proto", value) for value in values]
    for target in ("/v1/models", "/", "/readyz"):
        answer = await ask(daemon, *fields, source=source, target=target)
        assert (answer.status == 403) is (status == 403)
    for target in ("/health", "/ca"):  # one has to trust the certificate before TLS can be trusted
        assert (await ask(daemon, *fields, source=source, target=target)).status in (200, 404)


async def test_no_key_is_looked_at_in_the_clear_on_open_paths_either(start: Start) -> None:
    daemon = lock(start, require_tls=True)
    for method, key in (("POST", WRONG), ("POST", RIGHT), ("DELETE", WRONG)):
        assert (await ask(daemon, key, method=method, target="/health")).code == "tls_required"


async def test_keys_are_compared_in_constant_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    daemon = lock(start)
    monkeypatch.setattr("chatmock.admission.guard.hmac.compare_digest", compare)
    assert (await ask(daemon, WRONG)).status == 401
    assert (await ask(daemon, RIGHT)).status == 200
    own: bytes = daemon.service._guard.access.run_token.reveal().encode()
    assert compared == [(shown, secret) for shown in (b"wrong", b"s3cret") for secret in (own, b"s3cret")]


async def test_a_body_in_the_clear_is_not_waited_for(start: Start) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    assert (await say(start(require_tls=True), head)).status == 403


# --- named keys


@pytest.fixture
def keys(home: Path) -> KeyStore:
    """The keys of a daemon that is started afterwards."""
    (home / ".chatgpt-local").mkdir(mode=0o700)
    return KeyStore(home / ".chatgpt-local" / KEYS_FILE)


async def test_a_key_lists_the_models_that_it_allows(start: Start, keys: KeyStore) -> None:
    keys.add(Entry(Key("laptop", models=("*-thinking",)), digest_of(b"sk-laptop"), created=0.0))
    daemon = start(require_auth=True, provider="demo")
    assert "Bearer $KEY" in daemon.said[0], "which may be any of the keys"
    laptop = ("Authorization", "Bearer sk-laptop")
    listed = json.loads((await ask(daemon, laptop)).body)
    assert [model["id"] for model in listed["data"]] == ["demo-thinking"]
    assert (await ask(daemon, laptop, target="/v1/models/demo-thinking")).status == 200
    assert (await ask(daemon, laptop, target="/v1/models/demo")).status == 404


async def test_named_keys(start: Start, keys: KeyStore) -> None:
    keys.add(Entry(Key("laptop", rpm=2), digest_of(b"sk-laptop"), created=0.0))
    daemon = start(require_auth=True)
    laptop = ("Authorization", "Bearer sk-laptop")
    assert (await ask(daemon, laptop)).status == 200
    assert (await ask(daemon, ("x-api-key", "sk-laptop"), source="127.0.0.2")).status == 200
    limited = await ask(daemon, laptop)
    assert (limited.status, limited.code) == (429, "rate_limit_exceeded")
    assert 30 <= int(limited.fields["retry-after"]) <= 60
    assert (await ask(daemon, WRONG)).status == 401
    assert (await ask(daemon)).status == 401
