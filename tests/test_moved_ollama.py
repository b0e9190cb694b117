"""A daemon beside a real Ollama that was moved aside: its models answer OpenAI's and Ollama's clients as ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import ollama as ollama_sdk
import openai
import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.threads import deferToThread

from chatmock.settings import Secret
from tests.chunks import completion, text_stream
from tests.conftest import KEY, Daemon, Start, until
from tests.test_lifetimes import RawClient
from tests.test_ollama_port import raw
from tests.upstreams.ollama_server import OllamaServer, Tag
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Reply

HELLO: Any = [{"role": "user", "content": "Hello"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALLS = (("weather", {"city": "Rome"}), ("weather", {"city": "Bern"}))


@pytest.fixture
def daemon(start: Start, upstream: OpenAIServer, ollama: OllamaServer) -> Daemon:
    """A daemon with another default provider, and an Ollama behind it; clients of the latter find it at its port."""
    upstream.models = [{"id": "m", "object": "model", "created": 1}]
    upstream.answer = lambda asked: (
        Reply(text_stream("by m"))
        if asked.body.get("stream")
        else Reply([json.dumps(completion()).encode()], content_type=b"application/json")
    )
    return start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        ollama_upstream=ollama.url,
        ollama_port=0,
        max_concurrency=4,
    )


async def native(daemon: Daemon, call: Callable[[Any], Any]) -> Any:
    """Run *call* with Ollama's own client in a thread."""

    def run() -> Any:
        with ollama_sdk.Client(host=daemon.service.ollama_url, timeout=30.0) as sdk:
            return call(sdk)

    return await deferToThread(run)


# --- Ollama's clients


@pytest.mark.parametrize("name", ["qwen3:4b", "ollama/qwen3:4b"])
async def test_a_stream_of_ollamas_own(daemon: Daemon, ollama: OllamaServer, name: str) -> None:
    ollama.say(thinking=("Hm", "m."), calls=CALLS)
    asked = {
        "options": {"num_predict": 9000, "top_k": 3},
        "keep_alive": "5m",
        "think": True,
        "tools": [WEATHER],
    }
    parts = await native(daemon, lambda sdk: list(sdk.chat(name, HELLO, stream=True, **asked)))
    assert "".join(part.message.thinking or "" for part in parts) == "Hmm."
    assert "".join(part.message.content or "" for part in parts) == "Hello <you>."
    calls = [call.function for part in parts for call in part.message.tool_calls or ()]
    assert [(call.name, call.arguments) for call in calls] == list(CALLS)
    assert {part.model for part in parts} == {name}
    last = parts[-1]
    assert (last.done, last.done_reason, last.eval_count) == (True, "stop", 473)
    assert last.total_duration == 7577982042
    (sent,) = ollama.at("/api/chat")
    assert sent.body["model"] == "qwen3:4b"
    assert sent.body["options"] == {"num_predict": 2048, "top_k": 3}
    assert (sent.body["keep_alive"], sent.body["think"]) == ("5m", True)
    assert "authorization" not in sent.headers


async def test_lines_pass_as_they_are(daemon: Daemon, ollama: OllamaServer) -> None:
    body = json.dumps({"model": "qwen3:4b", "messages": HELLO}).encode()
    through = await raw(daemon.service.ollama_url, "POST", "/api/chat", body)
    direct = await raw(ollama.url, "POST", "/api/chat", body)
    assert through.status == 200
    assert through.headers["content-type"] == "application/x-ndjson"
    assert lines(through.body) == lines(direct.body)
    assert b"\\u003cyou" in through.body


def lines(chunked: bytes) -> list[bytes]:
    return [line for line in chunked.split(b"\n") if line.startswith(b"{")]


async def test_a_whole_answer_of_ollamas_own(daemon: Daemon, ollama: OllamaServer) -> None:
    ollama.say(thinking=("Hmm.",), calls=CALLS[:1])
    answer = await native(daemon, lambda sdk: sdk.chat("ollama/qwen3:4b", HELLO, think=True, tools=[WEATHER]))
    assert (answer.model, answer.message.thinking, answer.message.content) == (
        "ollama/qwen3:4b",
        "Hmm.",
        "Hello <you>.",
    )
    assert answer.message.tool_calls[0].function.arguments == {"city": "Rome"}
    assert answer.prompt_eval_count == 262


async def test_a_text_of_ollamas_own(daemon: Daemon, ollama: OllamaServer) -> None:
    ollama.say(reason="length")
    parts = await native(daemon, lambda sdk: list(sdk.generate("llama3.2", "Once", stream=True)))
    assert "".join(part.response for part in parts) == "Hello <you>."
    assert parts[-1].done_reason == "length"
    whole = await native(daemon, lambda sdk: sdk.generate("llama3.2:latest", "Once"))
    assert whole.response == "Hello <you>."
    assert [asked.body["model"] for asked in ollama.at("/api/generate")] == ["llama3.2", "llama3.2:latest"]


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
async def test_nothing_said_loads_and_unloads_its_models(
    daemon: Daemon, ollama: OllamaServer, path: str
) -> None:
    for more, reason in (({}, "load"), ({"keep_alive": 0}, "unload")):
        body = json.dumps({"model": "qwen3:4b", **more}).encode()
        told = await raw(daemon.service.ollama_url, "POST", path, body)
        assert told.status == 200
        assert json.loads(told.body)["done_reason"] == reason
    assert [asked.body.get("keep_alive") for asked in ollama.at(path)] == [None, 0]


async def test_a_model_of_another_provider_is_not_asked_of_it(daemon: Daemon, ollama: OllamaServer) -> None:
    answer = await native(daemon, lambda sdk: sdk.chat("m", HELLO))
    assert answer.message.content == "by m"
    assert ollama.at("/api/chat", "/v1/chat/completions") == []


@pytest.mark.parametrize("stream", [True, False])
async def test_its_refusals_reach_its_clients(daemon: Daemon, ollama: OllamaServer, stream: bool) -> None:
    def ask(sdk: Any) -> None:
        list(sdk.chat("llama3.2", HELLO, think=True, stream=stream))

    with pytest.raises(ollama_sdk.ResponseError, match=r'"llama3\.2" does not support thinking') as caught:
        await native(daemon, ask)
    assert caught.value.status_code == 400


async def test_an_error_in_the_stream(daemon: Daemon, ollama: OllamaServer) -> None:
    ollama.say(error="model runner has unexpectedly stopped")
    got: list[str] = []

    def ask(sdk: Any) -> None:
        got.extend(part.message.content or "" for part in sdk.chat("qwen3:4b", HELLO, stream=True))

    with pytest.raises(ollama_sdk.ResponseError, match="model runner has unexpectedly stopped"):
        await native(daemon, ask)
    assert "".join(got) == "Hello <you>."


async def test_a_stream_that_is_cut(daemon: Daemon, ollama: OllamaServer) -> None:
    ollama.say(ending="cut")
    with pytest.raises(ollama_sdk.ResponseError, match="ended its answer before it was complete"):
        await native(daemon, lambda sdk: list(sdk.chat("qwen3:4b", HELLO, stream=True)))


async def test_a_stream_of_another_kind_is_none(daemon: Daemon, ollama: OllamaServer) -> None:
    page = Reply([b"<html>"], content_type=b"text/html")
    ollama.override = lambda asked: page if asked.path == "/api/chat" else None
    with pytest.raises(ollama_sdk.ResponseError, match="did not answer as a stream") as caught:
        await native(daemon, lambda sdk: list(sdk.chat("qwen3:4b", HELLO, stream=True)))
    assert caught.value.status_code == 502


async def test_who_leaves_is_left(daemon: Daemon, ollama: OllamaServer) -> None:
    ollama.say(text=("x",) * 10_000, pause=0.002)
    client = await post(daemon, "/api/chat", {"model": "qwen3:4b", "messages": HELLO})
    await until(lambda: b'"done":false' in client.received)
    client.leave()
    await until(lambda: ollama.active == 0)
    await until(lambda: daemon.service.slots.held == 0)


async def post(daemon: Daemon, path: str, fields: dict[str, Any], **headers: str) -> RawClient:
    """Connect to the port for Ollama's clients, and ask."""
    port = int(str(daemon.service.ollama_url).rpartition(":")[2])
    client: RawClient = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), RawClient())
    body = json.dumps(fields).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    assert client.transport is not None
    client.transport.write(f"{head}{more}Content-Type: application/json\r\n\r\n".encode() + body)
    return client


# --- OpenAI's clients


@pytest.mark.parametrize("name", ["qwen3:4b", "ollama/qwen3:4b"])
async def test_a_stream_over_its_v1(daemon: Daemon, ollama: OllamaServer, name: str) -> None:
    ollama.say(thinking=("Hm", "m."), calls=CALLS)
    ask: Callable[[Any], Any] = lambda sdk: list(  # noqa: E731
        sdk.chat.completions.create(
            model=name, messages=HELLO, stream=True, tools=[WEATHER], stream_options={"include_usage": True}
        )
    )
    chunks = await daemon.ask(ask)
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Hmm."
    assert "".join(delta.content or "" for delta in deltas) == "Hello <you>."
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    assert [(call.index, json.loads(call.function.arguments)) for call in calls] == [
        (0, {"city": "Rome"}),
        (1, {"city": "Bern"}),
    ]
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["tool_calls"]
    assert chunks[-1].usage.completion_tokens == 473


async def test_a_whole_answer_over_its_v1(daemon: Daemon, ollama: OllamaServer) -> None:
    ollama.say(thinking=("Hmm.",), calls=CALLS[:1])
    answer = await daemon.ask(
        lambda sdk: sdk.chat.completions.create(model="qwen3:4b", messages=HELLO, tools=[WEATHER])
    )
    message = answer.choices[0].message
    assert (message.content, message.reasoning_content) == ("Hello <you>.", "Hmm.")
    assert message.tool_calls[0].function.name == "weather"
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_an_effort_that_its_model_lacks_is_left_out(daemon: Daemon, ollama: OllamaServer) -> None:
    def ask(sdk: openai.OpenAI) -> Any:
        create = sdk.chat.completions.with_raw_response.create
        return create(model="llama3.2", messages=HELLO, reasoning_effort="high")

    answer = await daemon.ask(ask)
    assert answer.parse().choices[0].message.content == "Hello <you>."
    assert answer.headers["x-chatmock-ignored"] == "reasoning_effort"
    assert [asked.body.get("reasoning_effort") for asked in ollama.at("/v1/chat/completions")] == [
        "high",
        None,
    ]


async def test_embeddings(daemon: Daemon, ollama: OllamaServer) -> None:
    answer = await daemon.ask(lambda sdk: sdk.embeddings.create(model="all-minilm", input=["ab", "abc"]))
    assert [each.embedding for each in answer.data] == [[2.0, 0.5], [3.0, 0.5]]


# --- names


async def test_its_models_are_listed(daemon: Daemon) -> None:
    listed = await daemon.ask(lambda sdk: [model.id for model in sdk.models.list()])
    assert listed == ["m", "qwen3:4b", "llama3.2:latest", "all-minilm:latest"]


async def test_a_model_pulled_a_moment_ago_is_asked(daemon: Daemon, ollama: OllamaServer) -> None:
    await daemon.ask(lambda sdk: list(sdk.models.list()))
    ollama.hidden.append(Tag("phi4:latest"))
    answer = await daemon.ask(lambda sdk: sdk.chat.completions.create(model="phi4", messages=HELLO))
    assert answer.choices[0].message.content == "Hello <you>."
    spoken = await native(daemon, lambda sdk: sdk.chat("phi4:latest", HELLO))
    assert spoken.message.content == "Hello <you>."


async def test_a_name_that_nobody_knows_is_refused_in_its_words(daemon: Daemon, ollama: OllamaServer) -> None:
    with pytest.raises(openai.NotFoundError, match="model 'nope' not found") as caught:
        await daemon.ask(lambda sdk: sdk.chat.completions.create(model="nope", messages=HELLO))
    assert caught.value.code == "model_not_found"
    with pytest.raises(ollama_sdk.ResponseError, match="model 'nope' not found") as told:
        await native(daemon, lambda sdk: sdk.chat("nope", HELLO))
    assert told.value.status_code == 404
    assert len(ollama.at("/api/chat", "/v1/chat/completions")) == 2


async def test_as_the_default_it_is_asked_for_any_name(start: Start, ollama: OllamaServer) -> None:
    daemon = start(ollama_upstream=ollama.url)
    ollama.hidden.append(Tag("phi4:latest"))
    for name in ("phi4", None):
        fields: Any = {"messages": HELLO} if name is None else {"messages": HELLO, "model": name}
        answer = await raw(daemon.url, "POST", "/v1/chat/completions", json.dumps(fields).encode())
        assert answer.status == 200
    assert [asked.body["model"] for asked in ollama.at("/v1/chat/completions")] == ["phi4", "qwen3:4b"]


async def test_its_aliases_and_allowed_names(start: Start, ollama: OllamaServer) -> None:
    daemon = start(
        ollama_upstream=ollama.url, ollama_aliases={"gpt-4o": "qwen3:4b"}, ollama_models=("new:1b",)
    )
    answer = await daemon.ask(lambda sdk: sdk.chat.completions.create(model="gpt-4o", messages=HELLO))
    assert answer.choices[0].message.content
    assert "new:1b" in await daemon.ask(lambda sdk: [model.id for model in sdk.models.list()])


async def test_one_that_is_not_there_leaves_the_others_alone(start: Start, upstream: OpenAIServer) -> None:
    upstream.reply_json(completion())
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        ollama_upstream="http://127.0.0.1:9",
    )
    answer = await daemon.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert answer.choices[0].message.content == "Hello."
    with pytest.raises(openai.APIStatusError, match="Ollama cannot be reached"):
        await daemon.ask(lambda sdk: sdk.chat.completions.create(model="ollama/x", messages=HELLO))
