"""Recorded answers of a real Ollama's OpenAI routes, played as the upstream, come out in the shape of the recorded answers
of its own routes: the same keys, JSON types and order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import attrs
import pytest

from chatmock.settings import Secret
from tests.captures import Recording, parametrised, recordings
from tests.chunks import DONE, chunk, usage
from tests.conftest import KEY, Daemon, Start
from tests.test_admitting import http
from tests.upstreams.openai_server import OpenAIServer

REAL = recordings("ollama")
PLAYED = recordings("ollama-openai")
HELLO = [{"role": "user", "content": "Hello"}]

Shape = tuple[Any, ...]
"""The keys of an object in their order, each with the type of its value, or with the shape of an object."""


@attrs.frozen
class Difference:
    """Where chatmock does not do as a recording has it, and why."""

    recordings: str
    """Which ones: what their names begin with."""
    what: str
    reason: str


DIFFERENCES = (
    Difference(
        "openllmetry__test_generation",
        "context",
        "The prompt's tokens: no upstream tells them, and only the Ollama they are from could go on from them.",
    ),
    Difference("openllmetry__test_ollama_metrics", "context", "The same."),
    Difference(
        "openllmetry__test_generation",
        "no prompt_eval_count",
        "Ollama left the count out (2024) where the prompt was cached; here it is told wherever it is known.",
    ),
    Difference(
        "openllmetry__test_chat",
        "done_reason first",
        "Until 2025 done_reason stood before done; chatmock follows the newer order.",
    ),
    Difference("prism", "done_reason first", "The same."),
    Difference(
        "prism__ollama__stream-with-tools",
        "no id",
        "Calls had neither an id nor an index of 0 before late 2025; newer clients want them.",
    ),
    Difference(
        "prism__ollama__stream-with-tools-3",
        "all in one line",
        "The text of this answer is one line, said with the end: the tool parser of that version held it back."
        " chatmock tells what it has.",
    ),
    Difference(
        "rig",
        "sorted whole answers",
        "Not Ollama's doing: who recorded whole answers has sorted their keys. Their order is that of a stream's end.",
    ),
)
"""All of them."""


def differs(recording: Recording, what: str) -> bool:
    name = recording.name.rpartition("/")[2]
    return any(name.startswith(each.recordings) and each.what == what for each in DIFFERENCES)


def shape(value: Any) -> Any:
    """The type of *value*; of an object its keys too, but for a call's arguments, which are the model's own."""
    if isinstance(value, dict):
        return tuple((key, "object" if key == "arguments" else shape(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return ("array", *sorted({shape(inner) for inner in value}, key=str))
    return {bool: "boolean", int: "integer", str: "string"}[type(value)]


CALL = (("id", "string"), ("function", (("index", "integer"), ("name", "string"), ("arguments", "object"))))
SAID = {
    "text": (("role", "string"), ("content", "string")),
    "thinking": (("role", "string"), ("content", "string"), ("thinking", "string")),
    "call": (("role", "string"), ("content", "string"), ("tool_calls", ("array", CALL))),
    "thinking, call": (
        ("role", "string"),
        ("content", "string"),
        ("thinking", "string"),
        ("tool_calls", ("array", CALL)),
    ),
}
END = (
    ("done", "boolean"),
    ("done_reason", "string"),
    ("total_duration", "integer"),
    ("load_duration", "integer"),
    ("prompt_eval_count", "integer"),
    ("prompt_eval_duration", "integer"),
    ("eval_count", "integer"),
    ("eval_duration", "integer"),
)
BEGIN = (("model", "string"), ("created_at", "string"))
MORE = (("done", "boolean"),)


def kind(line: dict[str, Any]) -> str:
    """What a line says: ``text``, ``thinking``, ``call`` or both; ``end`` in a stream has nothing to say."""
    said = line.get("message", line)
    kinds = [name for name, key in (("thinking", "thinking"), ("call", "tool_calls")) if said.get(key)]
    return ", ".join(kinds) or "text"


def expected(line: dict[str, Any]) -> Shape:
    """The shape that a line which says the same must have."""
    end = END if line["done"] else MORE
    if "message" in line:
        return (*BEGIN, ("message", SAID[kind(line)]), *end)
    thinking = (("thinking", "string"),) if line.get("thinking") else ()
    return (*BEGIN, ("response", "string"), *thinking, *end)


def course(lines: Iterable[dict[str, Any]]) -> list[str]:
    """In which order what is said, each kind once in a row."""
    return [name for name, _ in groupby("end" if line["done"] else kind(line) for line in lines)]


# --- the real server


@parametrised(REAL)
def test_what_is_expected_is_what_ollama_does(recording: Recording) -> None:
    for line in recording.response.decode().splitlines():
        said = json.loads(line)
        if differs(recording, "context"):
            said.pop("context", None)
        if differs(recording, "no id"):
            for number, call in enumerate(said["message"].get("tool_calls", ())):
                function = call.pop("function")
                call.update({"id": "", "function": {"index": number, **function}})
        if differs(recording, "no prompt_eval_count"):
            assert "prompt_eval_count" not in said
            said = _with(said, "prompt_eval_count", 0, before="prompt_eval_duration")
        if differs(recording, "done_reason first") and said["done"]:
            assert [*said].index("done_reason") + 1 == [*said].index("done")
            said = _with(said, "done_reason", said.pop("done_reason"), before="total_duration")
        wanted, found = expected(said), shape(said)
        if recording.kind == "json" and differs(recording, "sorted whole answers"):
            wanted, found = _sorted(wanted), _sorted(found)
        assert found == wanted


def _with(value: dict[str, Any], key: str, item: Any, before: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, each in value.items():
        if name == before:
            made[key] = item
        made[name] = each
    return made


def _sorted(shape: Any) -> Any:
    if not isinstance(shape, tuple):
        return shape
    return tuple(sorted((_sorted(each) for each in shape), key=str))


def courses() -> set[tuple[str, ...]]:
    """The orders that recorded streams have."""
    return {
        tuple(course(map(json.loads, recording.response.decode().splitlines())))
        for recording in REAL
        if recording.kind == "ndjson" and not differs(recording, "all in one line")
    }


@pytest.mark.skipif(not REAL, reason="no recordings: set CHATMOCK_CAPTURES")
def test_every_difference_is_one() -> None:
    names = [recording.name.rpartition("/")[2] for recording in REAL]
    for each in DIFFERENCES:
        assert any(name.startswith(each.recordings) for name in names), each
        assert each.reason


# --- ours


def as_stream(recording: Recording) -> list[bytes]:
    """The recording as the stream that chatmock asks for."""
    if recording.kind == "sse":
        return [recording.response]
    whole = json.loads(recording.response)
    choice, counts = whole["choices"][0], whole["usage"]
    said = chunk(choice["message"])
    end = usage(counts["prompt_tokens"], counts["completion_tokens"])
    return [said, chunk(finish=choice["finish_reason"]), end, DONE]


@pytest.fixture
def daemon(start: Start, upstream: OpenAIServer) -> Daemon:
    return start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))


def message_of(recording: Recording) -> dict[str, Any]:
    """What the recording says, by a reader of its own."""
    heard: dict[str, Any] = {"content": "", "thinking": "", "calls": []}
    records = (
        [
            json.loads(line[5:])
            for line in recording.response.decode().splitlines()
            if line.startswith("data: {")
        ]
        if recording.kind == "sse"
        else [json.loads(recording.response)]
    )
    for record in records:
        for choice in record["choices"]:
            said = choice.get("delta") or choice.get("message") or {}
            heard["content"] += said.get("content") or ""
            heard["thinking"] += said.get("reasoning") or ""
            heard["calls"] += [
                (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
                for call in said.get("tool_calls") or ()
            ]
        heard["usage"] = record.get("usage") or heard.get("usage")
    return heard


def told(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The same of our answer."""
    messages = [line["message"] for line in lines]
    last = lines[-1]
    return {
        "content": "".join(each["content"] for each in messages),
        "thinking": "".join(each.get("thinking", "") for each in messages),
        "calls": [
            (call["id"], call["function"]["name"], call["function"]["arguments"])
            for each in messages
            for call in each.get("tool_calls", ())
        ],
        "usage": {
            "prompt_tokens": last["prompt_eval_count"],
            "completion_tokens": last["eval_count"],
            "total_tokens": last["prompt_eval_count"] + last["eval_count"],
        },
    }


async def ask(daemon: Daemon, path: str, stream: bool, **body: Any) -> list[dict[str, Any]]:
    answer = await http(daemon, "POST", path, {"model": "gpt-oss:120b", "stream": stream, **body})
    assert answer.status == 200, answer.body
    assert not set(b"<>&") & set(answer.body)
    return [json.loads(line) for line in answer.body.decode().splitlines()]


@parametrised(PLAYED)
async def test_a_chat(daemon: Daemon, upstream: OpenAIServer, recording: Recording) -> None:
    upstream.reply(as_stream(recording))
    lines = await ask(daemon, "/api/chat", stream=True, messages=HELLO)
    for line in lines:
        assert shape(line) == expected(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z", line["created_at"])
    assert tuple(course(lines)) in courses()
    assert lines[-1]["message"] == {"role": "assistant", "content": ""}
    assert lines[-1]["done_reason"] == "stop"
    assert {line["model"] for line in lines} == {"gpt-oss:120b"}
    assert told(lines) == message_of(recording)


@parametrised(PLAYED)
async def test_a_whole_chat(daemon: Daemon, upstream: OpenAIServer, recording: Recording) -> None:
    upstream.reply(as_stream(recording))
    (answer,) = await ask(daemon, "/api/chat", stream=False, messages=HELLO)
    assert shape(answer) == expected(answer)
    assert told([answer]) == message_of(recording)


@parametrised([recording for recording in PLAYED if not message_of(recording)["calls"]])
async def test_a_text(daemon: Daemon, upstream: OpenAIServer, recording: Recording) -> None:
    upstream.reply(as_stream(recording))
    said = message_of(recording)
    for stream in (True, False):
        lines = await ask(daemon, "/api/generate", stream=stream, prompt="Hello")
        for line in lines:
            assert shape(line) == expected(line)
        assert "".join(line["response"] for line in lines) == said["content"]
        assert "".join(line.get("thinking", "") for line in lines) == said["thinking"]
