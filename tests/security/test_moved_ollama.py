"""What a client cannot have an Ollama do that was moved aside: answer with a model that its key is not for, fetch from a
host of its choice, tell of the owner's disk, or ask chatmock itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatmock.keys.database import KEYS_FILE
from chatmock.keys.store import KeyStore
from chatmock.settings import Secret
from tests.conftest import Daemon, Start
from tests.keys.making import entry_of
from tests.security.verdicts import ASKING
from tests.test_moved_ollama import lines
from tests.test_ollama_port import Answer, raw
from tests.upstreams.ollama_server import OllamaServer, Tag

ANNA = {"Authorization": "Bearer sk-anna"}
"""Whose key is for some models."""
ADMIN = {"Authorization": "Bearer sk-admin"}
BEHIND = {"X_Forwarded_For": "192.168.1.9"}
"""What comes from somewhere else, and shows no key."""


@pytest.fixture
def daemon(start: Start, ollama: OllamaServer, home: Path) -> Daemon:
    """A daemon with an Ollama behind it, and keys; on its own machine none is needed."""
    store = KeyStore(home / ".chatgpt-local" / KEYS_FILE)
    store.add(entry_of("anna", b"sk-anna", models=("llama3.2*", "phi*", "*/*")))
    store.add(entry_of("admin", b"sk-admin", admin=True))
    ollama.tags.append(Tag("secret:latest"))
    return start(ollama_upstream=ollama.url, max_message_chars=20)


async def ask(daemon: Daemon, path: str, fields: Any, **headers: str) -> Answer:
    return await raw(daemon.url, "POST", path, json.dumps(fields).encode(), **headers)


# --- names that are written otherwise


SPELLINGS = ["Model", "MODEL", "mODEl"]
DIALECTS = [name for name in ASKING if name != "openai-completions"]


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_key_is_for_its_models_however_they_are_asked_for(
    daemon: Daemon, ollama: OllamaServer, dialect: str, name: str
) -> None:
    asking = ASKING[dialect]
    asked = {"model": "llama3.2", "stream": False, **asking.prompt}
    assert (await ask(daemon, asking.path, asked, **ANNA)).status == 200
    refused = await ask(daemon, asking.path, {**asked, name: "secret:latest"}, **ANNA)
    assert refused.status == 400
    assert f"unknown field '{name}'" in refused.body.decode()
    assert not any("secret:latest" in str(each.body) for each in ollama.asked)


@pytest.mark.parametrize("path", ["/api/show", "/api/pull"])
@pytest.mark.parametrize("name", [*SPELLINGS, "Name", "name"])
async def test_that_is_so_of_what_is_no_answer(
    daemon: Daemon, ollama: OllamaServer, path: str, name: str
) -> None:
    await ask(daemon, path, {"model": "llama3.2", name: "secret:latest"}, **ANNA)
    assert {each.body.get("name") for each in ollama.at(path)} <= {None}
    assert {each.body["model"] for each in ollama.at(path)} <= {"llama3.2"}


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/api/chat", {"me\u017f\u017fages": [{"role": "user", "content": "x" * 21}]}),
        ("/api/chat", {"messages": [{"role": "user", "content": "Hi", "Content": "x" * 21}]}),
        ("/api/chat", {"Options": {"num_predict": 1_000_000}}),
        ("/api/generate", {"Prompt": "x" * 21}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi", "CONTENT": "x" * 21}]}),
        ("/v1/chat/completions", {"Max_Tokens": 1_000_000}),
    ],
)
async def test_limits_hold_however_it_is_written(
    daemon: Daemon, ollama: OllamaServer, path: str, more: dict[str, Any]
) -> None:
    said = {"prompt": "Hi"} if path == "/api/generate" else {"messages": [{"role": "user", "content": "Hi"}]}
    refused = await ask(daemon, path, {"model": "llama3.2", **said, **more})
    assert refused.status == 400
    assert "unknown field" in refused.body.decode()
    assert ollama.at("/api/chat", "/api/generate", "/v1/chat/completions") == []


async def test_the_fake_takes_names_as_go_does(ollama: OllamaServer) -> None:
    asked = {"model": "llama3.2", "Model": "nope", "me\u017f\u017fages": [{"role": "user", "content": "Hi"}]}
    told = await raw(ollama.url, "POST", "/api/chat", json.dumps(asked).encode())
    assert (told.status, ollama.asked[0].body["model"]) == (404, "nope")
    assert ollama.asked[0].body["messages"]


# --- pulls


@pytest.mark.parametrize(
    "name",
    [
        "http://10.0.0.1/library/x",
        "https://evil.example/a/b:c",
        "10.0.0.1/library/x",
        "10.0.0.1:5000/x",
        "evil.example/x",
        "evil:80/x",
        "hf.co/someone/model",
        "registry.ollama.ai/library/x",
        "localhost/library/x",
        "a/b/c",
        "../x",
        "x/../y",
        "x y",
        "x@sha256:00",
        "phi4\n",
    ],
)
async def test_nothing_is_fetched_from_a_host_of_the_clients_choice(
    daemon: Daemon, ollama: OllamaServer, name: str
) -> None:
    for headers in ({}, ADMIN):
        refused = await ask(daemon, "/api/pull", {"model": f"ollama/{name}"}, **headers)
        assert refused.status == 400
        assert "Ollama's own library" in refused.body.decode()
    assert ollama.at("/api/pull") == []


@pytest.mark.parametrize("name", ["phi4", "phi4:14b-q4_K_M", "someone/phi4", "someone/phi-4.5:q8"])
async def test_only_the_owner_has_new_ones_pulled(daemon: Daemon, ollama: OllamaServer, name: str) -> None:
    for headers in (ANNA, BEHIND):
        refused = await ask(daemon, "/api/pull", {"model": name}, **headers)
        assert refused.status == 403
        assert "Only the owner" in refused.body.decode()
    assert ollama.at("/api/pull") == []
    tags = list(ollama.tags)
    for headers in ({}, ADMIN):
        assert (await ask(daemon, "/api/pull", {"model": name}, **headers)).status == 200
        ollama.tags = list(tags)
    assert [each.body["model"] for each in ollama.at("/api/pull")] == [name, name]


@pytest.mark.parametrize("headers", [ANNA, BEHIND])
async def test_everybody_has_those_renewed_that_are_there(
    daemon: Daemon, ollama: OllamaServer, headers: dict[str, str]
) -> None:
    asked = {
        "model": "llama3.2",
        "insecure": True,
        "username": "u",
        "password": "p",
        "Insecure": True,
        "stream": False,
    }
    assert (await ask(daemon, "/api/pull", asked, **headers)).status == 200
    assert ollama.at("/api/pull")[0].body == {"model": "llama3.2", "stream": True}


async def test_names_that_the_owner_allows_are_listed(start: Start, ollama: OllamaServer) -> None:
    daemon = start(ollama_upstream=ollama.url, ollama_models=("phi4",))
    assert (await ask(daemon, "/api/pull", {"model": "phi4"}, **BEHIND)).status == 200


# --- what is shown


@pytest.mark.parametrize(("headers", "whole"), [({}, True), (ADMIN, True), (ANNA, False), (BEHIND, False)])
async def test_paths_of_its_disk_are_the_owners(
    daemon: Daemon, ollama: OllamaServer, headers: dict[str, str], whole: bool
) -> None:
    asked = {"model": "llama3.2", "verbose": True, "system": "x", "options": {"a": 1}}
    (told,) = lines((await ask(daemon, "/api/show", asked, **headers)).body)
    shown = ollama.tags[1].shown()
    if not whole:
        del shown["modelfile"]
    assert json.loads(told) == shown
    assert ollama.at("/api/show")[0].body == {"model": "llama3.2", "verbose": True}


# --- circles


async def test_a_chatmock_does_not_go_round_in_a_circle(start: Start) -> None:
    """One stands for itself here, under a name by which the settings cannot know it."""
    far = start(provider="demo", ollama_port=0)
    near = start(provider="ollama", ollama_upstream=far.service.ollama_url)
    messages = [{"role": "user", "content": "Hello"}]
    for path in ("/api/chat", "/v1/chat/completions"):
        refused = await ask(near, path, {"model": "ollama/demo", "messages": messages})
        assert refused.status == 400
        assert "CHATMOCK_OLLAMA_UPSTREAM" in refused.body.decode()
    assert (await ask(far, "/api/chat", {"model": "demo", "messages": messages})).status == 200


async def test_every_request_to_it_tells_where_it_comes_from(daemon: Daemon, ollama: OllamaServer) -> None:
    await ask(daemon, "/v1/embeddings", {"model": "all-minilm", "input": "x"})
    await ask(daemon, "/api/embed", {"model": "all-minilm", "input": "x"})
    for dialect in DIALECTS:
        await ask(daemon, ASKING[dialect].path, {"model": "llama3.2", **ASKING[dialect].prompt})
    assert len(ollama.asked) > 7
    assert {each.headers.get("x-chatmock-hop") for each in ollama.asked} == {"1"}


async def test_the_key_is_looked_at_first(start: Start) -> None:
    daemon = start(provider="demo", require_auth=True, access_token=Secret("s3cret-s3cret-s3cret"))
    assert (await raw(daemon.url, "GET", "/v1/models", X_Chatmock_Hop="1")).status == 401
