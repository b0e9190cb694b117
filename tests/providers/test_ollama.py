"""The provider of an Ollama that was moved aside: what it asks, reads and refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatmock.conversation import ChatRequest, Identity, Message, Source, Text
from chatmock.errors import Kind
from chatmock.events import EventOrder, Failed, Finished, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from chatmock.providers import PROVIDERS
from chatmock.providers.interface import Credential, UpstreamRequest
from chatmock.providers.ollama import Ollama
from chatmock.providers.ollama_errors import read_error
from chatmock.providers.ollama_passage import LinePassage
from chatmock.providers.ollama_progress import ProgressLines
from chatmock.settings import Settings
from tests.captures import Recording, parametrised, recordings
from tests.upstreams.ollama_server import Tag, pulling

PROVIDER = Ollama("http://127.0.0.1:1")
FOUND = recordings("ollama-openai")
STREAMS = [r for r in FOUND if r.kind == "sse"]
WHOLE = [r for r in FOUND if r.kind == "json" and r.status == 200]
HELLO = (Message("user", (Text("Hello"),)),)


def native(wire: str = "ollama-chat", body: dict[str, Any] | None = None, **more: Any) -> ChatRequest:
    return ChatRequest("m:latest", HELLO, source=Source(wire, body or {"model": "ollama/m"}), **more)


def asked(chat: ChatRequest) -> tuple[UpstreamRequest, dict[str, Any]]:
    request = PROVIDER.request(chat, Credential())
    assert request.body is not None
    assert "Authorization" not in request.headers
    return request, json.loads(request.body)


# --- what it asks


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("wire", ["ollama-chat", "ollama-generate"])
def test_ollamas_own_clients_are_carried_through(wire: str, stream: bool) -> None:
    body = {"model": "ollama/m", "prompt": "x", "keep_alive": "5m", "think": "high", "odd": {"a": [1]}}
    request, sent = asked(native(wire, body, stream=stream))
    assert request.url == f"http://127.0.0.1:1/api/{wire.removeprefix('ollama-')}"
    assert (request.method, request.stream, request.stream_type) == ("POST", stream, "application/x-ndjson")
    assert sent == {**body, "model": "m:latest", "stream": stream}
    assert isinstance(PROVIDER.passage(native(wire), Identity("x", 1)), LinePassage)


@pytest.mark.parametrize(
    ("options", "most", "sent"),
    [
        ({"num_predict": 5000, "top_k": 3}, 2048, {"num_predict": 2048, "top_k": 3}),
        ({"num_predict": 100}, 100, {"num_predict": 100}),
        ({"num_predict": -1}, None, {"num_predict": -1}),
        ({"num_predict": -1}, 2048, {"num_predict": 2048}),
        ({"num_predict": 0}, 2048, {"num_predict": 0}),
        ({"num_predict": 5000}, None, {"num_predict": 5000}),
        ({"num_predict": None}, 5, {"num_predict": None}),
        (None, 5, None),
    ],
)
def test_the_limit_holds_for_them_too(options: Any, most: int | None, sent: Any) -> None:
    body = {"model": "m", "options": options}
    assert asked(native(body=body, max_tokens=most))[1]["options"] == sent
    assert body == {"model": "m", "options": options}


def test_all_others_reach_its_v1() -> None:
    for source in (
        None,
        Source("openai-chat", {"messages": [{"role": "user", "content": "x"}]}),
        Source("anthropic", {}),
    ):
        request, sent = asked(ChatRequest("m", HELLO, source=source, stream=True))
        assert (request.url, request.stream_type) == (
            "http://127.0.0.1:1/v1/chat/completions",
            "text/event-stream",
        )
        assert sent["model"] == "m"


@pytest.mark.parametrize(
    ("effort", "sent"),
    [("minimal", "low"), ("xhigh", "high"), ("low", "low"), ("none", "none"), ("max", "max")],
)
def test_efforts_that_it_knows(effort: str, sent: str) -> None:
    source = Source("openai-chat", {"messages": [], "reasoning_effort": effort})
    assert (
        asked(ChatRequest("m", HELLO, reasoning_effort=effort, source=source))[1]["reasoning_effort"] == sent
    )
    assert asked(ChatRequest("m", HELLO, reasoning_effort=effort))[1]["reasoning_effort"] == sent


@pytest.mark.parametrize("text", ['"m" does not support thinking', "invalid reasoning value: 'max'"])
def test_an_effort_that_is_refused_is_left_out(text: str) -> None:
    refusal = PROVIDER.refusal(400, {}, json.dumps({"error": {"message": text}}).encode())
    source = Source("openai-chat", {"messages": [], "reasoning_effort": "max"})
    amended = PROVIDER.amend(ChatRequest("m", HELLO, reasoning_effort="max", source=source), refusal)
    assert amended is not None
    assert amended.notes == {"X-Chatmock-Ignored": "reasoning_effort"}
    assert "reasoning_effort" not in asked(amended.chat)[1]
    assert PROVIDER.amend(ChatRequest("m", HELLO), refusal) is None
    assert PROVIDER.amend(native(reasoning_effort="max"), refusal) is None


def test_its_address_may_have_the_v1_of_openai_clients() -> None:
    for url in ("http://192.168.1.5:11435", "http://192.168.1.5:11435/v1"):
        made = PROVIDERS["ollama"].build(Settings(ollama_upstream=url))
        assert isinstance(made, Ollama)
        assert made.base_url == "http://192.168.1.5:11435"
        assert made.embedder is not None
    assert PROVIDERS["ollama"].build(Settings()) is None
    assert list(PROVIDERS)[-2:] == ["ollama", "demo"]


# --- what it lists


def tags(*entries: Any) -> bytes:
    return json.dumps({"models": list(entries)}).encode()


def test_its_list_by_both_names() -> None:
    assert PROVIDER.catalogue_request(Credential()).url.endswith("/api/tags")
    listing = tags(Tag("llama3.2:latest").entry(), Tag("qwen3:4b").entry(), {"name": "hf.co/a/b"})
    models = {model.id: model for model in PROVIDER.read_catalogue(listing)}
    assert [each.id for each in models.values() if each.listed] == [
        "llama3.2:latest",
        "qwen3:4b",
        "hf.co/a/b",
    ]
    assert [each.id for each in models.values() if not each.listed] == ["llama3.2", "hf.co/a/b:latest"]
    assert models["llama3.2"].context_length == models["llama3.2:latest"].context_length == 40960


def test_what_newer_builds_tell_of_a_model() -> None:
    entries = [
        Tag("e", ("embedding",)).entry(),
        Tag("v", ("completion", "vision"), 8192).entry(),
        Tag("t", ("completion", "tools", "thinking")).entry(),
    ]
    told = {model.id: model for model in PROVIDER.read_catalogue(tags(*entries))}
    assert next(iter(told)) == "v", "the first is the default model, and must answer"
    assert told["v"].capabilities == ("completion", "vision")
    assert told["v"].context_length == 8192
    assert told["v"].created == 1781914540
    assert told["t"].capabilities == ("completion", "tools", "thinking")
    assert told["e"].capabilities == ("embedding",)


def test_what_older_builds_tell_of_a_model() -> None:
    entries = [Tag("e", family="nomic-bert", told=False).entry(), Tag("q", told=False).entry()]
    told = {model.id: model for model in PROVIDER.read_catalogue(tags(*entries))}
    assert told["e"].capabilities == ("embedding",)
    assert told["q"].capabilities == ("completion", "tools")
    assert (told["q"].inputs, told["q"].context_length, told["q"].thinks) == ((), None, None)


@pytest.mark.parametrize("time", [None, 5, "", "yesterday", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_a_time_that_is_none(time: object) -> None:
    (model, _) = PROVIDER.read_catalogue(tags({"name": "m", "modified_at": time, "details": None}))
    assert model.created in (None, 0)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"models":5}', b'{"models":[5]}', b'{"models":[{"name":[1]}]}']
)
def test_a_list_that_is_none(body: bytes) -> None:
    with pytest.raises(Exception, match="list of models that cannot be read"):
        PROVIDER.read_catalogue(body)


# --- what it refuses


@pytest.mark.parametrize(
    ("status", "text", "kind", "code", "says"),
    [
        (404, "model 'x' not found", Kind.NOT_FOUND, "model_not_found", "model 'x' not found"),
        (404, 'model "x" not found, try pulling it first', Kind.NOT_FOUND, "model_not_found", "try pulling it"),
        (400, '"bert" does not support chat', Kind.BAD_REQUEST, None, '"bert" does not support chat'),
        (400, "the input length exceeds the context length", Kind.BAD_REQUEST, "context_length_exceeded", "exceeds"),
        (401, "unauthorized", Kind.FORBIDDEN, "signin_required", "ollama signin"),
        (403, "no", Kind.FORBIDDEN, None, "no"),
        (429, "too many requests", Kind.RATE_LIMITED, "rate_limit_exceeded", "too many"),
        (499, "request canceled", Kind.UPSTREAM_FAILED, "upstream_cancelled", "gave the request up"),
        (500, "llama runner process has terminated", Kind.UPSTREAM_FAILED, "upstream_error", "terminated"),
        (503, "server busy, please try again.", Kind.OVERLOADED, "upstream_error", "server busy"),
        (200, "it broke", Kind.UPSTREAM_FAILED, "upstream_error", "it broke"),
    ],
)  # fmt: skip
def test_its_errors(status: int, text: str, kind: Kind, code: str | None, says: str) -> None:
    for error in (text, {"message": text, "type": "api_error", "param": None, "code": None}):
        refusal = PROVIDER.refusal(status, {}, json.dumps({"error": error}).encode())
        assert (refusal.kind, refusal.code) == (kind, code)
        assert says in refusal.message


def test_the_field_at_fault() -> None:
    assert read_error({"error": '"m" does not support thinking'}).param == "think"
    assert read_error({"error": "m does not support tools"}).param == "tools"


def test_a_model_too_large_for_its_machine_is_not_asked_again() -> None:
    text = "model requires more system memory (9.1 GiB) than is available (5.0 GiB)"
    assert not PROVIDER.refusal(500, {}, json.dumps({"error": text}).encode()).retryable
    assert PROVIDER.refusal(500, {}, b'{"error":"EOF"}').retryable


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"404 page not found"), (302, b""), (405, b""), (404, b"<html>no</html>")]
)
def test_what_is_no_ollama(status: int, body: bytes) -> None:
    refusal = PROVIDER.refusal(status, {}, body)
    assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_FAILED, "upstream_page")
    assert "CHATMOCK_OLLAMA_UPSTREAM" in refusal.message


def test_a_page_in_place_of_a_stream() -> None:
    refusal = PROVIDER.refusal(200, {"content-type": "text/html"}, b"<html>log in</html>")
    assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_FAILED, "upstream_not_a_stream")


# --- its /v1, as recorded


@parametrised(STREAMS)
def test_a_recorded_stream_of_its_v1(recording: Recording) -> None:
    records = [
        json.loads(line[6:])
        for line in recording.response.decode().splitlines()
        if line.startswith("data: {")
    ]
    deltas = [choice["delta"] for record in records for choice in record["choices"]]
    decoder = PROVIDER.decoder(ChatRequest("m", ()))
    events = [
        e for at in range(len(recording.response)) for e in decoder.feed(recording.response[at : at + 1])
    ]
    events += decoder.close()
    EventOrder().check(events)
    thought = "".join(e.text for e in events if isinstance(e, ReasoningDelta))
    said = "".join(e.text for e in events if isinstance(e, TextDelta))
    assert thought == "".join(delta.get("reasoning") or "" for delta in deltas)
    assert said == "".join(delta.get("content") or "" for delta in deltas)
    calls = [call for delta in deltas for call in delta.get("tool_calls") or ()]
    begun = [e for e in events if isinstance(e, ToolCallDelta) and e.id]
    assert [(e.id, e.name) for e in begun] == [(c["id"], c["function"]["name"]) for c in calls]
    assert isinstance(events[-1], Finished)
    assert events[-1].reasons == (("tool_calls",) if calls else ("stop",))
    assert any(isinstance(e, Usage) for e in events) == any(record.get("usage") for record in records)


@parametrised(WHOLE)
def test_a_recorded_whole_answer_of_its_v1(recording: Recording) -> None:
    passage = PROVIDER.passage(ChatRequest("m", ()), Identity("x", 1))
    assert passage is not None
    answer = json.loads(passage.whole(recording.response))
    recorded = json.loads(recording.response)["choices"][0]["message"]
    message = answer["choices"][0]["message"]
    assert isinstance(passage.outcome, Finished)
    assert message["content"] == recorded["content"]
    assert message.get("reasoning_content") == recorded.get("reasoning")
    assert len(message.get("tool_calls") or ()) == len(recorded.get("tool_calls") or ())


# --- how far a pull is


def progress(*lines: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_a_pull_passes_as_it_is_cut_at_every_byte() -> None:
    stream = progress(*pulling("ab" * 32))
    for cut in range(len(stream) + 1):
        lines = ProgressLines()
        assert lines.feed(stream[:cut]) + lines.feed(stream[cut:]) + lines.close() == stream
        assert lines.outcome == Finished(("stop",))
        assert json.loads(lines.last) == {"status": "success"}


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"", "upstream_truncated"),
        (progress({"error": "pull model manifest: file does not exist"}), "upstream_error"),
        (b"{nonsense\n", "upstream_malformed"),
        (b"[]\n", "upstream_malformed"),
        (b'{"status":5}\n', "upstream_malformed"),
        (b'{"status":"' + b"x" * 70_000, "upstream_limit"),
    ],
)
def test_a_pull_that_fails(bad: bytes, code: str) -> None:
    lines = ProgressLines()
    first = progress({"status": "pulling manifest"})
    assert lines.feed(first) + lines.feed(bad) + lines.feed(b"\n") + lines.close() == first
    assert isinstance(lines.outcome, Failed)
    assert lines.outcome.refusal.code == code
