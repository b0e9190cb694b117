"""Anthropic's own SDK against the daemon, which stands in front of the demo, a fake OpenAI upstream and a fake ChatGPT."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import pytest
from twisted.internet.threads import deferToThread

from chatmock.admission.client import Key
from chatmock.keys.database import KEYS_FILE
from chatmock.keys.entries import Entry, digest_of
from chatmock.keys.store import KeyStore
from chatmock.settings import Secret
from tests.chunks import DONE, chunk, completion, text_stream, usage
from tests.conftest import KEY, Daemon, Start, settle, until
from tests.test_admitting import http
from tests.test_lifetimes import slots
from tests.upstreams.chatgpt_backend import ChatGPTBackend, Script
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Asked, Reply

HELLO: Any = [{"role": "user", "content": "Hello"}]
ADD: Any = {
    "name": "add",
    "description": "Adds one.",
    "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
THINKING: Any = {"type": "enabled", "budget_tokens": 10_000}


async def ask(daemon: Daemon, call: Callable[[anthropic.Anthropic], Any], **client: Any) -> Any:
    """Run *call* with a client of the daemon in a thread."""

    def run() -> Any:
        given = {"api_key": "client-key", "max_retries": 0, "timeout": 30.0, **client}
        with anthropic.Anthropic(base_url=daemon.url, **given) as sdk:
            return call(sdk)

    return await deferToThread(run)


async def create(daemon: Daemon, messages: Any = HELLO, **fields: Any) -> Any:
    """A whole answer."""
    asked = {"model": "claude-test", "max_tokens": 1000, "messages": messages, **fields}
    return await ask(daemon, lambda sdk: sdk.messages.create(**asked))


async def stream(daemon: Daemon, messages: Any = HELLO, **fields: Any) -> Any:
    """An answer put together of a stream by the SDK, and the events of it."""
    asked = {"model": "claude-test", "max_tokens": 1000, "messages": messages, **fields}

    def listen(sdk: anthropic.Anthropic) -> Any:
        with sdk.messages.stream(**asked) as told:
            events = list(told)
            return told.get_final_message(), events

    return await ask(daemon, listen)


@pytest.fixture
def compatible(start: Start, upstream: OpenAIServer) -> Daemon:
    return start(
        provider="compatible",
        model="m",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        max_concurrency=4,
    )


def sent(upstream: OpenAIServer) -> Any:
    return upstream.chats()[-1].body


# --- the demo, as in a fresh install


@pytest.mark.parametrize("way", [create, stream])
async def test_text(start: Start, way: Any) -> None:
    daemon = start()
    answer = await way(daemon, [{"role": "user", "content": "demo: pace 0\ndemo: say Good morning."}])
    message = answer if way is create else answer[0]
    assert [block.model_dump(exclude_none=True) for block in message.content] == [
        {"type": "text", "text": "Good morning."}
    ]
    assert (message.stop_reason, message.model, message.role) == (
        "end_turn",
        "claude-test",
        "assistant",
    )
    assert message.id.startswith("msg_")
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


async def test_thinking_is_shown_to_who_asks_for_it(start: Start) -> None:
    daemon = start()
    asked = [{"role": "user", "content": "demo: pace 0\nHello"}]
    plain = await create(daemon, asked, model="demo-thinking")
    assert [block.type for block in plain.content] == ["text"]
    whole = await create(daemon, asked, thinking=THINKING)
    streamed, events = await stream(daemon, asked, thinking=THINKING)
    assert [block.type for block in whole.content] == ["thinking", "text"]
    assert whole.content[0].thinking
    assert whole.content[0].signature
    assert [block.model_dump() for block in whole.content] == [
        block.model_dump(exclude={"parsed_output"}) for block in streamed.content
    ]
    assert "signature" in [event.type for event in events]
    back = [*asked, {"role": "assistant", "content": whole.content}, {"role": "user", "content": "Go on"}]
    assert (await create(daemon, back, thinking=THINKING)).content


async def test_an_answer_in_a_form(start: Start) -> None:
    daemon = start()
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 5}},
        "required": ["n"],
        "additionalProperties": False,
    }
    answer = await create(
        daemon,
        [{"role": "user", "content": "demo: pace 0\nA number"}],
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert json.loads(answer.content[0].text)["n"] >= 5


@pytest.mark.parametrize("way", [create, stream])
async def test_a_refusal(start: Start, way: Any) -> None:
    answer = await way(start(), [{"role": "user", "content": "demo: pace 0\ndemo: refuse"}])
    message = answer if way is create else answer[0]
    assert message.stop_reason == "refusal"
    assert message.content[0].text


@pytest.mark.parametrize("way", [create, stream])
async def test_limits_of_an_answer(start: Start, way: Any) -> None:
    daemon = start()
    asked = [{"role": "user", "content": "demo: pace 0\ndemo: say one two three four five six"}]

    async def answer(**fields: Any) -> Any:
        told = await way(daemon, asked, **fields)
        return told if way is create else told[0]

    stopped = await answer(stop_sequences=["zulu", "four"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "four")
    assert stopped.content[0].text == "one two three "
    assert stopped.usage.output_tokens == 4
    assert 10 < stopped.usage.input_tokens < 50
    at_once = await answer(stop_sequences=["one"])
    assert (at_once.content, at_once.stop_sequence) == ([], "one")
    short = await answer(max_tokens=2)
    assert (short.stop_reason, short.stop_sequence) == ("max_tokens", None)
    assert len(short.content[0].text) < 20
    body = {"model": "claude", "max_tokens": 9, "messages": asked}
    for fields, note in (
        ({}, None),
        ({"stop_sequences": ["x"]}, "usage, where a stop sequence ends the answer"),
    ):
        for streamed in (True, False):
            told = await http(daemon, "POST", "/v1/messages", {**body, **fields, "stream": streamed})
            assert told.headers.get("x-chatmock-estimate") == note


# --- tools


def tool_server(asked: Asked) -> Reply:
    """A model that says a word and calls ``add`` twice, the arguments in turns, then says what the tools answered."""
    results = [m["content"] for m in asked.body["messages"] if m["role"] == "tool"]
    if results:
        return Reply(text_stream(*results))
    records = [chunk({"role": "assistant", "content": ""}), chunk({"content": "I add."})]
    for i in (0, 1):
        function = {"name": "add", "arguments": ""}
        call = {"index": i, "id": f"call_{i}", "type": "function", "function": function}
        records.append(chunk({"tool_calls": [call]}))
    for piece in ('{"a":', None):
        for i in (0, 1):
            arguments = f"{i}}}" if piece is None else piece
            records.append(chunk({"tool_calls": [{"index": i, "function": {"arguments": arguments}}]}))
    return Reply([*records, chunk(finish="tool_calls"), usage(), DONE])


async def test_parallel_tool_round_trip_streamed(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.answer = tool_server
    message, events = await stream(compatible, tools=[ADD])
    assert message.stop_reason == "tool_use"
    said, *calls = message.content
    assert said.text == "I add."
    assert [(c.type, c.id, c.name, c.input) for c in calls] == [
        ("tool_use", "call_0", "add", {"a": 0}),
        ("tool_use", "call_1", "add", {"a": 1}),
    ]
    indices = [event.index for event in events if hasattr(event, "index")]
    assert indices == sorted(indices), "blocks never interleave"
    results = [
        {"type": "tool_result", "tool_use_id": "call_0", "content": "<0>"},
        {
            "type": "tool_result",
            "tool_use_id": "call_1",
            "content": [{"type": "text", "text": "<1>"}],
            "is_error": True,
        },
    ]
    messages = [
        *HELLO,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [*results, {"type": "text", "text": "And now?"}]},
    ]
    done, _ = await stream(compatible, messages, tools=[ADD])
    assert done.content[0].text == "<0>The tool failed: <1>"
    body = sent(upstream)
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "tool", "tool", "user"]
    assert body["messages"][1]["tool_calls"][1]["function"] == {"name": "add", "arguments": '{"a":1}'}
    function = {"name": "add", "description": "Adds one.", "parameters": ADD["input_schema"]}
    assert body["tools"] == [{"type": "function", "function": function}]


@pytest.mark.parametrize(
    ("choice", "sent_choice", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "none"}, "none", None),
        ({"type": "tool", "name": "add"}, {"type": "function", "function": {"name": "add"}}, None),
    ],
)
async def test_tool_choices(
    compatible: Daemon, upstream: OpenAIServer, choice: Any, sent_choice: Any, parallel: Any
) -> None:
    upstream.answer = tool_server
    await create(compatible, tools=[ADD], tool_choice=choice)
    assert sent(upstream)["tool_choice"] == sent_choice
    assert sent(upstream).get("parallel_tool_calls") == parallel


# --- what is asked of an upstream


async def test_pictures_documents_and_fields(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hi"))
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {
            "type": "document",
            "title": "Report",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "The word."}},
        {"type": "text", "text": "What?", "cache_control": {"type": "ephemeral"}},
    ]
    asked: Any = {
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "metadata": {"user_id": "me"},
        "service_tier": "auto",
        "extra_headers": {"anthropic-beta": "context-1m-2025-08-07,made-up-2030-01-01"},
        "extra_query": {"beta": "true"},
        "extra_body": {
            "context_management": {"edits": []},
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 7,
        },
    }
    messages = [
        {"role": "user", "content": content},
        {"role": "system", "content": "Now in French."},
        {"role": "user", "content": "Go on"},
    ]
    answer = await create(compatible, messages, **asked)
    assert answer.content[0].text == "Hi"
    body = sent(upstream)
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                {
                    "type": "file",
                    "file": {"filename": "Report.pdf", "file_data": "data:application/pdf;base64,QQ=="},
                },
                {"type": "text", "text": "The word."},
                {"type": "text", "text": "What?"},
            ],
        },
        {"role": "system", "content": "Now in French."},
        {"role": "user", "content": "Go on"},
    ]
    assert len(body.pop("user")) == 32
    del body["messages"], body["stream_options"], body["stream"]
    assert body == {
        "model": "m",
        "max_tokens": 1000,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 7,
    }


async def test_what_has_no_place_elsewhere_is_named(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hi"))
    body = {
        "model": "m",
        "max_tokens": 10,
        "messages": HELLO,
        "tools": [{"type": "bash_20250124", "name": "bash"}],
        "mcp_servers": [],
    }
    answer = await http(compatible, "POST", "/v1/messages", body)
    assert answer.status == 200, answer.body
    assert answer.headers["x-chatmock-ignored"] == "mcp_servers, tools.bash_20250124"
    assert answer.headers["request-id"] == answer.headers["x-request-id"]


async def test_names_of_models(start: Start, upstream: OpenAIServer) -> None:
    upstream.models = [{"id": "small"}, {"id": "large"}]
    upstream.reply(text_stream("Hi"))
    daemon = start(
        provider="compatible",
        model="large",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        anthropic_models={"claude-*haiku*": "small", "fast": "small", "claude-nope": "gone"},
    )
    await until(lambda: bool(upstream.asked))
    await settle()
    for asked, got in (
        ("claude-haiku-4-5", "small"),
        ("fast", "small"),
        ("claude-opus-4-7", "large"),
        ("large", "large"),
    ):
        answer = await create(daemon, model=asked)
        assert (answer.model, sent(upstream)["model"]) == (asked, got)
        streamed, _ = await stream(daemon, model=asked)
        assert (streamed.model, sent(upstream)["model"]) == (asked, got)
    for unknown in ("gpt-9", "claude-nope"):
        with pytest.raises(anthropic.NotFoundError) as caught:
            await create(daemon, model=unknown)
        named = "'claude-nope' stands for 'gone' by CHATMOCK_ANTHROPIC_MODELS"
        assert (named in str(caught.value)) == (unknown == "claude-nope")
        count = {"model": unknown, "messages": HELLO}
        assert (await http(daemon, "POST", "/v1/messages/count_tokens", count)).status == 404
        shown = await http(daemon, "GET", f"/v1/models/{unknown}", **{"anthropic-version": "x"})
        assert shown.status == 404
    listed = await ask(daemon, lambda sdk: list(sdk.models.list()))
    assert [model.id for model in listed] == ["fast", "small", "large"]
    assert (await ask(daemon, lambda sdk: sdk.models.retrieve("claude-3-haiku"))).id == "claude-3-haiku"
    assert (await ask(daemon, lambda sdk: sdk.models.retrieve("claude-opus-4-7"))).id == "claude-opus-4-7"


async def test_a_name_that_nobody_knows_where_there_is_no_default_model(
    start: Start, upstream: OpenAIServer
) -> None:
    upstream.models = []
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    with pytest.raises(anthropic.NotFoundError, match=r"'claude-test'.*CHATMOCK_ANTHROPIC_MODELS.*--model"):
        await create(daemon)
    with pytest.raises(anthropic.NotFoundError):
        await ask(daemon, lambda sdk: sdk.models.retrieve("claude-test"))


async def test_a_key_that_is_not_for_a_model_does_not_count_for_it(start: Start, home: Path) -> None:
    (home / ".chatgpt-local").mkdir(mode=0o700)
    keys = KeyStore(home / ".chatgpt-local" / KEYS_FILE)
    keys.add(Entry(Key("laptop", models=("*-thinking",)), digest_of(b"sk-laptop"), created=0.0))
    daemon = start(require_auth=True)
    for path in ("/v1/messages/count_tokens", "/v1/messages"):
        for model, status in (("demo", 403), ("demo-thinking", 200)):
            asked = {"model": model, "messages": HELLO, "max_tokens": 9}
            answer = await http(daemon, "POST", path, asked, **{"x-api-key": "sk-laptop"})
            assert answer.status == status, answer.body


@pytest.mark.parametrize("header", ["anthropic-version", "anthropic-beta"])
async def test_either_header_asks_for_anthropics_models(start: Start, header: str) -> None:
    daemon = start(require_auth=True, access_token=Secret("s3cret"))
    refused = await http(daemon, "GET", "/v1/models", **{header: "x"})
    assert json.loads(refused.body)["type"] == "error"
    listed = await http(daemon, "GET", "/v1/models", **{header: "x", "x-api-key": "s3cret"})
    assert json.loads(listed.body)["first_id"] == "demo"


async def test_no_thinking_where_the_model_cannot_be_told(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hi"))
    body = {"model": "m", "max_tokens": 9, "messages": HELLO, "thinking": {"type": "disabled"}}
    answer = await http(compatible, "POST", "/v1/messages", body)
    assert (answer.status, answer.headers["x-chatmock-ignored"]) == (200, "thinking")


# --- models and counts


async def test_models(start: Start) -> None:
    daemon = start()
    page = await ask(daemon, lambda sdk: sdk.models.list(limit=1))
    assert [model.id for model in page.data] == ["demo"]
    assert (page.has_more, page.first_id, page.last_id) == (True, "demo", "demo")
    everything = await ask(daemon, lambda sdk: [model.id for model in sdk.models.list(limit=1)])
    assert everything == ["demo", "demo-thinking"]
    before = await ask(daemon, lambda sdk: sdk.models.list(before_id="demo-thinking", limit=1))
    assert [model.id for model in before.data] == ["demo"]
    model = await ask(daemon, lambda sdk: sdk.models.retrieve("demo"))
    assert (model.type, model.id, model.display_name, model.lifecycle) == ("model", "demo", "demo", "active")
    assert model.created_at.year >= 1970
    with pytest.raises(anthropic.NotFoundError):
        await ask(daemon, lambda sdk: sdk.models.retrieve("nothing"))
    with pytest.raises(anthropic.BadRequestError):
        await ask(daemon, lambda sdk: sdk.models.list(limit=0))
    with pytest.raises(anthropic.BadRequestError):
        await ask(daemon, lambda sdk: sdk.models.list(after_id="nothing"))
    plain = json.loads((await http(daemon, "GET", "/v1/models")).body)
    assert plain["object"] == "list"


async def test_token_counts(start: Start) -> None:
    daemon = start(max_message_chars=10_000, max_concurrency=1)

    async def count(**fields: Any) -> int:
        asked = {"model": "claude-test", "messages": HELLO, **fields}
        found: int = (await ask(daemon, lambda sdk: sdk.messages.count_tokens(**asked))).input_tokens
        return found

    plain = await count()
    assert 1 <= plain < 20
    assert await count(tools=[ADD]) > plain + 20
    assert await count(system="word " * 1000) > plain + 1000
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    assert await count(messages=[{"role": "user", "content": [picture]}]) >= 1600
    with pytest.raises(anthropic.BadRequestError, match="CHATMOCK_MAX_MESSAGE_CHARS"):
        await count(system="word " * 3000)
    asked = {"model": "claude-x", "messages": HELLO}
    raw = await http(daemon, "POST", "/v1/messages/count_tokens?beta=true", asked)
    assert json.loads(raw.body) == {"input_tokens": plain}
    assert raw.headers["x-chatmock-estimate"]


async def test_counts_are_counted_and_never_queued(start: Start) -> None:
    daemon = start(rate_limit_rps=0.001, rate_limit_burst=1)
    asked = {"model": "demo", "messages": HELLO}
    first = await http(daemon, "POST", "/v1/messages/count_tokens", asked)
    second = await http(daemon, "POST", "/v1/messages/count_tokens", asked)
    assert (first.status, second.status) == (200, 429)
    assert json.loads(second.body)["error"]["type"] == "rate_limit_error"
    assert daemon.service.slots.held == 0


# --- ChatGPT


async def test_sealed_thinking_reaches_chatgpt_again(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    daemon = start_chatgpt()
    call = ("call_1", "add", '{"a":1}')
    backend.stream(*Script().reasoning("One thought.", "Another.").calls(call).end())
    asked: Any = {"tools": [ADD], "thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}
    message, _ = await stream(daemon, **asked)
    assert [block.type for block in message.content] == ["thinking", "tool_use"]
    assert message.content[0].thinking == "One thought.\n\nAnother."
    assert (await create(daemon, **asked)).content == [
        type(block).model_validate(block.model_dump()) for block in message.content
    ]
    assert message.usage.input_tokens == 15
    assert message.usage.cache_read_input_tokens == 5
    assert backend.asks()[-1].body["reasoning"]["effort"] == "max"
    backend.stream(*Script().text("Two.").end())
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "2"}
    messages = [
        *HELLO,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    done, _ = await stream(daemon, messages, **asked)
    assert done.content[0].text == "Two."
    kinds = [(item["type"], item.get("encrypted_content")) for item in backend.asks()[-1].body["input"]]
    assert kinds[1:] == [("reasoning", "sealed"), ("function_call", None), ("function_call_output", None)]


@pytest.mark.parametrize("display", ["summarized", "omitted"])
async def test_thinking_that_nobody_reads_keeps_its_seal(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path, display: str
) -> None:
    daemon = start_chatgpt()
    thought = ("A thought.",) if display == "omitted" else ()
    backend.stream(*Script().reasoning(*thought).text("Hi").end())
    asked: Any = {"thinking": {"type": "adaptive", "display": display}}
    message, _ = await stream(daemon, **asked)
    whole = await create(daemon, **asked)
    assert [block.type for block in whole.content] == [block.type for block in message.content]
    sealed = message.content[0]
    if display == "omitted":
        assert (sealed.type, sealed.thinking) == ("thinking", "")
    else:
        assert sealed.type == "redacted_thinking"
    messages = [*HELLO, {"role": "assistant", "content": message.content}, *HELLO]
    await create(daemon, messages, **asked)
    items = backend.asks()[-1].body["input"]
    assert [item.get("encrypted_content") for item in items if item["type"] == "reasoning"] == ["sealed"]


async def test_efforts_and_searches_of_chatgpt(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    daemon = start_chatgpt()
    backend.stream(*Script().text("Hi").end())
    search: Any = {
        "type": "web_search_20250305",
        "name": "web_search",
        "max_uses": 3,
        "allowed_domains": ["a.org"],
    }
    choice: Any = {"type": "tool", "name": "web_search"}
    await create(
        daemon, tools=[search], tool_choice=choice, thinking={"type": "enabled", "budget_tokens": 2000}
    )
    body = backend.asks()[-1].body
    assert body["tools"] == [{"type": "web_search", "filters": {"allowed_domains": ["a.org"]}}]
    assert (body["tool_choice"], body["reasoning"]["effort"]) == ("required", "low")
    await create(daemon, thinking={"type": "disabled"})
    assert backend.asks()[-1].body["reasoning"]["effort"] == "low"  # the least that the model has


# --- errors


@pytest.mark.parametrize(
    ("status", "code", "raised", "type"),
    [
        (400, None, anthropic.BadRequestError, "invalid_request_error"),
        (401, None, anthropic.AuthenticationError, "authentication_error"),
        (403, None, anthropic.PermissionDeniedError, "permission_error"),
        (404, "model_not_found", anthropic.NotFoundError, "not_found_error"),
        (413, None, anthropic.RequestTooLargeError, "request_too_large"),
        (402, None, anthropic.APIStatusError, "billing_error"),
        (429, "insufficient_quota", anthropic.APIStatusError, "billing_error"),
        (500, None, anthropic.InternalServerError, "api_error"),
        (504, None, anthropic.InternalServerError, "timeout_error"),
    ],
)
@pytest.mark.parametrize("way", [create, stream])
async def test_errors_of_upstreams(
    start: Start, upstream: OpenAIServer, way: Any, status: int, code: Any, raised: Any, type: str
) -> None:
    error = {"message": "because", "type": "t", "param": None, "code": code}
    upstream.reply_json({"error": error}, status=status)
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        max_concurrency=4,
    )
    with pytest.raises(raised) as caught:
        await way(daemon, model="m")
    assert caught.value.type == type
    assert caught.value.body["request_id"] == caught.value.request_id


async def test_overload_has_anthropics_own_status(start: Start) -> None:
    daemon = start()
    with pytest.raises(anthropic.APIStatusError) as caught:
        await create(daemon, [{"role": "user", "content": "demo: fail 503"}])
    assert (caught.value.status_code, caught.value.type) == (529, "overloaded_error")


async def test_a_limit_that_is_used_up_says_when_it_is_renewed(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    daemon = start_chatgpt()
    error = {"type": "usage_limit_reached", "message": "Limit", "plan_type": "plus", "resets_in_seconds": 90}
    body = json.dumps({"error": error}).encode()
    backend.answer = lambda asked: Reply([body], status=429, content_type=b"application/json")
    with pytest.raises(anthropic.RateLimitError) as caught:
        await create(daemon)
    assert caught.value.type == "rate_limit_error"
    assert 80 <= int(caught.value.response.headers["retry-after"]) <= 90


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            "prompt is too long: 9000 tokens > 8192 maximum",
        ),
        ("The context window is full.", "prompt is too long: The compatible server"),
    ],
)
async def test_a_conversation_that_is_too_long(
    compatible: Daemon, upstream: OpenAIServer, said: str, told: str
) -> None:
    upstream.reply_json({"error": {"message": said, "type": "t", "param": None, "code": None}}, status=400)
    with pytest.raises(anthropic.BadRequestError) as caught:
        await create(compatible)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.api_message is not None
    assert caught.value.api_message.startswith(told)


@pytest.mark.parametrize("content", [HELLO, [{"type": "nonsense"}]])
async def test_a_request_at_fault_is_told_where(start: Start, content: Any) -> None:
    daemon = start()
    if content is HELLO:
        answer = await http(daemon, "POST", "/v1/messages", {"model": "m", "messages": HELLO})
        message = "max_tokens: Field required"
    else:
        body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}
        answer = await http(daemon, "POST", "/v1/messages", body)
        message = "messages.0.content.0: 'nonsense' is no type of content block that is known here."
    told = json.loads(answer.body)
    assert answer.status == 400
    assert told == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": message},
        "request_id": answer.headers["request-id"],
    }


async def test_an_error_in_the_middle_of_a_stream(compatible: Daemon, upstream: OpenAIServer) -> None:
    failed = b'data: {"error": {"message": "it broke", "code": 500}}\n\n'
    upstream.reply([chunk({"role": "assistant", "content": "Hel"}), failed])
    heard: list[Any] = []

    def listen(sdk: anthropic.Anthropic) -> None:
        with sdk.messages.stream(model="m", max_tokens=10, messages=HELLO) as told:
            heard.extend(told)

    with pytest.raises(anthropic.APIStatusError) as caught:
        await ask(compatible, listen)
    assert caught.value.type == "api_error"
    assert [event.type for event in heard] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "text",
    ]


async def test_leaving(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply([chunk({"content": "x"})] * 10_000, pause=0.01)

    def leave(sdk: anthropic.Anthropic) -> None:
        with sdk.messages.stream(model="m", max_tokens=10, messages=HELLO) as told:
            next(iter(told.text_stream))

    await ask(compatible, leave)
    await until(lambda: upstream.active == 0 and slots(compatible) == (0, 0), 3.0)


# --- the door


@pytest.mark.parametrize(
    "client", [{"api_key": "s3cret"}, {"api_key": None, "auth_token": "s3cret"}], ids=["x-api-key", "bearer"]
)
async def test_keys(start: Start, client: Any) -> None:
    daemon = start(require_auth=True, access_token=Secret("s3cret"))
    listed = await ask(daemon, lambda sdk: list(sdk.models.list()), **client)
    assert [model.id for model in listed] == ["demo", "demo-thinking"]
    with pytest.raises(anthropic.AuthenticationError) as caught:
        await create(daemon)
    told: Any = caught.value.body
    assert told["error"]["type"] == "authentication_error"
    assert (told["type"], told["request_id"]) == ("error", caught.value.request_id)


async def test_refusals_before_a_route_is_asked(start: Start) -> None:
    daemon = start(rate_limit_rps=0.001, rate_limit_burst=1)
    asked = {"model": "claude", "max_tokens": 1, "messages": [{"role": "user", "content": "demo: say Hi"}]}
    other = await http(daemon, "POST", "/v1/messages", asked, Origin="https://example.org")
    assert (other.status, json.loads(other.body)["error"]["type"]) == (403, "permission_error")
    assert set(json.loads(other.body)) == {"type", "error", "request_id"}
    assert (await http(daemon, "POST", "/v1/messages", asked)).status == 200
    limited = await http(daemon, "POST", "/v1/messages", asked)
    assert (limited.status, json.loads(limited.body)["error"]["type"]) == (429, "rate_limit_error")
    assert int(limited.headers["retry-after"]) >= 1


async def test_paths(start: Start) -> None:
    daemon = start(cors_origins=("https://example.org",))
    assert (await http(daemon, "HEAD", "/")).status == 200
    batches = await http(daemon, "POST", "/v1/messages/batches", {})
    assert batches.status == 404
    assert "batches" in json.loads(batches.body)["error"]["message"]
    nowhere = await http(daemon, "GET", "/v1/messages/nowhere")
    assert (nowhere.status, json.loads(nowhere.body)["error"]["type"]) == (404, "not_found_error")
    wrong = await http(daemon, "GET", "/v1/messages")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    asks = {"Origin": "https://example.org", "Access_Control_Request_Method": "POST"}
    preflight = await http(daemon, "OPTIONS", "/v1/messages", **asks)
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == "https://example.org"


async def test_a_whole_answer_of_an_upstream_that_was_asked_for_a_stream(
    compatible: Daemon, upstream: OpenAIServer
) -> None:
    upstream.reply_json(completion())
    with pytest.raises(anthropic.InternalServerError, match="did not answer as a stream"):
        await create(compatible)
