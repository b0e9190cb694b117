"""The real Ollama client against the daemon, on the demo and on a fake upstream that speaks OpenAI chat."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ollama
import pytest
from twisted.internet.threads import deferToThread

from chatmock.keys.database import KEYS_FILE
from chatmock.keys.store import KeyStore
from chatmock.settings import Secret
from tests.chunks import DONE, chunk, completion, record, text_stream, usage
from tests.conftest import KEY, Daemon, Start
from tests.keys.making import entry_of
from tests.test_admitting import http
from tests.upstreams.ollama_server import OllamaServer
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Asked, Reply

HELLO: Any = [{"role": "user", "content": "Hello"}]
ADD: Any = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    },
}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
CLOSED = [
    ("POST", "/api/create"),
    ("POST", "/api/copy"),
    ("POST", "/api/push"),
    ("DELETE", "/api/delete"),
    ("POST", f"/api/blobs/sha256:{'a' * 64}"),
    ("HEAD", f"/api/blobs/sha256:{'a' * 64}"),
]


async def use(daemon: Daemon, call: Callable[[Any], Any], **client: Any) -> Any:
    """Run *call* with Ollama's client in a thread."""

    def run() -> Any:
        with ollama.Client(host=daemon.url, timeout=30.0, **client) as sdk:
            return call(sdk)

    return await deferToThread(run)


async def fails(daemon: Daemon, call: Callable[[Any], Any]) -> ollama.ResponseError:
    with pytest.raises(ollama.ResponseError) as caught:
        await use(daemon, call)
    return caught.value


@pytest.fixture
def demo(start: Start) -> Daemon:
    return start(provider="demo", max_concurrency=4)


def thinking_stream(*thoughts: str) -> list[bytes]:
    opening, *rest = text_stream("So", ".")
    return [opening, *(chunk({"reasoning_content": thought}) for thought in thoughts), *rest]


# --- chat


async def test_a_stream(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hel", "lo"))
    parts = await use(compatible, lambda sdk: list(sdk.chat("m:latest", HELLO, stream=True)))
    assert [part.message.content for part in parts] == ["Hel", "lo", ""]
    assert [part.done for part in parts] == [False, False, True]
    assert {part.message.role for part in parts} == {"assistant"}
    last = parts[-1]
    assert (last.done_reason, last.prompt_eval_count, last.eval_count) == ("stop", 3, 2)
    assert 0 < last.load_duration < last.total_duration
    assert last.prompt_eval_duration + last.eval_duration + last.load_duration == last.total_duration
    assert upstream.chats()[0].body["messages"] == HELLO


async def test_a_whole_answer(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hel", "lo"))
    answer = await use(compatible, lambda sdk: sdk.chat("m", HELLO))
    assert answer.message.content == "Hello"
    assert (answer.model, answer.done, answer.done_reason, answer.eval_count) == ("m", True, "stop", 2)
    assert answer.prompt_eval_duration + answer.eval_duration + answer.load_duration == answer.total_duration


@pytest.mark.parametrize("name", ["demo", "demo:latest", "demo/demo", "demo/demo:latest"])
async def test_the_name_that_was_asked_for_comes_back(demo: Daemon, name: str) -> None:
    assert (await use(demo, lambda sdk: sdk.chat(name, HELLO))).model == name
    parts = await use(demo, lambda sdk: list(sdk.generate(name, "Hi", stream=True)))
    assert {part.model for part in parts} == {name}


async def test_it_streams_unless_told_otherwise(demo: Daemon) -> None:
    told = await http(demo, "POST", "/api/chat", {"model": "demo", "messages": HELLO})
    assert told.headers["content-type"] == "application/x-ndjson"
    assert told.body.count(b"\n") > 2
    assert b"\n\n" not in told.body
    whole = await http(demo, "POST", "/api/chat", {"model": "demo", "messages": HELLO, "stream": False})
    assert whole.headers["content-type"] == "application/json"


@pytest.mark.parametrize("think", [None, True, "high", False])
@pytest.mark.parametrize("stream", [True, False])
async def test_thinking(compatible: Daemon, upstream: OpenAIServer, stream: bool, think: Any) -> None:
    upstream.reply(thinking_stream("Hm", "m."))

    def say(sdk: Any) -> tuple[str, str]:
        answer: Any = sdk.chat("m", HELLO, stream=stream, think=think)
        parts = list(answer) if stream else [answer]
        return (
            "".join(part.message.thinking or "" for part in parts),
            "".join(part.message.content or "" for part in parts),
        )

    assert await use(compatible, say) == ("" if think is False else "Hmm.", "So.")
    effort = upstream.chats()[0].body.get("reasoning_effort")
    assert effort == (think if isinstance(think, str) else "medium" if think else None)


async def test_not_to_think_is_the_least_that_the_model_can(start_qwen: Start, site: Any) -> None:
    daemon = start_qwen()
    model = (await use(daemon, lambda sdk: sdk.list())).models[0].model
    capable = (await use(daemon, lambda sdk: sdk.show(model))).capabilities
    assert "thinking" in capable
    answer = await use(daemon, lambda sdk: sdk.chat(model, HELLO, think=False))
    assert answer.message.content
    assert answer.message.thinking is None
    assert site.chats.turns[-1].message["feature_config"]["thinking_enabled"] is False


def tool_server(asked: Asked) -> Reply:
    """A model that calls ``add`` twice, then says what the tools answered."""
    results = [m["content"] for m in asked.body["messages"] if m["role"] == "tool"]
    if results:
        return Reply(text_stream(*results))
    calls = []
    for i in (0, 1):
        function = {"name": "add", "arguments": ""}
        calls.append(
            chunk({"tool_calls": [{"index": i, "id": f"call_{i}", "type": "function", "function": function}]})
        )
        calls.extend(
            chunk({"tool_calls": [{"index": i, "function": {"arguments": part}}]})
            for part in ('{"a":', f"{i}}}")
        )
    return Reply(
        [chunk({"role": "assistant", "content": None}), *calls, chunk(finish="tool_calls"), usage(), DONE]
    )


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("named", [True, False])
async def test_parallel_tool_round_trip(
    compatible: Daemon, upstream: OpenAIServer, stream: bool, named: bool
) -> None:
    upstream.answer = tool_server

    def converse(sdk: Any) -> str:
        messages: list[Any] = list(HELLO)
        answer: Any = sdk.chat("m", messages, tools=[ADD], stream=stream)
        parts = list(answer) if stream else [answer]
        calls = [call for part in parts for call in part.message.tool_calls or ()]
        assert [(call.function.name, call.function.arguments) for call in calls] == [
            ("add", {"a": 0}),
            ("add", {"a": 1}),
        ]
        assert parts[-1].done_reason == "stop"
        messages.append(ollama.Message(role="assistant", content="", tool_calls=calls))
        for call in calls:
            result: dict[str, Any] = {"role": "tool", "content": f"<{call.function.arguments['a']}>"}
            messages.append({**result, "tool_name": "add"} if named else result)
        return str(sdk.chat("m", messages, tools=[ADD]).message.content)

    assert await use(compatible, converse) == "<0><1>"
    first, second = upstream.chats()
    assert first.body["tools"][0]["function"]["name"] == "add"
    _, said, *results = second.body["messages"]
    assert [json.loads(call["function"]["arguments"]) for call in said["tool_calls"]] == [{"a": 0}, {"a": 1}]
    assert [m["tool_call_id"] for m in results] == [call["id"] for call in said["tool_calls"]]


async def test_tools_on_the_demo(demo: Daemon) -> None:
    def converse(sdk: Any) -> Any:
        first = sdk.chat("demo", HELLO, tools=[ADD])
        call = first.message.tool_calls[0].function
        assert isinstance(call.arguments["a"], int)
        messages = [*HELLO, first.message, {"role": "tool", "tool_name": "add", "content": "It is 12."}]
        return sdk.chat("demo", messages, tools=[ADD]).message.content

    assert "It is 12." in await use(demo, converse)


async def test_a_form_of_the_answer(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream('{"n": 1}'))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    await use(compatible, lambda sdk: sdk.chat("m", HELLO, format=schema))
    await use(compatible, lambda sdk: sdk.generate("m", "Hi", format="json"))
    first, second = (asked.body["response_format"] for asked in upstream.chats())
    assert first == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    assert second == {"type": "json_object"}


async def test_a_schema_on_the_demo(demo: Daemon) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 5}}, "required": ["n"]}
    answer = await use(demo, lambda sdk: sdk.chat("demo", HELLO, format=schema))
    assert json.loads(answer.message.content)["n"] >= 5


async def test_pictures(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("A point."))
    message = ollama.Message(role="user", content="What?", images=[ollama.Image(value=PNG)])
    await use(compatible, lambda sdk: sdk.chat("m", [message]))
    await use(compatible, lambda sdk: sdk.generate("m", "What?", images=[PNG]))
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    for asked in upstream.chats():
        assert asked.body["messages"][0]["content"] == [
            {"type": "text", "text": "What?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]


async def test_options_go_under_their_names_there_and_the_rest_is_named(
    compatible: Daemon, upstream: OpenAIServer
) -> None:
    upstream.reply(text_stream("Hi"))
    options = {
        "num_predict": 100_000,
        "temperature": 0.5,
        "seed": 7,
        "stop": ["x"],
        "num_ctx": 4096,
        "top_k": 3,
    }
    body = {"model": "m", "messages": HELLO, "options": options, "keep_alive": "5m"}
    told = await http(compatible, "POST", "/api/chat", body)
    assert told.headers["x-chatmock-ignored"] == "keep_alive, options.num_ctx, options.top_k"
    assert told.headers["x-chatmock-clamped"] == "max_tokens=2048"
    sent = dict(upstream.chats()[0].body)
    assert sent.pop("messages") == HELLO
    assert sent == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 2048,
        "temperature": 0.5,
        "seed": 7,
        "stop": ["x"],
    }


async def test_what_the_provider_ignores_is_named_with_it(demo: Daemon) -> None:
    body = {"model": "demo", "messages": HELLO, "options": {"temperature": 1, "mirostat": 2}}
    told = await http(demo, "POST", "/api/chat", body)
    assert told.headers["x-chatmock-ignored"] == "temperature, options.mirostat"


async def test_five_stop_sequences_are_kept_to_here(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("one t", "wo three"))
    answer = await use(
        compatible, lambda sdk: sdk.chat("m", HELLO, options={"stop": ["a", "b", "two", "c", "d"]})
    )
    assert answer.message.content == "one "
    assert answer.done_reason == "stop"
    assert "stop" not in upstream.chats()[0].body


async def test_log_probabilities(compatible: Daemon, upstream: OpenAIServer) -> None:
    token = {"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": []}
    choice = {"logprobs": {"content": [token], "refusal": None}}
    upstream.reply([chunk({"content": "Hi"}, choice=choice), chunk(finish="stop"), DONE])
    parts = await use(
        compatible, lambda sdk: list(sdk.chat("m", HELLO, stream=True, logprobs=True, top_logprobs=2))
    )
    assert [(each.token, each.logprob) for each in parts[0].logprobs] == [("Hi", -0.25)]
    sent = upstream.chats()[0].body
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 2)


async def test_an_answer_that_was_cut_short_says_so(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply([chunk({"content": "Hi"}), chunk(finish="length"), usage(), DONE])
    assert (await use(compatible, lambda sdk: sdk.chat("m", HELLO))).done_reason == "length"


# --- generate


async def test_generate(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(thinking_stream("Hm."))
    answer = await use(compatible, lambda sdk: sdk.generate("m", "Hi", system="Be brief.", context=[1, 2]))
    assert (answer.response, answer.thinking, answer.done_reason) == ("So.", "Hm.", "stop")
    assert answer.context is None
    parts = await use(compatible, lambda sdk: list(sdk.generate("m", "Hi", stream=True, think=False)))
    assert [part.response for part in parts] == ["So", ".", ""]
    assert not any(part.thinking for part in parts)
    assert upstream.chats()[0].body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


async def test_a_suffix_is_refused(demo: Daemon) -> None:
    error = await fails(demo, lambda sdk: sdk.generate("demo", "def f(", suffix="return"))
    assert (error.status_code, error.error[:31]) == (400, '"demo" does not support insert:')


# --- nothing asked


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("keep_alive", "reason"), [(None, "load"), ("5m", "load"), (0, "unload")])
async def test_a_model_is_loaded_without_asking_anybody(
    compatible: Daemon, upstream: OpenAIServer, stream: bool, keep_alive: Any, reason: str
) -> None:
    def load(sdk: Any) -> Any:
        chat: Any = sdk.chat("m", [], stream=stream, keep_alive=keep_alive)
        text: Any = sdk.generate("m", stream=stream, keep_alive=keep_alive)
        return [*chat, *text] if stream else [chat, text]

    chat, text = await use(compatible, load)
    assert (chat.done, chat.done_reason, chat.message.content) == (True, reason, "")
    assert (text.done, text.done_reason, text.response) == (True, reason, "")
    assert upstream.chats() == []


async def test_a_model_that_is_not_there_cannot_be_loaded(demo: Daemon) -> None:
    for call in (lambda sdk: sdk.chat("nobody", []), lambda sdk: sdk.generate("nobody")):
        error = await fails(demo, call)
        assert error.status_code == 404
        assert "model 'nobody' not found" in error.error


async def test_a_moved_ollama_does_load_it(start: Start, ollama: OllamaServer) -> None:
    daemon = start(provider="demo", ollama_upstream=ollama.url)
    answer = await use(daemon, lambda sdk: sdk.chat("qwen3:4b", []))
    assert answer.done_reason == "load"
    assert len(ollama.at("/api/chat")) == 1


# --- models


async def test_list_show_ps(start: Start, upstream: OpenAIServer) -> None:
    upstream.models = [
        {"id": "m", "object": "model", "created": 1_700_000_000, "owned_by": "me", "context_length": 8192},
        {"id": "n", "object": "model"},
    ]
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    listed = (await use(daemon, lambda sdk: sdk.list())).models
    assert [model.model for model in listed] == ["m", "n"]
    assert listed[0].modified_at.year == 2023
    assert re.fullmatch("[0-9a-f]{64}", listed[0].digest)
    assert (await use(daemon, lambda sdk: sdk.ps())).models == []
    names = ("m", "m:latest", "compatible/m")
    for shown in await use(daemon, lambda sdk: [sdk.show(name) for name in names]):
        architecture = shown.modelinfo["general.architecture"]
        assert shown.modelinfo[f"{architecture}.context_length"] == 8192
        assert shown.capabilities[:2] == ["completion", "tools"]
    bare = await use(daemon, lambda sdk: sdk.show("n"))
    assert not any("context_length" in key for key in bare.modelinfo)
    error = await fails(daemon, lambda sdk: sdk.show("nobody"))
    assert error.status_code == 404
    assert "model 'nobody' not found" in error.error
    assert "m, n" in error.error


async def test_the_older_name_and_none(demo: Daemon) -> None:
    assert (await http(demo, "POST", "/api/show", {"name": "demo"})).status == 200
    for body in ({}, {"model": ""}, {"model": " "}):
        told = await http(demo, "POST", "/api/show", body)
        assert (told.status, json.loads(told.body)) == (400, {"error": "model is required"})
    empty = await http(demo, "POST", "/api/show", b"")
    assert (empty.status, json.loads(empty.body)) == (400, {"error": "missing request body"})


async def test_pull(demo: Daemon) -> None:
    assert (await use(demo, lambda sdk: sdk.pull("demo"))).status == "success"
    lines = await use(demo, lambda sdk: list(sdk.pull("demo:latest", stream=True)))
    assert [line.status for line in lines] == ["pulling manifest", "success"]
    for missing in (lambda sdk: sdk.pull("nobody"), lambda sdk: [*sdk.pull("nobody", stream=True)]):
        error = await fails(demo, missing)
        assert error.status_code == 404
        assert "model 'nobody' not found" in error.error


@pytest.mark.parametrize(("method", "path"), CLOSED)
async def test_what_changes_models_is_refused(demo: Daemon, method: str, path: str) -> None:
    told = await http(demo, method, path, None if method == "HEAD" else b"{}")
    assert told.status == 501
    assert method == "HEAD" or "keeps no models of its own" in json.loads(told.body)["error"]


async def test_version_and_head(demo: Daemon) -> None:
    told = json.loads((await http(demo, "GET", "/api/version")).body)
    assert re.fullmatch(r"\d+\.\d+\.\d+", told["version"])
    for path in ("/api/version", "/api/tags"):
        head = await http(demo, "HEAD", path)
        assert (head.status, head.body) == (200, b"")


OTHERS = [
    ("GET", "/api/version"),
    ("GET", "/api/tags"),
    ("GET", "/api/ps"),
    ("GET", "/api/status"),
    ("POST", "/api/signout"),
    ("POST", "/api/show"),
    ("POST", "/api/pull"),
]


@pytest.mark.parametrize(
    ("method", "path"), [*OTHERS, ("POST", "/api/chat"), ("POST", "/api/generate"), *CLOSED[:-1]]
)
async def test_everything_wants_a_key_and_counts_against_the_rate(
    start: Start, method: str, path: str
) -> None:
    body = None if method == "GET" else {"model": "demo", "messages": [], "prompt": ""}
    locked = start(provider="demo", require_auth=True, access_token=Secret("s3cret"))
    slow = start(provider="demo", rate_limit_rps=0.001, rate_limit_burst=1)
    first = await http(slow, method, path, body)
    assert first.status == (501 if (method, path) in CLOSED else 200)
    for daemon, status in ((locked, 401), (slow, 429)):
        told = await http(daemon, method, path, body)
        assert told.status == status
        assert isinstance(json.loads(told.body)["error"], str)


async def test_a_key_that_is_for_some_models(start: Start, upstream: OpenAIServer, home: Path) -> None:
    upstream.models = [{"id": "m", "object": "model"}, {"id": "n", "object": "model"}]
    KeyStore(home / ".chatgpt-local" / KEYS_FILE).add(entry_of("anna", b"sk-anna", models=("n",)))
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        require_auth=True,
    )
    headers = {"Authorization": "Bearer sk-anna"}
    listed = await use(daemon, lambda sdk: sdk.list(), headers=headers)
    assert [model.model for model in listed.models] == ["n"]
    assert (await use(daemon, lambda sdk: sdk.show("n"), headers=headers)).capabilities
    for path in ("/api/show", "/api/pull", "/api/chat"):
        told = await http(daemon, "POST", path, {"model": "m", "messages": []}, **headers)
        assert told.status == 403


# --- errors


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("status", "given"), [(429, 429), (500, 502), (403, 403)])
async def test_errors_before_the_stream(demo: Daemon, stream: bool, status: int, given: int) -> None:
    messages = [{"role": "user", "content": f"demo: fail {status}"}]
    error = await fails(demo, lambda sdk: [*sdk.chat("demo", messages, stream=stream)])
    assert error.status_code == given
    assert error.error


async def test_a_model_that_is_not_there(demo: Daemon) -> None:
    missing = await fails(demo, lambda sdk: sdk.chat("nobody:latest", HELLO))
    assert missing.status_code == 404
    assert "model 'nobody:latest' not found" in missing.error


async def test_an_upstream_that_lacks_the_model(compatible: Daemon, upstream: OpenAIServer) -> None:
    error: Any = {
        "error": {"message": "No such model.", "type": "x", "param": None, "code": "model_not_found"}
    }
    upstream.reply_json(error, status=404)
    told = await fails(compatible, lambda sdk: sdk.chat("gone", HELLO))
    assert told.status_code == 404
    assert "model 'gone' not found" in told.error


async def test_an_error_in_the_stream(compatible: Daemon, upstream: OpenAIServer) -> None:
    error = {"error": {"message": "Out of memory.", "type": "server_error", "code": None}}
    upstream.reply([*text_stream("Hel", "lo")[:3], record(error)])
    heard: list[str] = []

    def listen(sdk: Any) -> None:
        for part in sdk.chat("m", HELLO, stream=True):
            heard.append(part.message.content or "")
            assert not part.done

    assert "Out of memory" in (await fails(compatible, listen)).error
    assert heard == ["Hel", "lo"]
    whole = await fails(compatible, lambda sdk: sdk.chat("m", HELLO))
    assert whole.status_code == 502


async def test_the_cloud_of_ollama_is_not_here(demo: Daemon) -> None:
    told = await http(demo, "GET", "/api/status")
    assert json.loads(told.body) == {"cloud": {"disabled": True, "source": "config"}}
    me = await http(demo, "POST", "/api/me")
    assert (me.status, me.headers["www-authenticate"]) == (401, "Bearer")
    assert json.loads(me.body)["error"].startswith("unauthorized")
    signed_out = await http(demo, "POST", "/api/signout")
    assert (signed_out.status, signed_out.body) == (200, b"null")


async def test_other_methods_and_paths(demo: Daemon) -> None:
    wrong = await http(demo, "GET", "/api/chat")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert isinstance(json.loads(wrong.body)["error"], str)
    lost = await http(demo, "POST", "/api/nothing", {})
    assert lost.status == 404
    assert isinstance(json.loads(lost.body)["error"], str)
    assert isinstance(json.loads((await http(demo, "POST", "/api/queue", {})).body)["error"], dict)


async def test_a_request_about_a_model_is_small(demo: Daemon) -> None:
    told = await http(demo, "POST", "/api/show", {"model": "demo", "more": "x" * 70_000})
    assert told.status == 413


async def test_any_content_type(demo: Daemon) -> None:
    body = {"model": "demo", "messages": HELLO, "stream": False}
    told = await http(demo, "POST", "/api/chat", body, Content_Type="text/plain")
    assert told.status == 200
    assert completion()["object"] not in told.body.decode()
