"""The fake Ollama answers as the recorded ones do, and refuses what the real one refuses (spec upstreams.md, E)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.captures import Recording, parametrised, recordings
from tests.upstreams.ollama_server import LINES, OllamaServer, Said, Tag
from tests.upstreams.playing_site import Asked, Reply

HELLO = [{"role": "user", "content": "Hello"}]
FOUND = [r for r in recordings("ollama") if r.kind == "ndjson"]


@pytest.fixture
def server() -> OllamaServer:
    return OllamaServer(None)


def ask(server: OllamaServer, path: str, body: Any, method: str = "POST") -> Reply:
    return server.respond(Asked(method, path, body=body))


def told(reply: Reply) -> list[Any]:
    return [json.loads(line) for line in b"".join(reply.pieces).splitlines()]


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/api/chat", None, 400, "missing request body"),
        ("/api/chat", {"messages": HELLO}, 400, "model is required"),
        ("/api/chat", {"model": "x", "messages": HELLO}, 404, "model 'x' not found"),
        ("/api/show", {"model": "x"}, 404, "model 'x' not found"),
        ("/api/show", {}, 400, "model is required"),
        (
            "/api/chat",
            {"model": "llama3.2", "messages": HELLO, "think": True},
            400,
            '"llama3.2" does not support thinking',
        ),
        ("/api/chat", {"model": "all-minilm", "messages": HELLO}, 400, '"all-minilm" does not support chat'),
        (
            "/api/generate",
            {"model": "all-minilm", "prompt": "x"},
            400,
            '"all-minilm" does not support generate',
        ),
        (
            "/api/chat",
            {"model": "qwen3:4b", "messages": HELLO, "think": "so-so"},
            400,
            'invalid think value: "so-so"',
        ),
    ],
)
def test_what_it_refuses(server: OllamaServer, path: str, body: Any, status: int, error: str) -> None:
    reply = ask(server, path, body)
    assert (reply.status, told(reply)) == (status, [{"error": error}])


def test_its_v1_refuses_in_openais_form(server: OllamaServer) -> None:
    reply = ask(server, "/v1/chat/completions", {"model": "x", "messages": HELLO})
    (body,) = told(reply)
    assert (reply.status, body["error"]["type"], body["error"]["code"]) == (404, "not_found_error", None)


def test_bad_json_is_refused(server: OllamaServer) -> None:
    asked = Asked("POST", "/api/chat", content=b"{nonsense")
    reply = ask(server, "/api/chat", server.read(asked))
    assert reply.status == 400
    assert "invalid character" in told(reply)[0]["error"]


def test_there_is_nothing_at_other_paths(server: OllamaServer) -> None:
    assert ask(server, "/v1/api/chat", {}).status == 404
    assert ask(server, "/api/nothing", None, "GET").status == 404


def test_nothing_said_loads_or_unloads(server: OllamaServer) -> None:
    for more, reason in (({}, "load"), ({"keep_alive": 0}, "unload")):
        (line,) = told(ask(server, "/api/chat", {"model": "qwen3:4b", "messages": [], **more}))
        assert (line["done"], line["done_reason"]) == (True, reason)


def test_a_pulled_model_is_there(server: OllamaServer) -> None:
    reply = ask(server, "/api/pull", {"model": "phi4"})
    assert reply.content_type == LINES
    assert told(reply)[-1] == {"status": "success"}
    assert ask(server, "/api/show", {"model": "phi4"}).status == 200
    assert told(ask(server, "/api/pull", {"model": "phi5", "stream": False})) == [{"status": "success"}]


def test_its_list(server: OllamaServer) -> None:
    server.tags = [Tag("a:1b", told=False)]
    (listed,) = told(ask(server, "/api/tags", None, "GET"))
    assert [entry["name"] for entry in listed["models"]] == ["a:1b"]
    assert "capabilities" not in listed["models"][0]


@parametrised(FOUND)
def test_its_lines_have_the_form_of_recorded_ones(server: OllamaServer, recording: Recording) -> None:
    recorded = [json.loads(line) for line in recording.response.splitlines()]
    generated = "response" in recorded[0]
    path = "/api/generate" if generated else "/api/chat"
    server.say(thinking=("Hm",), calls=() if generated else (("f", {"a": 1}),))
    asked = {"model": "qwen3:4b", "messages": HELLO, "prompt": "x", "stream": True}
    played = told(ask(server, path, asked))
    forms = {form(line) for line in played}
    assert form(recorded[-1]) <= form(played[-1]) | {"context"}
    for line in recorded[:-1]:
        assert any(form(line) <= each for each in forms), line


def form(line: dict[str, Any]) -> frozenset[str]:
    """The names of what a line has."""
    message = line.get("message") or {}
    return frozenset([*line, *(f"message.{key}" for key in message)])


def test_what_is_said_is_the_same_on_all_its_paths(server: OllamaServer) -> None:
    server.answer = lambda asked: Said(("a", "b"), ("t",))
    body = {"model": "qwen3:4b", "messages": HELLO, "prompt": "x"}
    chat = told(ask(server, "/api/chat", {**body, "stream": False}))[0]["message"]
    text = told(ask(server, "/api/generate", {**body, "stream": False}))[0]
    openai = told(ask(server, "/v1/chat/completions", body))[0]["choices"][0]["message"]
    assert (chat["content"], chat["thinking"]) == ("ab", "t")
    assert (text["response"], text["thinking"]) == ("ab", "t")
    assert (openai["content"], openai["reasoning"]) == ("ab", "t")
