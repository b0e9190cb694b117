"""Embeddings for Ollama's clients: the official SDK against the daemon, which stands in front of a fake upstream."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import ollama as ollama_sdk
import pytest
from twisted.internet.threads import deferToThread

from chatmock.settings import Secret
from tests.conftest import KEY, Daemon, Start, until
from tests.openapi.described import checked
from tests.test_admitting import http
from tests.test_lifetimes import connect, slots
from tests.upstreams.ollama_server import OllamaServer
from tests.upstreams.openai_server import OpenAIServer, numbers
from tests.upstreams.playing_site import Reply

EMBED = "/api/embed"
OLDER = "/api/embeddings"


async def ask(daemon: Daemon, call: Callable[[ollama_sdk.Client], Any]) -> Any:
    """Run *call* with a client in a thread."""

    def run() -> Any:
        with ollama_sdk.Client(daemon.url) as client:
            return call(client)

    return await deferToThread(run)


async def refused(daemon: Daemon, call: Callable[[ollama_sdk.Client], Any]) -> ollama_sdk.ResponseError:
    with pytest.raises(ollama_sdk.ResponseError) as caught:
        await ask(daemon, call)
    return caught.value


async def test_texts(compatible: Daemon, upstream: OpenAIServer) -> None:
    answer = await ask(compatible, lambda client: client.embed("e", ["a", "bcd"], dimensions=2))
    assert answer.embeddings == [numbers("a", 2), numbers("bcd", 2)]
    assert answer.model == "e"
    assert answer.prompt_eval_count == 7
    assert answer.total_duration > 0
    assert answer.load_duration is None  # nothing was loaded here
    body = upstream.embeddings()[0].body
    assert body == {"model": "e", "input": ["a", "bcd"], "encoding_format": "float", "dimensions": 2}


async def test_one_text(compatible: Daemon) -> None:
    assert (await ask(compatible, lambda client: client.embed("e", "Hello"))).embeddings == [numbers("Hello")]


async def test_the_older_form(compatible: Daemon) -> None:
    answer = await ask(compatible, lambda client: client.embeddings("e", "Hello"))
    assert answer.embedding == numbers("Hello")


async def test_a_tag_that_clients_add(start: Start, upstream: OpenAIServer) -> None:
    upstream.models = [{"id": "e"}]
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    assert (await ask(daemon, lambda client: client.embed("e:latest", "a"))).embeddings
    assert upstream.embeddings()[0].body["model"] == "e"


async def test_nothing_to_embed_asks_nobody(compatible: Daemon, upstream: OpenAIServer) -> None:
    assert (await ask(compatible, lambda client: client.embed("e", ""))).embeddings == []
    assert (await ask(compatible, lambda client: client.embed("e", []))).embeddings == []
    assert (await ask(compatible, lambda client: client.embeddings("e", ""))).embedding == []
    assert not upstream.embeddings()


async def test_what_only_ollamas_engine_has_is_named_as_ignored(
    compatible: Daemon, upstream: OpenAIServer
) -> None:
    body = {
        "model": "e",
        "input": "a",
        "truncate": True,
        "keep_alive": "5m",
        "options": {"num_ctx": 2048, "seed": None},
    }
    answer = await checked(compatible, "POST", EMBED, 200, body)
    assert answer.headers["x-chatmock-ignored"] == "keep_alive, options.num_ctx, truncate"
    assert set(upstream.embeddings()[0].body) == {"model", "input", "encoding_format"}


async def test_the_answers_are_described(compatible: Daemon) -> None:
    plain = await checked(compatible, "POST", EMBED, 200, {"model": "<e>", "input": "a"})
    assert b'"model":"\\u003ce\\u003e"' in plain.body  # as Go writes it
    await checked(compatible, "POST", OLDER, 200, {"model": "e", "prompt": "a"})


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (EMBED, b"", "missing request body"),
        (EMBED, {"input": "a"}, "model is required"),
        (EMBED, {"model": "e", "input": 5}, "'input'"),
        (EMBED, {"model": "e", "input": ["a", 5]}, "input"),
        (EMBED, {"model": "e", "input": ["a", ""]}, "empty"),
        (EMBED, {"model": "e", "input": ["a"] * 2049}, "2048"),
        (EMBED, {"model": "e", "input": "a", "dimensions": -1}, "dimensions"),
        (EMBED, b'{"model":"e","model":"f"}', "equal keys"),
        (OLDER, {"prompt": "a"}, "model is required"),
        (OLDER, {"model": "e", "prompt": ["a"]}, "prompt"),
    ],
)
async def test_bad_requests(compatible: Daemon, path: str, body: Any, words: str) -> None:
    answer = await checked(compatible, "POST", path, 400, body)
    assert words in json.loads(answer.body)["error"]


async def test_who_has_none_says_so(start: Start) -> None:
    daemon = start(provider="demo")
    for call in (lambda c: c.embed("demo", "a"), lambda c: c.embeddings("demo", "a")):
        error = await refused(daemon, call)
        assert error.status_code == 501
        assert "The demo has no embeddings" in error.error
    await checked(daemon, "POST", EMBED, 501, {"model": "demo", "input": "a"})


async def test_a_model_that_is_not_there(start: Start, upstream: OpenAIServer) -> None:
    upstream.models = [{"id": "e"}]
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    error = await refused(daemon, lambda client: client.embed("nobody", "a"))
    assert error.status_code == 404
    assert error.error.startswith("model 'nobody' not found")


async def test_what_the_upstream_refuses(compatible: Daemon, upstream: OpenAIServer) -> None:
    told = json.dumps({"error": {"message": "the input is too long"}}).encode()
    upstream.embed = lambda asked: Reply([told], status=400, content_type=b"application/json")
    answer = await http(compatible, "POST", EMBED, {"model": "e", "input": "a"})
    assert (answer.status, set(json.loads(answer.body))) == (400, {"error"})
    assert b"the input is too long" in answer.body


async def test_an_ollama_that_was_moved_aside(start: Start, ollama: OllamaServer) -> None:
    daemon = start(provider="demo", ollama_upstream=ollama.url)
    answer = await ask(daemon, lambda client: client.embed("all-minilm", ["a", "bcd"]))
    assert answer.embeddings == [[1.0, 0.5], [3.0, 0.5]]
    assert (answer.model, answer.prompt_eval_count) == ("all-minilm", 3)
    assert [asked.body["input"] for asked in ollama.at("/api/embed")] == [["a", "bcd"]]
    packed = await daemon.ask(lambda sdk: sdk.embeddings.create(model="all-minilm", input="a"))
    assert packed.data[0].embedding == [1.0, 0.5]
    error = await refused(daemon, lambda client: client.embed("nobody", "a"))
    assert (error.status_code, error.error.startswith("model 'nobody' not found")) == (404, True)


async def test_leaving(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.embed = lambda asked: Reply(before=60)
    client = await connect(compatible)
    data = b'{"model":"e","input":"a"}'
    head = b"POST /api/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    assert client.transport is not None
    client.transport.write(head % len(data) + data)
    await until(lambda: len(upstream.embeddings()) == 1 and slots(compatible) == (1, 0))
    client.leave()
    await until(lambda: upstream.active == 0 and slots(compatible) == (0, 0))
