"""Who is let in: token, origin, TLS, rate, size, on every inference and model route."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import treq
import trustme
from twisted.internet import reactor
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS

from chatmock.settings import Secret, SettingError
from tests.chunks import completion
from tests.conftest import KEY, Daemon, Start
from tests.upstreams.openai_server import OpenAIServer

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
ROUTES = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/embeddings"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/demo"),
]


class Answer:
    """A plain HTTP answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


async def http(
    daemon: Daemon, method: str, path: str, body: Any = None, policy: Any = None, **headers: str
) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    agent = Agent(reactor, contextFactory=policy or BrowserLikePolicyForHTTPS())
    client = treq.client.HTTPClient(agent)
    response = await client.request(method, daemon.url + path, headers=named, data=data, timeout=10)
    content = await response.content()
    told = {k.decode().lower(): v[-1].decode() for k, v in response.headers.getAllRawHeaders()}
    return Answer(response.code, told, content)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "shown", [None, "Bearer wrong", "Bearer ", "Basic s3cret", "s3cret", "Bearer s3cret-and-more"]
)
async def test_the_token_is_wanted_everywhere(
    start: Start, method: str, path: str, shown: str | None
) -> None:
    daemon = start(require_auth=True, access_token=Secret("s3cret"))
    headers = {} if shown is None else {"Authorization": shown}
    answer = await http(daemon, method, path, CHAT if method == "POST" else None, **headers)
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert b"s3cret" not in answer.body


@pytest.mark.parametrize("shown", ["Bearer s3cret", "bearer s3cret"])
async def test_the_right_token_passes(start: Start, shown: str) -> None:
    daemon = start(require_auth=True, access_token=Secret("s3cret"))
    assert (await http(daemon, "GET", "/v1/models", Authorization=shown)).status == 200
    assert (await http(daemon, "GET", "/health")).status == 200


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_pages_of_other_origins_spend_nothing(
    start: Start, upstream: OpenAIServer, method: str, path: str
) -> None:
    daemon = start(
        provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY),
        cors_origins=("https://app.lan",),
    )  # fmt: skip
    body = CHAT if method == "POST" else None
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        answer = await http(daemon, method, path, body, **headers)
        assert (answer.status, answer.error["code"]) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in answer.headers
    assert upstream.chats() == []


async def test_an_allowed_origin_reads_answers_and_errors(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY),
        cors_origins=("https://app.lan",),
    )  # fmt: skip
    upstream.reply_json(completion())
    for body, status in ((CHAT, 200), ({}, 400)):
        headers = {"Origin": "https://app.lan", "Content_Type": "application/json"}
        answer = await http(daemon, "POST", "/v1/chat/completions", body, **headers)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == "https://app.lan"
        assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://app.lan", True), ("https://app.lan:444", False), ("http://app.lan", False)],
)
async def test_preflight(start: Start, origin: str, allowed: bool) -> None:
    daemon = start(cors_origins=("https://app.lan",))
    answer = await http(
        daemon, "OPTIONS", "/v1/chat/completions", Origin=origin, Access_Control_Request_Method="POST"
    )
    assert answer.status == 204
    assert ("access-control-allow-origin" in answer.headers) == allowed
    assert ("access-control-allow-methods" in answer.headers) == allowed


async def test_no_page_at_all_by_default(start: Start) -> None:
    answer = await http(start(), "GET", "/v1/models", Origin="https://app.lan")
    assert answer.status == 403


@pytest.mark.parametrize(
    ("proxies", "forwarded", "status"),
    [((), "https", 403), (("127.0.0.0/8",), "https", 200), (("127.0.0.0/8",), "http", 403), (("10.0.0.0/8",), "https", 403)],
)  # fmt: skip
async def test_tls_is_required(start: Start, proxies: tuple[str, ...], forwarded: str, status: int) -> None:
    import ipaddress

    networks = tuple(map(ipaddress.ip_network, proxies))
    daemon = start(require_tls=True, trusted_proxies=networks, allow_open=True)
    answer = await http(daemon, "GET", "/v1/models", X_Forwarded_Proto=forwarded)
    assert answer.status == status
    assert (await http(daemon, "GET", "/v1/models")).status == 403
    assert (await http(daemon, "GET", "/healthz")).status == 200


async def test_tls(start: Start, tmp_path: Path) -> None:
    ca = trustme.CA()
    issued = ca.create_child_ca().issue_cert("localhost", "127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    issued.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    key.chmod(0o600)
    daemon = start(tls_cert=chain, tls_key=key, require_tls=True)
    assert daemon.url.startswith("https://127.0.0.1:")
    trusted = trustRootFromCertificates([Certificate.loadPEM(ca.cert_pem.bytes())])
    answer = await http(daemon, "GET", "/v1/models", policy=BrowserLikePolicyForHTTPS(trustRoot=trusted))
    assert answer.status == 200


def test_a_key_of_another_certificate_stops_the_start(start: Start, tmp_path: Path) -> None:
    ca = trustme.CA()
    one, other = ca.issue_cert("one.lan"), ca.issue_cert("other.lan")
    one.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    other.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    with pytest.raises(SettingError, match=r"key\.pem"):
        start(tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem")


async def test_too_many_requests(start: Start) -> None:
    daemon = start(rate_limit_rps=0.5, rate_limit_burst=2)
    statuses = [(await http(daemon, "GET", "/v1/models")).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    answer = await http(daemon, "POST", "/v1/chat/completions", CHAT)
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) in (1, 2)
    assert answer.error["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    "body", [b"{", {"messages": [{"role": "user", "content": "Hi"}] * 65}], ids=["shape", "limits"]
)
async def test_refused_bodies_count_too(start: Start, body: Any) -> None:
    daemon = start(rate_limit_rps=0.001, rate_limit_burst=2)
    statuses = [(await http(daemon, "POST", "/v1/chat/completions", body)).status for _ in range(3)]
    assert statuses == [400, 400, 429]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_too_large(start: Start, declared: bool) -> None:
    daemon = start(max_total_bytes=1000, max_image_bytes=1000)
    body = b" " * 7000
    if declared:
        answer = await http(daemon, "POST", "/v1/chat/completions", body)
    else:
        answer = await chunked(daemon, body)
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")


async def chunked(daemon: Daemon, body: bytes) -> Answer:
    from tests.test_lifetimes import connect

    client = await connect(daemon)
    assert client.transport is not None
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.transport.write(head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
    await client.lost
    start_line, _, rest = client.received.partition(b"\r\n")
    return Answer(int(start_line.split()[1]), {}, rest.partition(b"\r\n\r\n")[2])


async def test_limits_hold_on_both_routes(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        max_message_chars=5,
    )
    for path, body in (
        ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "123456"}]}),
        ("/v1/completions", {"model": "m", "prompt": "123456"}),
    ):
        answer = await http(daemon, "POST", path, body)
        assert answer.status == 400
        assert "CHATMOCK_MAX_MESSAGE_CHARS" in answer.error["message"]
    assert upstream.chats() == []


async def test_clamps_are_told_and_reach_the_upstream(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        max_tokens=100,
    )
    upstream.reply_json(completion())
    answer = await http(
        daemon, "POST", "/v1/chat/completions", {**CHAT, "max_completion_tokens": 5000, "max_tokens": 50}
    )
    assert answer.status == 200
    assert answer.headers["x-chatmock-clamped"] == "max_tokens=100"
    sent = upstream.chats()[0].body
    assert (sent["max_completion_tokens"], sent["max_tokens"]) == (100, 50)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("GET", "/v1//models", 404), ("PUT", "/v1/models", 405),
     ("GET", "/v1/chat/completions", 405), ("POST", "/health", 405)],
)  # fmt: skip
async def test_no_such_route(start: Start, method: str, path: str, status: int) -> None:
    answer = await http(start(), method, path)
    assert answer.status == status
    assert answer.error["message"]
    assert ("allow" in answer.headers) == (status == 405)


async def test_nothing_says_which_software_answers(start: Start) -> None:
    daemon = start()
    for path in ("/health", "/v1/models", "/nothing"):
        assert (await http(daemon, "GET", path)).headers["server"] == "chatmock"


async def test_readiness_names_the_providers(start: Start) -> None:
    answer = await http(start(), "GET", "/readyz")
    demo = {"state": "ok", "until": None, "reason": None}
    assert json.loads(answer.body) == {"status": "ok", "providers": {"demo": demo}}


async def test_a_body_that_is_no_json(start: Start) -> None:
    for body in (b"", b"{", b"[]", b"\xff\xfe", b'{"a":' + b"[" * 100_000):
        answer = await http(start(), "POST", "/v1/chat/completions", body)
        assert answer.status == 400
        assert "JSON" in answer.error["message"]
        assert len(answer.body) < 4000
