"""The official SDK against the daemon, which stands in front of a fake upstream."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from chatmock.settings import Secret
from tests.chunks import DONE, chunk, completion, head, record, text_stream, usage
from tests.conftest import KEY, Daemon, Start
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Asked, Reply

HELLO: Any = [{"role": "user", "content": "Hello"}]
ADD: Any = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}


async def test_whole_answer(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply_json(completion())
    answer = await compatible.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert answer.choices[0].message.content == "Hello."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 5
    assert answer._request_id.startswith("req_")
    sent = upstream.chats()[0]
    assert sent.body == {"messages": HELLO, "model": "m"}
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["user-agent"].startswith("chatmock/")


async def test_stream(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hel", "lo"))

    def listen(sdk: openai.OpenAI) -> list[Any]:
        return list(sdk.chat.completions.create(model="m", messages=HELLO, stream=True))

    chunks = await compatible.ask(listen)
    assert [c.choices[0].delta.content for c in chunks] == ["", "Hel", "lo", None]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(c.usage is None for c in chunks)
    assert upstream.chats()[0].body["stream_options"] == {"include_usage": True}


async def test_records_pass_as_they_came(compatible: Daemon, upstream: OpenAIServer) -> None:
    """Spacing, unknown keys and obfuscation show that a record was not rebuilt."""
    odd = b'data: {"id": "chatcmpl-1", "x_vendor": [1, {"y": 2.50}], "created":1700000000,"object":"chat.completion.chunk","model":"m-2024","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}],"obfuscation":"zz"}\n\n'
    upstream.reply([text_stream()[0], odd, *text_stream()[1:]])
    body = await compatible.ask(
        lambda sdk: sdk.chat.completions.with_raw_response.create(
            model="m", messages=HELLO, stream=True
        ).http_response.read()
    )
    assert odd in body
    assert body.endswith(DONE)


async def test_usage_only_when_asked(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hi"))

    def listen(sdk: openai.OpenAI) -> list[Any]:
        options: Any = {"include_usage": True}
        return list(
            sdk.chat.completions.create(model="m", messages=HELLO, stream=True, stream_options=options)
        )

    chunks = await compatible.ask(listen)
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 5
    assert sum(c.usage is not None for c in chunks) == 1


def tool_server(asked: Asked) -> Reply:
    """A model that calls ``add`` twice, then says what the tools answered."""
    results = [m["content"] for m in asked.body["messages"] if m["role"] == "tool"]
    if results:
        return Reply(text_stream(*results))
    opening = chunk({"role": "assistant", "content": None})
    calls = []
    for i in (0, 1):
        first = {
            "index": i,
            "id": f"call_{i}",
            "type": "function",
            "function": {"name": "add", "arguments": ""},
        }
        calls.append(chunk({"tool_calls": [first]}))
        calls.extend(
            chunk({"tool_calls": [{"index": i, "function": {"arguments": part}}]})
            for part in ('{"a":', f"{i}}}")
        )
    return Reply([opening, *calls, chunk(finish="tool_calls"), usage(), DONE])


async def test_parallel_tool_round_trip(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.answer = tool_server

    def converse(sdk: openai.OpenAI) -> str:
        messages: Any = list(HELLO)
        with sdk.chat.completions.stream(model="m", messages=messages, tools=[ADD]) as stream:
            stream.until_done()
            message: Any = stream.get_final_completion().choices[0].message
        assert [(c.id, c.function.name) for c in message.tool_calls] == [("call_0", "add"), ("call_1", "add")]
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            value = json.loads(call.function.arguments)["a"]
            messages.append({"role": "tool", "tool_call_id": call.id, "content": f"<{value}>"})
        with sdk.chat.completions.stream(model="m", messages=messages, tools=[ADD]) as stream:
            stream.until_done()
            return stream.get_final_completion().choices[0].message.content or ""

    assert await compatible.ask(converse) == "<0><1>"
    assert [m["role"] for m in upstream.chats()[1].body["messages"]] == ["user", "assistant", "tool", "tool"]


async def test_images_and_formats_pass_on(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply_json(completion({"content": '{"a": 1}'}))
    picture = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
    }
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "What?"}, picture]}]
    schema = {
        "name": "s",
        "strict": True,
        "schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
    }
    wanted: Any = {"type": "json_schema", "json_schema": schema}
    rest: dict[str, Any] = {
        "temperature": 0.5,
        "seed": 7,
        "logit_bias": {"1": -100},
        "user": "me",
        "metadata": {"k": "v"},
        "extra_body": {"top_k": 3},
    }
    await compatible.ask(
        lambda sdk: sdk.chat.completions.create(model="m", messages=messages, response_format=wanted, **rest)
    )
    sent = upstream.chats()[0].body
    extra = rest.pop("extra_body")
    assert sent == {"model": "m", "messages": messages, "response_format": wanted, **rest, **extra}


async def test_several_choices_and_logprobs(compatible: Daemon, upstream: OpenAIServer) -> None:
    logprobs = {
        "content": [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}],
        "refusal": None,
    }
    upstream.reply(
        [
            chunk({"role": "assistant", "content": ""}),
            chunk({"role": "assistant", "content": ""}, index=1),
            chunk({"content": "a"}, choice={"logprobs": logprobs}),
            chunk({"content": "b"}, index=1),
            chunk(finish="stop"),
            chunk(finish="length", index=1),
            DONE,
        ]
    )

    def listen(sdk: openai.OpenAI) -> list[Any]:
        return list(sdk.chat.completions.create(model="m", messages=HELLO, stream=True, n=2, logprobs=True))

    chunks = [c.choices[0] for c in await compatible.ask(listen)]
    said = ["".join(c.delta.content or "" for c in chunks if c.index == i) for i in (0, 1)]
    assert said == ["a", "b"]
    assert {c.index: c.finish_reason for c in chunks if c.finish_reason} == {0: "stop", 1: "length"}
    assert chunks[2].logprobs.content[0].token == "a"


async def test_refusal(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply_json(completion({"content": None, "refusal": "No."}))
    answer = await compatible.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert answer.choices[0].message.refusal == "No."


def upstream_error(status: int, **error: Any) -> tuple[int, Any]:
    return status, {"error": {"message": "because", "type": "t", "param": None, "code": None, **error}}


@pytest.mark.parametrize(
    ("status", "body", "raised", "code"),
    [
        (*upstream_error(400, param="messages"), openai.BadRequestError, None),
        (*upstream_error(401), openai.AuthenticationError, "invalid_api_key"),
        (*upstream_error(403), openai.PermissionDeniedError, None),
        (*upstream_error(404, code="model_not_found"), openai.NotFoundError, "model_not_found"),
        (*upstream_error(422), openai.BadRequestError, None),
        (*upstream_error(429, code="insufficient_quota"), openai.RateLimitError, "insufficient_quota"),
        (*upstream_error(402, code=402), openai.RateLimitError, "insufficient_quota"),
        (418, b"<html>teapot</html>", openai.InternalServerError, "upstream_page"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_error_classes(
    compatible: Daemon,
    upstream: OpenAIServer,
    status: int,
    body: Any,
    raised: Any,
    code: str | None,
    stream: bool,
) -> None:
    upstream.reply_json(body, status=status)
    with pytest.raises(raised) as caught:
        await compatible.ask(
            lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO, stream=stream)
        )
    assert caught.value.code == code
    assert KEY not in str(caught.value)
    assert len(upstream.chats()) == 1, "what will fail again is not sent again"


async def test_rate_limit_with_its_retry_after(compatible: Daemon, upstream: OpenAIServer) -> None:
    status, body = upstream_error(429)
    upstream.reply_json(body, status=status, headers={b"retry-after": b"77"})
    with pytest.raises(openai.RateLimitError) as caught:
        await compatible.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert caught.value.response.headers["retry-after"] == "77"
    assert caught.value.code == "rate_limit_exceeded"


@pytest.mark.parametrize(
    "end",
    [
        [record({"error": {"message": "overloaded", "code": "server_error"}}), DONE],
        [record(head(error={"message": "x", "code": 502}, choices=[]))],
        [
            chunk(finish="length"),
            record(head(error={"code": 400, "message": "Token limit"}, choices=[])),
            DONE,
        ],
        [chunk({"content": ""}, finish="error")],
        [DONE],
        [],
        [b"data: {not json}\n\n", DONE],
    ],
    ids=["error", "error-in-chunk", "error-after-finish", "finish-error", "no-finish", "no-end", "garbage"],
)
async def test_failing_later(compatible: Daemon, upstream: OpenAIServer, end: list[bytes]) -> None:
    upstream.reply([*text_stream("Hi")[:2], *end], ending="complete")
    seen: list[Any] = []

    def raw(sdk: openai.OpenAI) -> bytes:
        asked = sdk.chat.completions.with_raw_response.create(model="m", messages=HELLO, stream=True)
        return asked.http_response.read()

    with pytest.raises(openai.APIError) as caught:
        await compatible.ask(lambda sdk: listen_all(sdk, seen))
    assert not isinstance(caught.value, openai.APIStatusError)
    assert [c.choices[0].delta.content for c in seen] == ["", "Hi"]
    assert all(c.choices[0].finish_reason is None for c in seen)
    body = await compatible.ask(raw)
    assert body.endswith(DONE)
    error = json.loads(body.split(b"\n\n")[-3].removeprefix(b"data: "))
    assert set(error) == {"error"}
    assert set(error["error"]) == {"message", "type", "param", "code"}


def listen_all(sdk: openai.OpenAI, seen: list[Any]) -> None:
    for item in sdk.chat.completions.create(model="m", messages=HELLO, stream=True):
        seen.append(item)  # noqa: PERF402  # what came before the error counts


async def test_cut_connection(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hi")[:2], ending="cut")
    seen: list[Any] = []
    with pytest.raises(openai.APIError, match="before it was complete"):
        await compatible.ask(lambda sdk: listen_all(sdk, seen))
    assert len(seen) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_in_a_success_becomes_a_status(
    compatible: Daemon, upstream: OpenAIServer, stream: bool
) -> None:
    error = {"error": {"message": "Rate limit", "code": 404}}
    if stream:
        upstream.reply([b": hello\n\n", record(error), DONE])
    else:
        upstream.reply_json(error)
    with pytest.raises(openai.NotFoundError, match="Rate limit"):
        await compatible.ask(
            lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO, stream=stream)
        )


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html>captive portal</html>", b"text/html"),
        (b"", b"text/event-stream"),
        (b"{}", b"application/json"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_no_answer_is_no_success(
    compatible: Daemon, upstream: OpenAIServer, body: bytes, content_type: bytes, stream: bool
) -> None:
    upstream.reply([body] if body else [], content_type=content_type)
    with pytest.raises(openai.InternalServerError) as caught:
        await compatible.ask(
            lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO, stream=stream)
        )
    assert caught.value.status_code == 502


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": "hi"}, "messages"),
        ({"model": "m", "messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "user"}]}, "messages[0].content"),
        (
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        ({"model": "m", "messages": HELLO, "max_tokens": "many"}, "max_tokens"),
        ({"model": "m", "messages": HELLO, "max_tokens": 0}, "max_tokens"),
        ({"model": "m", "messages": HELLO, "n": 0}, "n"),
        ({"model": "m", "messages": HELLO, "temperature": "hot"}, "temperature"),
        ({"model": "m", "messages": HELLO, "stop": ["a"] * 5}, "stop"),
        ({"model": "m", "messages": HELLO, "tools": [{"type": "function"}]}, "tools[0].function.name"),
        ({"model": "m", "messages": HELLO, "tool_choice": "maybe"}, "tool_choice"),
        ({"model": "m", "messages": HELLO, "response_format": {"type": "poem"}}, "response_format.type"),
        ({"model": "m", "messages": HELLO, "stream": "yes"}, "stream"),
        ({"model": 7, "messages": HELLO}, "model"),
    ],
)
async def test_nonsense_is_refused(compatible: Daemon, upstream: OpenAIServer, body: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await compatible.ask(lambda sdk: sdk.post("/chat/completions", cast_to=object, body=body))
    assert caught.value.param == param
    assert upstream.chats() == []


async def test_models(start: Start, upstream: OpenAIServer) -> None:
    upstream.models = [{"id": "a", "created": 5, "owned_by": "me"}, {"id": "x/b"}, {"object": "nameless"}]
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    models = await daemon.ask(lambda sdk: list(sdk.models.list()))
    assert [m.id for m in models] == ["a", "x/b"]
    assert (models[0].created, models[0].owned_by) == (5, "me")
    assert isinstance(models[1].created, int)
    assert (await daemon.ask(lambda sdk: sdk.models.retrieve("x/b"))).id == "x/b"
    with pytest.raises(openai.NotFoundError):
        await daemon.ask(lambda sdk: sdk.models.retrieve("zzz"))
    with pytest.raises(openai.NotFoundError, match="a, x/b") as caught:
        await daemon.ask(lambda sdk: sdk.chat.completions.create(model="zz", messages=HELLO))
    assert caught.value.code == "model_not_found"


async def test_completions(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hel", "lo"))
    answer = await compatible.ask(
        lambda sdk: sdk.completions.create(model="m", prompt="Say hello", max_tokens=9)
    )
    assert (answer.object, answer.choices[0].text, answer.choices[0].finish_reason) == (
        "text_completion",
        "Hello",
        "stop",
    )
    assert answer.usage.total_tokens == 5
    sent = upstream.chats()[0].body
    assert sent["messages"] == [{"role": "user", "content": "Say hello"}]
    assert (sent["max_tokens"], sent["stream"]) == (9, True)


async def test_completion_stream(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hel", "lo"))

    def listen(sdk: openai.OpenAI) -> list[Any]:
        options: Any = {"include_usage": True}
        asked: Any = sdk.completions.create(
            model="m", prompt="Say", stream=True, stream_options=options, echo=True, temperature=0.0
        )
        return list(asked)

    chunks = await compatible.ask(listen)
    assert [c.choices[0].text for c in chunks[:-1]] == ["Say", "Hel", "lo", ""]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 5)
    assert upstream.chats()[0].body["temperature"] == 0.0


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "a", "suffix": "z"}, "suffix"),
        ({"prompt": "a", "best_of": 3}, "best_of"),
        ({"prompt": "a", "temperature": "hot"}, "temperature"),
    ],
)
async def test_completions_refuse_what_they_cannot(
    compatible: Daemon, upstream: OpenAIServer, fields: Any, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await compatible.ask(
            lambda sdk: sdk.post("/completions", cast_to=object, body={"model": "m", **fields})
        )
    assert caught.value.param == param
    assert upstream.chats() == []


async def test_completion_logprobs(compatible: Daemon, upstream: OpenAIServer) -> None:
    tokens = [
        {"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "Hi", "logprob": -0.5}]}
    ]
    said = chunk({"content": "Hi"}, choice={"logprobs": {"content": tokens, "refusal": None}})
    upstream.reply([text_stream()[0], said, *text_stream()[1:]])
    answer = await compatible.ask(lambda sdk: sdk.completions.create(model="m", prompt="x", logprobs=1))
    assert answer.choices[0].logprobs.model_dump() == {
        "tokens": ["Hi"],
        "token_logprobs": [-0.5],
        "top_logprobs": [{"Hi": -0.5}],
        "text_offset": [0],
    }
    sent = upstream.chats()[0].body
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 1)
