"""Which models are in memory: those of an Ollama that was moved aside, as it tells it; none where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatmock import loaded_models
from chatmock.keys.database import KEYS_FILE
from chatmock.keys.store import KeyStore
from chatmock.settings import Secret
from tests.conftest import KEY, Daemon, Start, until
from tests.keys.making import entry_of
from tests.openapi.described import checked
from tests.test_admitting import http
from tests.test_lifetimes import connect
from tests.upstreams.ollama_server import JSON, OllamaServer
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Reply

MEMORY = {"expires_at": "2026-06-19T17:20:40.5-07:00", "size_vram": 2400000000, "context_length": 4096}


def loaded(ollama: OllamaServer, *places: int) -> list[dict[str, Any]]:
    """Have the models at *places* of its list in its memory."""
    entries = [{**ollama.tags[place].entry(), **MEMORY} for place in places]
    answering(ollama, json.dumps({"models": entries}).encode())
    return entries


def answering(ollama: OllamaServer, body: bytes, status: int = 200, before: float = 0.0) -> None:
    reply = Reply([body], status, JSON, before=before)
    ollama.override = lambda asked: reply if asked.path == "/api/ps" else None


@pytest.fixture
def daemon(start: Start, upstream: OpenAIServer, ollama: OllamaServer) -> Daemon:
    upstream.models = [{"id": "qwen3:4b", "object": "model"}]
    return start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        ollama_upstream=ollama.url,
    )


async def listed(daemon: Daemon) -> Any:
    await checked(daemon, "GET", "/api/tags")  # the names are known from here on
    return json.loads((await checked(daemon, "GET", "/api/ps")).body)["models"]


async def test_its_models_in_memory(daemon: Daemon, ollama: OllamaServer) -> None:
    entries = loaded(ollama, 0, 1)
    taken = "ollama/qwen3:4b"  # the other provider has one of that name
    assert await listed(daemon) == [{**entries[0], "name": taken, "model": taken}, entries[1]]


async def test_one_that_is_not_listed_yet(daemon: Daemon, ollama: OllamaServer) -> None:
    answering(ollama, b'{"models":[{"name":"phi4:latest","expires_at":"soon","size":-1,"odd":1}]}')
    (model,) = await listed(daemon)
    assert (model["name"], model["size"]) == ("ollama/phi4:latest", 0)
    assert not {"expires_at", "odd"} & set(model)


async def test_nobody_else_has_any(start: Start) -> None:
    assert await listed(start(provider="demo")) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"no", 200), (b"[]", 200), (b'{"models":[5]}', 200), (b'{"error":"x"}', 500), (b"404", 404)],
)
async def test_what_it_does_not_tell_is_nothing(
    daemon: Daemon, ollama: OllamaServer, body: bytes, status: int
) -> None:
    answering(ollama, body, status)
    assert await listed(daemon) == []


async def test_an_endless_list_is_none(daemon: Daemon, ollama: OllamaServer) -> None:
    answering(ollama, b'{"models":[{"name":"m"}]}' + b" " * loaded_models.MOST_BYTES)
    assert await listed(daemon) == []
    await until(lambda: ollama.active == 0)


async def test_one_that_is_gone_has_none(start: Start) -> None:
    assert await listed(start(provider="demo", ollama_upstream="http://127.0.0.1:9")) == []


async def test_a_silent_one_is_not_waited_for(
    daemon: Daemon, ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded_models, "SECONDS", 0.05)
    answering(ollama, b"", before=60)
    assert await listed(daemon) == []
    await until(lambda: ollama.active == 0)


async def test_who_leaves_is_left(daemon: Daemon, ollama: OllamaServer) -> None:
    answering(ollama, b"", before=60)
    client = await connect(daemon)
    assert client.transport is not None
    client.transport.write(b"GET /api/ps HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await until(lambda: len(ollama.at("/api/ps")) == 1)
    client.leave()
    await until(lambda: ollama.active == 0)


async def test_a_key_that_is_for_some_models(start: Start, ollama: OllamaServer, home: Path) -> None:
    KeyStore(home / ".chatgpt-local" / KEYS_FILE).add(entry_of("anna", b"sk-anna", models=("llama3.2*",)))
    daemon = start(ollama_upstream=ollama.url, require_auth=True)
    loaded(ollama, 0, 1)
    answer = await http(daemon, "GET", "/api/ps", Authorization="Bearer sk-anna")
    assert [model["name"] for model in json.loads(answer.body)["models"]] == ["llama3.2:latest"]
