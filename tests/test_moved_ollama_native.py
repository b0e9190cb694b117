"""What clients of an Ollama get of one that was moved aside, and of no other upstream: its facts, its words, its engine."""

from __future__ import annotations

import json
from typing import Any

import ollama as ollama_sdk
import pytest

from chatmock.settings import Secret
from tests.conftest import KEY, Daemon, Start
from tests.openapi.described import checked
from tests.test_moved_ollama import HELLO, WEATHER, lines, native
from tests.test_ollama_port import raw
from tests.upstreams.ollama_server import JSON, LINES, OllamaServer, Tag
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Asked, Reply

REFUSALS = [
    (
        "/api/chat",
        {"model": "llama3.2", "messages": HELLO, "think": True},
        '"llama3.2" does not support thinking',
    ),
    ("/api/chat", {"model": "all-minilm", "messages": HELLO}, '"all-minilm" does not support chat'),
    ("/api/generate", {"model": "all-minilm", "prompt": "Hi"}, '"all-minilm" does not support generate'),
]


@pytest.fixture
def daemon(start: Start, upstream: OpenAIServer, ollama: OllamaServer) -> Daemon:
    upstream.models = [{"id": "m", "object": "model", "created": 1}]
    return start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        ollama_upstream=ollama.url,
        ollama_port=0,
    )


def answering(path: str, told: Any, status: int = 200) -> Any:
    body = json.dumps(told).encode()
    return lambda asked: Reply([body], status, JSON) if asked.path == path else None


async def told(daemon: Daemon, path: str, fields: Any) -> tuple[int, Any]:
    answer = await raw(daemon.service.ollama_url, "POST", path, json.dumps(fields).encode())
    return answer.status, json.loads(answer.body)


# --- facts


async def test_its_models_are_listed_with_its_facts(daemon: Daemon, ollama: OllamaServer) -> None:
    answer = await checked(daemon, "GET", "/api/tags")
    models = {model["name"]: model for model in json.loads(answer.body)["models"]}
    entry = ollama.tags[0].entry()
    assert models["qwen3:4b"] == entry
    assert (models["qwen3:4b"]["size"], models["qwen3:4b"]["digest"]) == (2497293931, ollama.tags[0].digest)
    assert models["qwen3:4b"]["details"]["parameter_size"] == "4.0B"
    assert (models["m"]["size"], models["m"]["remote_host"]) == (0, "compatible")
    assert "remote_host" not in models["qwen3:4b"]


async def test_only_the_names_are_ours(start: Start, ollama: OllamaServer) -> None:
    daemon = start(ollama_upstream=ollama.url, ollama_aliases={"gpt-4o": "qwen3:4b"})
    models = json.loads((await checked(daemon, "GET", "/api/tags")).body)["models"]
    named = {model["name"]: model for model in models}
    assert named["gpt-4o"] == {**ollama.tags[0].entry(), "name": "gpt-4o", "model": "gpt-4o"}


async def test_what_an_older_one_does_not_tell(start: Start, ollama: OllamaServer) -> None:
    ollama.tags = [Tag("old:1b", told=False)]
    daemon = start(ollama_upstream=ollama.url)
    (model,) = json.loads((await checked(daemon, "GET", "/api/tags")).body)["models"]
    assert model == {**ollama.tags[0].entry(), "capabilities": ["completion", "tools"]}


# --- words


@pytest.mark.parametrize(("path", "fields", "words"), REFUSALS)
@pytest.mark.parametrize("stream", [True, False])
async def test_refusals_are_in_its_words(
    daemon: Daemon, path: str, fields: Any, words: str, stream: bool
) -> None:
    assert await told(daemon, path, {**fields, "stream": stream}) == (400, {"error": words})


async def test_one_that_it_lacks(daemon: Daemon) -> None:
    assert await told(daemon, "/api/show", {"model": "nope"}) == (404, {"error": "model 'nope' not found"})


async def test_a_failure_in_the_stream_is_in_its_words(daemon: Daemon, ollama: OllamaServer) -> None:
    ollama.say(error="model runner has unexpectedly stopped")
    body = json.dumps({"model": "qwen3:4b", "messages": HELLO}).encode()
    answer = await raw(daemon.service.ollama_url, "POST", "/api/chat", body)
    assert answer.status == 200
    assert json.loads(lines(answer.body)[-1]) == {"error": "model runner has unexpectedly stopped"}


async def test_others_are_told_whose_words_they_are(daemon: Daemon, ollama: OllamaServer) -> None:
    ollama.say(error="model runner has unexpectedly stopped")
    body = json.dumps({"model": "qwen3:4b", "messages": HELLO, "stream": True}).encode()
    answer = await raw(daemon.url, "POST", "/v1/chat/completions", body)
    assert b"Ollama answered with an error: model runner has unexpectedly stopped" in answer.body
    assert b"502" not in answer.body


# --- engine


async def test_a_suffix_is_for_it_to_judge(daemon: Daemon, ollama: OllamaServer) -> None:
    answer = await native(daemon, lambda sdk: sdk.generate("qwen3:4b", "def f(", suffix="return"))
    assert answer.response == "Hello <you>."
    assert ollama.at("/api/generate")[0].body["suffix"] == "return"
    with pytest.raises(ollama_sdk.ResponseError, match='"m" does not support insert') as caught:
        await native(daemon, lambda sdk: sdk.generate("m", "def f(", suffix="return"))
    assert caught.value.status_code == 400


async def test_a_role_is_for_it_to_judge(
    daemon: Daemon, ollama: OllamaServer, upstream: OpenAIServer
) -> None:
    messages: Any = [{"role": "control", "content": "thinking"}, *HELLO]
    fields = {"messages": messages, "stream": False}
    assert (await told(daemon, "/api/chat", {"model": "qwen3:4b", **fields}))[0] == 200
    assert ollama.at("/api/chat")[0].body["messages"] == messages
    status, error = await told(daemon, "/api/chat", {"model": "m", **fields})
    assert status == 400
    assert error["error"].startswith("'messages[0].role' is 'control'")
    assert not upstream.chats()


@pytest.mark.parametrize("wanted", [-1, -2, 100_000])
async def test_without_end_means_the_owners_maximum(
    daemon: Daemon, ollama: OllamaServer, upstream: OpenAIServer, wanted: int
) -> None:
    fields = {"messages": HELLO, "stream": False, "options": {"num_predict": wanted, "top_k": 3}}
    assert (await told(daemon, "/api/chat", {"model": "qwen3:4b", **fields}))[0] == 200
    assert ollama.at("/api/chat")[0].body["options"] == {"num_predict": 2048, "top_k": 3}
    await told(daemon, "/api/chat", {"model": "m", **fields})
    assert upstream.chats()[0].body["max_tokens"] == 2048


async def test_what_the_catalogue_knows_a_model_cannot_do(daemon: Daemon, upstream: OpenAIServer) -> None:
    upstream.models = [{"id": "a/plain", "supported_parameters": ["max_tokens"]}]
    asking = {"model": "a/plain", "messages": HELLO, "stream": False}
    for think in (True, "high"):
        assert await told(daemon, "/api/chat", {**asking, "think": think}) == (
            400,
            {"error": '"a/plain" does not support thinking'},
        )
    assert await told(daemon, "/api/generate", {"model": "a/plain", "prompt": "Hi", "think": True}) == (
        400,
        {"error": '"a/plain" does not support thinking'},
    )
    assert await told(daemon, "/api/chat", {**asking, "tools": [WEATHER]}) == (
        400,
        {"error": "registry.ollama.ai/library/a/plain does not support tools"},
    )
    assert not upstream.chats()
    openai = {"model": "a/plain", "messages": HELLO, "tools": [WEATHER], "reasoning_effort": "high"}
    answer = await raw(daemon.url, "POST", "/v1/chat/completions", json.dumps(openai).encode())
    assert b"does not support" not in answer.body
    assert len(upstream.chats()) == 1, "a word of Ollama's own"


# --- embeddings


async def test_texts_are_embedded_as_its_clients_ask(daemon: Daemon, ollama: OllamaServer) -> None:
    fields = {
        "model": "ollama/all-minilm",
        "input": ["a", "bcd"],
        "truncate": False,
        "keep_alive": "5m",
        "options": {"num_ctx": 128},
        "dimensions": 2,
        "odd": 1,
    }
    answering_embed = {"embeddings": [[1.0, 0.5], [3, 1e-3]], "load_duration": 17, "prompt_eval_count": 3}
    ollama.override = answering("/api/embed", answering_embed)
    answer = await checked(daemon, "POST", "/api/embed", 200, fields)
    found = json.loads(answer.body)
    assert found.pop("total_duration") > 0
    assert found == {"model": "ollama/all-minilm", **answering_embed}
    assert "x-chatmock-ignored" not in answer.headers
    (asked,) = ollama.at("/api/embed")
    assert asked.body == {k: v for k, v in fields.items() if k != "odd"} | {"model": "all-minilm"}
    assert not ollama.at("/v1/embeddings")


async def test_one_text_in_the_older_form(daemon: Daemon, ollama: OllamaServer) -> None:
    ollama.override = answering("/api/embeddings", {"embedding": [1.5, 2]})
    fields = {"model": "all-minilm", "prompt": "a", "keep_alive": 0, "options": {"num_ctx": 128}}
    answer = await checked(daemon, "POST", "/api/embeddings", 200, fields)
    assert json.loads(answer.body) == {"embedding": [1.5, 2]}
    assert ollama.at("/api/embeddings")[0].body == fields


async def test_nothing_to_embed_loads_its_model(daemon: Daemon, ollama: OllamaServer) -> None:
    status, found = await told(daemon, "/api/embed", {"model": "all-minilm", "input": "", "keep_alive": -1})
    assert (status, found["embeddings"]) == (200, [])
    assert ollama.at("/api/embed")[0].body == {"model": "all-minilm", "input": [], "keep_alive": -1}


async def test_what_it_does_not_embed(daemon: Daemon, ollama: OllamaServer) -> None:
    words = "the input length exceeds the context length"
    ollama.override = answering("/api/embed", {"error": words}, 400)
    asked = {"model": "all-minilm", "input": "a", "truncate": False}
    assert await told(daemon, "/api/embed", asked) == (400, {"error": words})


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b'{"embeddings":5}',
        b'{"embeddings":[[1]]}',
        b'{"embeddings":[["a"],[1]]}',
        b'{"error":"x"}',
    ],
)
async def test_what_is_no_answer(daemon: Daemon, ollama: OllamaServer, body: bytes) -> None:
    def reply(asked: Asked) -> Reply | None:
        return Reply([body], content_type=LINES) if asked.path == "/api/embed" else None

    ollama.override = reply
    status, error = await told(daemon, "/api/embed", {"model": "all-minilm", "input": ["a", "b"]})
    assert status == 502
    assert error["error"]
