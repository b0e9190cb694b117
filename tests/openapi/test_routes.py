"""The daemon is as it describes itself: the same routes, and answers of the forms it tells of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from chatmock.anthropic_routes import AnthropicRoutes
from chatmock.ollama_routes import OllamaRoutes
from chatmock.responses_routes import ResponsesRoutes
from chatmock.routes import Routes
from chatmock.settings import Secret
from tests.chunks import completion
from tests.conftest import KEY, Daemon, Start
from tests.openapi.described import check, checked, described, operations
from tests.test_admitting import http
from tests.test_healing import command, refused
from tests.upstreams.chatgpt_backend import LIMITS, ChatGPTBackend, Script
from tests.upstreams.openai_server import OpenAIServer

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
TABLES = (Routes, AnthropicRoutes, OllamaRoutes, ResponsesRoutes)
"""Every table of routes."""
EXAMPLES = [
    pytest.param(
        path,
        example["value"],
        501 if "501" in operation["responses"] else 200,  # the demo does not do everything
        id=f"{operation['operationId']}-{name}",
    )
    for path, _, operation in operations(described())
    if "requestBody" in operation
    for name, example in operation["requestBody"]["content"]["application/json"]["examples"].items()
]


@pytest.fixture
def demo(start: Start) -> Daemon:
    return start(provider="demo", max_concurrency=4)


def test_each_route_is_described_and_nothing_else() -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for table in TABLES
        for rule in table.app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")  # of every path
    }
    assert {(path, method) for path, method, _ in operations(described())} == routes


async def test_it_is_served_to_who_has_a_key(start: Start) -> None:
    daemon = start(provider="demo", require_auth=True, access_token=Secret("s3cret"))
    assert (await http(daemon, "GET", "/openapi.json")).status == 401
    answer = await checked(daemon, "GET", "/openapi.json", authorization="Bearer s3cret")
    assert "s3cret" not in answer.body.decode()
    told = json.loads(answer.body)
    assert {} not in told["paths"]["/v1/models"]["get"]["security"]
    assert told["components"]["parameters"]["provider"]["schema"]["enum"] == ["demo", ""]
    assert "chat_id" not in told["components"]["parameters"]


async def test_it_counts_against_the_rate(start: Start) -> None:
    daemon = start(provider="demo", rate_limit_rps=0.001, rate_limit_burst=1)
    told = await http(daemon, "GET", "/openapi.json")
    refusal = await http(daemon, "GET", "/openapi.json")
    assert (told.status, refusal.status) == (200, 429)
    check(json.loads(told.body), "GET", "/openapi.json", refusal)
    assert int(refusal.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/healthz",
        "/readyz",
        "/v1/models",
        "/v1/usage",
        "/api/queue",
        "/api/version",
        "/api/tags",
        "/api/ps",
        "/api/status",
    ],
)
async def test_what_is_read(demo: Daemon, path: str) -> None:
    await checked(demo, "GET", path)
    assert (await http(demo, "GET", "/openapi.json")).headers["content-type"] == "application/json"


async def test_one_model(demo: Daemon) -> None:
    await checked(demo, "GET", "/v1/models/{name}", name="demo")
    await checked(demo, "GET", "/v1/models/{name}", 404, name="nobody/nothing")


@pytest.mark.parametrize(("path", "example", "status"), EXAMPLES)
async def test_every_example_is_answered(demo: Daemon, path: str, example: Any, status: int) -> None:
    answer = await checked(demo, "POST", path, status, body=example)
    if status != 200:
        return
    ollama = path.startswith("/api/")
    streamed = "application/x-ndjson" if ollama else "text/event-stream; charset=utf-8"
    alone = path == "/api/show" or (path == "/api/chat" and "messages" not in example)
    is_stream = example.get("stream", ollama and not alone)
    assert answer.headers["content-type"] == (streamed if is_stream else "application/json")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("POST", "/api/push"),
        ("DELETE", "/api/delete"),
        ("POST", "/api/blobs/{digest}"),
    ],
)
async def test_what_is_never_done(demo: Daemon, method: str, path: str) -> None:
    await checked(demo, method, path, 501, b"{}")


async def test_nobody_is_signed_in_at_ollama(demo: Daemon) -> None:
    await checked(demo, "POST", "/api/me", 401)
    await checked(demo, "POST", "/api/signout")


async def test_refusals_of_ollama(demo: Daemon) -> None:
    await checked(demo, "POST", "/api/chat", 400, {})
    await checked(demo, "POST", "/api/chat", 404, {"model": "nobody", **HELLO})
    await checked(demo, "POST", "/api/show", 404, {"model": "nobody"})
    await checked(demo, "POST", "/api/pull", 400, b"")
    wrong = await http(demo, "GET", "/api/chat")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")


async def test_several_choices_and_an_answer_that_thinks(demo: Daemon) -> None:
    await checked(demo, "POST", "/v1/chat/completions", body={**HELLO, "n": 2, "model": "demo-thinking"})
    text = {"prompt": "Hi", "n": 2, "echo": True}
    await checked(demo, "POST", "/v1/completions", body=text, query="?provider=demo")


async def test_an_upstreams_own_words(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply_json({**completion(), "system_fingerprint": "fp", "service_tier": None})
    answer = await checked(compatible, "POST", "/v1/chat/completions", body={**HELLO, "model": "m"})
    assert b"fp" in answer.body


async def test_what_chatmock_changed_is_told(demo: Daemon) -> None:
    body = {**HELLO, "max_tokens": 100_000, "user": "me"}
    answer = await checked(demo, "POST", "/v1/chat/completions", body=body)
    assert answer.headers["x-chatmock-clamped"] == "max_tokens=2048"
    assert answer.headers["x-chatmock-ignored"] == "user"


@pytest.mark.parametrize(
    ("status", "body", "query"),
    [
        (400, b"{", ""),
        (400, {"messages": []}, ""),
        (400, HELLO, "?provider=nobody"),
        (400, HELLO, "?chat_id=5"),
        (404, {**HELLO, "model": "nothing"}, ""),
        (400, {"messages": [{"role": "user", "content": "demo: fail 400"}]}, ""),
        (502, {"messages": [{"role": "user", "content": "demo: fail 500"}]}, ""),
        (429, {"messages": [{"role": "user", "content": "demo: fail 429"}]}, ""),
    ],
)
async def test_refusals(start: Start, status: int, body: Any, query: str) -> None:
    daemon = start(provider="demo")
    await checked(daemon, "POST", "/v1/chat/completions", status, body, query)


async def test_refusals_by_the_head(demo: Daemon) -> None:
    path = "/v1/chat/completions"
    await checked(demo, "POST", path, 403, HELLO, Origin="https://example.org")
    await checked(demo, "POST", path, 415, HELLO, Content_Encoding="gzip")
    await checked(demo, "POST", path, 421, HELLO, Host="example.org")
    await checked(demo, "POST", path, 414, HELLO, "?" + "a" * 9000)
    await checked(demo, "POST", path, 431, HELLO, **{f"X-{number}": "a" for number in range(100)})
    wrong = await http(demo, "PUT", path)
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")


async def test_nobody_can_answer(start: Start) -> None:
    daemon = start(provider="chatgpt")
    await checked(daemon, "GET", "/readyz", 503)


async def test_a_provider_that_is_left_alone_and_healed(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(f"not-{KEY}")
    )
    await refused(daemon)
    ready = await checked(daemon, "GET", "/readyz", 503)
    assert b"cooling" in ready.body
    healed = await checked(daemon, "POST", "/api/providers/{name}/heal", name="compatible")
    assert json.loads(healed.body)["cleared"]
    await checked(daemon, "POST", "/api/providers/{name}/heal", 404, name="nobody")
    await checked(
        daemon, "POST", "/api/providers/{name}/heal", 403, name="compatible", X_Forwarded_For="10.0.0.1"
    )


async def test_what_is_left_of_a_plan(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    daemon = start_chatgpt()
    backend.stream(*Script().text("Hi").end(), headers=LIMITS)
    await checked(daemon, "POST", "/v1/chat/completions", body=HELLO)
    usage = await checked(daemon, "GET", "/v1/usage")
    assert json.loads(usage.body)["chatgpt"]["primary"]


async def test_the_authority_of_the_server(start: Start) -> None:
    daemon = start(provider="demo")
    for path in ("/ca", "/ca.pem"):
        await checked(daemon, "GET", path, 404)
    made = await command(daemon, "tls", "init")
    assert made[0] == 0, made
    with_authority = start(provider="demo")
    for path in ("/ca", "/ca.pem"):
        await checked(with_authority, "GET", path)


async def test_the_chats_of_qwen_are_told_of(start_qwen: Start) -> None:
    daemon = start_qwen()
    told = json.loads((await http(daemon, "GET", "/openapi.json")).body)
    assert "chat_id" in told["components"]["parameters"]
    assert "qwen" in told["components"]["parameters"]["provider"]["schema"]["enum"]
