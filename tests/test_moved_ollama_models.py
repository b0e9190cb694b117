"""The models of an Ollama that was moved aside: shown as it shows them, and pulled by it at the client's pace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ollama as ollama_sdk
import pytest

from chatmock.keys.database import KEYS_FILE
from chatmock.keys.store import KeyStore
from chatmock.settings import Secret
from tests.conftest import KEY, Daemon, Start, pause, until
from tests.keys.making import entry_of
from tests.test_lifetimes import paused_relay
from tests.test_moved_ollama import lines, native, post
from tests.test_ollama_port import raw
from tests.upstreams.ollama_server import JSON, LINES, OllamaServer, pulling
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Reply


@pytest.fixture
def begin(start: Start, upstream: OpenAIServer, ollama: OllamaServer) -> Callable[..., Daemon]:
    """Start a daemon with another default provider, whose model is `m`, and an Ollama behind it."""
    upstream.models = [{"id": "m", "object": "model", "created": 1}]

    def begin(**settings: Any) -> Daemon:
        return start(
            **{
                "provider": "compatible",
                "compatible_base_url": upstream.url,
                "compatible_api_key": Secret(KEY),
                "ollama_upstream": ollama.url,
                "ollama_port": 0,
                **settings,
            }
        )

    return begin


@pytest.fixture
def daemon(begin: Callable[..., Daemon]) -> Daemon:
    return begin()


async def ask(daemon: Daemon, path: str, fields: Any, **headers: str) -> tuple[int, list[Any]]:
    """The status, and the lines of the answer."""
    body = json.dumps(fields).encode()
    told = await raw(daemon.service.ollama_url, "POST", path, body, **headers)
    return told.status, [json.loads(line) for line in lines(told.body)]


# --- shown


@pytest.mark.parametrize("name", ["llama3.2", "llama3.2:latest", "ollama/llama3.2:latest"])
async def test_a_model_is_shown_as_it_shows_it(daemon: Daemon, ollama: OllamaServer, name: str) -> None:
    shown = await native(daemon, lambda sdk: sdk.show(name))
    assert shown.capabilities == ["completion", "tools", "vision"]
    assert shown.modelinfo["llama.context_length"] == 131072
    assert shown.template == "{{ .Prompt }}"
    (asked,) = ollama.at("/api/show")
    assert asked.body["model"] == name.removeprefix("ollama/")
    assert await ask(daemon, "/api/show", {"name": name}) == (200, [ollama.tags[1].shown()])


async def test_one_that_it_lacks_is_not(daemon: Daemon) -> None:
    with pytest.raises(ollama_sdk.ResponseError, match="model 'nope' not found") as caught:
        await native(daemon, lambda sdk: sdk.show("nope"))
    assert caught.value.status_code == 404


async def test_those_of_others_are_not_asked_of_it(daemon: Daemon, ollama: OllamaServer) -> None:
    assert (await ask(daemon, "/api/show", {"model": "m"}))[0] == 200
    assert (await ask(daemon, "/api/pull", {"model": "m"}))[1][-1] == {"status": "success"}
    assert ollama.at("/api/show", "/api/pull") == []


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"a":', b""])
async def test_what_cannot_be_read_is_not_shown(daemon: Daemon, ollama: OllamaServer, body: bytes) -> None:
    ollama.override = lambda asked: Reply([body], content_type=JSON) if asked.path == "/api/show" else None
    status, told = await ask(daemon, "/api/show", {"model": "qwen3:4b"})
    assert status == 502
    assert "cannot be read" in told[0]["error"]


# --- pulled


async def test_a_pull_is_passed_on_line_by_line(daemon: Daemon, ollama: OllamaServer) -> None:
    got = await native(daemon, lambda sdk: [part.model_dump() for part in sdk.pull("phi4", stream=True)])
    assert [(part["status"], part["completed"]) for part in got] == [
        (line["status"], line.get("completed")) for line in pulling("0" * 64)
    ]
    assert ollama.at("/api/pull")[0].body == {"model": "phi4", "stream": True}
    listed = await native(daemon, lambda sdk: [each.model for each in sdk.list().models])
    assert "phi4:latest" in listed, "its list was asked for again"


async def test_who_wants_no_stream_gets_the_last_line(daemon: Daemon, ollama: OllamaServer) -> None:
    assert await ask(daemon, "/api/pull", {"name": "phi4", "stream": False}) == (200, [{"status": "success"}])
    assert ollama.at("/api/pull")[0].body == {"model": "phi4", "stream": True}
    told = await raw(daemon.service.ollama_url, "POST", "/api/pull", b'{"model":"phi4","stream":false}')
    assert told.headers["content-type"] == "application/json"


async def test_each_line_comes_when_it_is_told(daemon: Daemon, ollama: OllamaServer) -> None:
    ollama.pulled = pulling("0" * 64)[:2]
    ollama.pull_ending = "hang"
    client = await post(daemon, "/api/pull", {"model": "phi4"})
    await until(lambda: client.received.count(b'"status"') == 2)
    assert b"content-type: application/x-ndjson" in client.received.lower()
    assert daemon.service.slots.held == 0, "no answer of a model waits for it"
    client.leave()
    await until(lambda: ollama.active == 0)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_pull_that_fails_at_once(daemon: Daemon, ollama: OllamaServer, stream: bool) -> None:
    ollama.pulled = [{"error": "pull model manifest: file does not exist"}]
    status, told = await ask(daemon, "/api/pull", {"model": "nope", "stream": stream})
    assert status == 502
    assert "pull model manifest: file does not exist" in told[0]["error"]


async def test_a_pull_that_fails_later(daemon: Daemon, ollama: OllamaServer) -> None:
    ollama.pulled = [*pulling("0" * 64)[:3], {"error": "max retries exceeded"}]
    status, told = await ask(daemon, "/api/pull", {"model": "nope"})
    assert (status, len(told)) == (200, 4)
    assert "max retries exceeded" in told[-1]["error"]
    assert (await ask(daemon, "/api/pull", {"model": "nope", "stream": False}))[0] == 502


@pytest.mark.parametrize("ending", ["cut", "complete"])
async def test_a_pull_that_ends_before_it_is_done(daemon: Daemon, ollama: OllamaServer, ending: str) -> None:
    ollama.pulled = pulling("0" * 64)[:3]
    ollama.pull_ending = ending
    _, told = await ask(daemon, "/api/pull", {"model": "phi4"})
    assert "ended its answer before it was complete" in told[-1]["error"]


async def test_a_silent_pull_is_ended(begin: Callable[..., Daemon], ollama: OllamaServer) -> None:
    ollama.pulled = pulling("0" * 64)[:2]
    ollama.pull_ending = "hang"
    status, told = await ask(begin(idle_timeout=0.02), "/api/pull", {"model": "phi4"})
    assert status == 200
    assert "CHATMOCK_IDLE_TIMEOUT" in told[-1]["error"]
    await until(lambda: ollama.active == 0)


async def test_a_slow_client_slows_the_pull_down(begin: Callable[..., Daemon], ollama: OllamaServer) -> None:
    """What nobody reads is not gathered here: its lines stay where they are."""
    told = [json.dumps({"status": f"{n} {'x' * 50_000}"}).encode() + b"\n" for n in range(400)]
    many = Reply([*told, b'{"status":"success"}\n'], content_type=LINES)
    ollama.override = lambda asked: many if asked.path == "/api/pull" else None
    daemon = begin(stall_timeout=60.0)
    client = await post(daemon, "/api/pull", {"model": "phi4"})
    await until(lambda: bool(client.received))
    client.transport.pauseProducing()
    relay = await paused_relay(daemon)
    taken = -1
    while taken != relay._transcoder.records:  # the sockets' buffers fill up first
        taken = relay._transcoder.records
        await pause(0.3)
    assert taken < 400
    client.transport.resumeProducing()
    await until(lambda: client.received.endswith(b"0\r\n\r\n"))
    assert client.received.count(b"x" * 50_000) == 400
    client.leave()
    await client.lost


async def test_there_are_only_so_many_at_once(
    begin: Callable[..., Daemon], ollama: OllamaServer, home: Path
) -> None:
    """Four, and one of each client."""
    store = KeyStore(home / ".chatgpt-local" / KEYS_FILE)
    for n in range(4):
        store.add(entry_of(f"k{n}", f"sk-{n}".encode(), admin=True))
    daemon = begin()
    ollama.pulled = pulling("0" * 64)[:1]
    ollama.pull_ending = "hang"
    as_each = [{"Authorization": f"Bearer sk-{n}"} for n in range(4)]
    clients = [
        await post(daemon, "/api/pull", {"model": f"phi{n}"}, **as_each[n] if n else {}) for n in range(4)
    ]
    await until(lambda: all(b'"status"' in client.received for client in clients))
    for headers in ({}, as_each[3]):
        status, told = await ask(daemon, "/api/pull", {"model": "one-more"}, **headers)
        assert status == 429
        assert "pulled already" in told[0]["error"]
    refused = await post(daemon, "/api/pull", {"model": "one-more"}, **as_each[0])
    await until(lambda: b"being pulled already" in refused.received)
    assert b" 503 " in refused.received
    refused.leave()
    clients[0].leave()
    await until(lambda: ollama.active == 3)
    ollama.pulled, ollama.pull_ending = pulling("0" * 64), "complete"
    assert (await ask(daemon, "/api/pull", {"model": "one-more"}))[1][-1] == {"status": "success"}
    for client in clients[1:]:
        client.leave()
    await until(lambda: ollama.active == 0)


async def test_one_that_is_gone_says_so(begin: Callable[..., Daemon]) -> None:
    daemon = begin(ollama_upstream="http://127.0.0.1:9")
    for path in ("/api/pull", "/api/show"):
        status, told = await ask(daemon, path, {"model": "ollama/phi4"})
        assert status == 502
        assert "Ollama cannot be reached" in told[0]["error"]
