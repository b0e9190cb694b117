"""The second listener, where clients look for an Ollama: the same daemon, but for what stands at its root."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import attrs
import ollama as ollama_sdk
import openai
import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.threads import deferToThread

from chatmock.admission.exposure import check_exposure, exposed
from chatmock.owner_key import owner_key_file, read_owner_key
from chatmock.service import make_service
from chatmock.settings import Secret, SettingError, Settings
from chatmock.state_files import state_folder
from tests.conftest import Daemon, Start, until
from tests.test_lifetimes import RawClient
from tests.upstreams.ollama_server import OllamaServer


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def raw(url: str | None, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """What a plain client gets."""
    assert url is not None
    port = int(url.rpartition(":")[2])
    client: RawClient = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), RawClient())
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    assert client.transport is not None
    client.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
    await client.lost
    head, _, content = client.received.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    found = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    return Answer(int(first.split()[1]), found, content)


@pytest.fixture
def daemon(start: Start) -> Daemon:
    return start(provider="demo", ollama_port=0, max_concurrency=4)


def ollama_url(daemon: Daemon) -> str:
    assert daemon.service.ollama_url is not None
    return daemon.service.ollama_url


async def on_ollama(daemon: Daemon, call: Callable[[Any], Any]) -> Any:
    """Run *call* with Ollama's own client of the second port in a thread."""

    def run() -> Any:
        with ollama_sdk.Client(host=ollama_url(daemon), timeout=30.0) as sdk:
            return call(sdk)

    return await deferToThread(run)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_its_root_says_that_ollama_runs(daemon: Daemon, method: str) -> None:
    told = await raw(ollama_url(daemon), method, "/")
    assert told.status == 200
    assert told.headers["content-type"] == "text/plain; charset=utf-8"
    assert told.headers["content-length"] == "17"
    assert told.body == (b"Ollama is running" if method == "GET" else b"")
    other = await raw(daemon.url, method, "/")
    assert other.headers["content-type"] == "application/json"


async def test_its_root_takes_nothing_else(daemon: Daemon) -> None:
    assert (await raw(ollama_url(daemon), "POST", "/", b"{}")).status == 405
    assert (await raw(ollama_url(daemon), "OPTIONS", "/")).status == 204


@pytest.mark.parametrize(
    "path", ["/health", "/v1/models", "/api/version", "/api/tags", "/readyz", "/nothing"]
)
async def test_everything_else_is_as_at_the_first(daemon: Daemon, path: str) -> None:
    here, there = await raw(ollama_url(daemon), "GET", path), await raw(daemon.url, "GET", path)
    assert (here.status, here.body) == (there.status, there.body)


async def test_openai_clients_are_answered_there(daemon: Daemon) -> None:
    def ask() -> Any:
        with openai.OpenAI(base_url=f"{ollama_url(daemon)}/v1", api_key="x", max_retries=0) as sdk:
            return sdk.chat.completions.create(model="demo", messages=[{"role": "user", "content": "Hello"}])

    answer = await deferToThread(ask)
    assert answer.choices[0].message.content


async def test_ollama_clients_are_answered_there(daemon: Daemon) -> None:
    hello = [{"role": "user", "content": "Hello"}]
    answer = await on_ollama(daemon, lambda sdk: sdk.chat("demo", hello))
    assert answer.message.content
    names = [each.model for each in (await on_ollama(daemon, lambda sdk: sdk.list())).models]
    assert "demo" in names


async def test_the_same_guard_stands_before_it(start: Start) -> None:
    daemon = start(
        provider="demo", ollama_port=0, require_auth=True, access_token=Secret("s3cret-s3cret-s3cret")
    )
    url = ollama_url(daemon)
    assert (await raw(url, "GET", "/")).body == b"Ollama is running"  # as health is: it tells nothing
    assert (await raw(url, "GET", "/api/tags")).status == 401
    assert (await raw(url, "GET", "/api/tags", Authorization="Bearer s3cret-s3cret-s3cret")).status == 200
    assert (await raw(url, "GET", "/api/tags", Host="evil.example")).status in (400, 421)
    assert (await raw(url, "GET", "/api/tags", Origin="https://evil.example")).status in (401, 403)


async def test_with_tls_required_it_is_refused(start: Start) -> None:
    daemon = start(provider="demo", ollama_port=0, require_tls=True)
    for path in ("/api/tags", "/v1/models"):
        told = await raw(ollama_url(daemon), "GET", path)
        assert told.status == 403
        assert b"REQUIRE_TLS" in told.body


async def test_a_rate_is_one_for_both(start: Start) -> None:
    daemon = start(provider="demo", ollama_port=0, rate_limit_rps=0.001, rate_limit_burst=2)
    statuses = [
        (await raw(url, "GET", "/v1/models")).status for url in (daemon.url, ollama_url(daemon), daemon.url)
    ]
    assert statuses == [200, 200, 429]


async def test_the_connections_are_counted_together(start: Start) -> None:
    daemon = start(provider="demo", ollama_port=0, max_connections=1, max_connections_per_address=1)
    port = int(daemon.url.rpartition(":")[2])
    held: RawClient = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), RawClient())
    held.transport.write(b"GET /he")
    refused: RawClient = await connectProtocol(
        TCP4ClientEndpoint(reactor, "127.0.0.1", int(ollama_url(daemon).rpartition(":")[2])), RawClient()
    )
    refused.transport.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await refused.lost
    assert b" 200 " not in refused.received
    held.leave()
    await held.lost


async def test_it_says_where_it_is(start: Start, ollama: OllamaServer) -> None:
    daemon = start(ollama_port=0, ollama_upstream=ollama.url)
    assert f"for Ollama's clients: {ollama_url(daemon)}" in daemon.said[0].splitlines()
    assert ollama_url(daemon) not in daemon.service.urls
    assert daemon.said[0].splitlines()[0].endswith(f"{daemon.url}/v1")
    assert "answers from: ollama (default)" in daemon.said[0]
    without = start(provider="demo")
    assert "Ollama's clients" not in without.said[0]
    assert "ollama (set CHATMOCK_OLLAMA_UPSTREAM)" in without.said[0]


async def test_the_owners_key_opens_both(daemon: Daemon) -> None:
    folder = state_folder(Settings().home)
    for url in (daemon.url, ollama_url(daemon)):
        port = int(url.rpartition(":")[2])
        assert read_owner_key(folder, port) is not None
        assert owner_key_file(folder, port).exists()


async def test_who_holds_the_port_is_to_be_moved() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        number = held.getsockname()[1]
        service = make_service(Settings(provider="demo", port=0, ollama_port=number), reactor, lambda _: None)
        with pytest.raises(SystemExit) as caught:
            service.privilegedStartService()
        await service.stopService()
    said = str(caught.value)
    assert "\n" not in said
    assert f"127.0.0.1:{number}" in said
    for word in ("OLLAMA_HOST", "--ollama-upstream", "--ollama-port"):
        assert word in said


def test_it_is_looked_at_when_others_may_reach_it() -> None:
    keyless = {"host": "0.0.0.0", "endpoints": ("tcp:8000:interface=127.0.0.1",)}
    assert exposed(Settings(**keyless)) == []
    assert exposed(Settings(**keyless, ollama_port=11434)) == ["host 0.0.0.0"]
    with pytest.raises(SettingError, match=r"host 0\.0\.0\.0 can be reached from other machines"):
        check_exposure(Settings(**keyless, ollama_port=11434), keys_exist=False)
    assert exposed(Settings(ollama_port=11434)) == []


async def test_streams_of_both_ports_wait_for_the_same_permits(start: Start, ollama: OllamaServer) -> None:
    ollama.say(ending="hang")
    daemon = start(ollama_port=0, ollama_upstream=ollama.url, max_concurrency=1)
    asked = json.dumps({"model": "qwen3:4b", "messages": [{"role": "user", "content": "x"}], "stream": True})
    clients = []
    for url in (daemon.url, ollama_url(daemon)):
        port = int(url.rpartition(":")[2])
        client: RawClient = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), RawClient())
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(asked)}\r\n"
        client.transport.write(f"{head}Content-Type: application/json\r\n\r\n{asked}".encode())
        clients.append(client)
    slots = daemon.service.slots
    await until(lambda: (slots.held, slots.waiting) == (1, 1))
    for client in clients:
        client.leave()
    await until(lambda: (slots.held, slots.waiting) == (0, 0))
