"""Embeddings passed on: the official SDK against the daemon, which stands in front of a fake upstream."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import openai
import pytest

from chatmock.keys.database import KEYS_FILE
from chatmock.keys.store import KeyStore
from chatmock.settings import Secret
from tests.conftest import KEY, Daemon, Start, until
from tests.keys.making import entry_of
from tests.openapi.described import checked
from tests.test_admitting import http
from tests.test_healing import watched
from tests.test_lifetimes import RawClient, connect, slots
from tests.upstreams.openai_server import OpenAIServer, embedded, numbers
from tests.upstreams.playing_site import Reply

PATH = "/v1/embeddings"
ONE = {"model": "e", "input": "Hello"}


async def embed(daemon: Daemon, **more: Any) -> Any:
    """The answer to a request of the SDK."""
    return await daemon.ask(lambda sdk: sdk.embeddings.create(**{**ONE, **more}))


async def refused(daemon: Daemon, client: dict[str, Any] | None = None, **more: Any) -> openai.APIStatusError:
    """The error that the SDK raises."""
    with pytest.raises(openai.APIStatusError) as caught:
        await daemon.ask(lambda sdk: sdk.embeddings.create(**{**ONE, **more}), **(client or {}))
    return caught.value


async def post(daemon: Daemon, body: Any = ONE) -> RawClient:
    """Connect and send a request for embeddings."""
    client = await connect(daemon)
    data = json.dumps(body).encode()
    head = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    assert client.transport is not None
    client.transport.write(head % len(data) + data)
    return client


def answering(upstream: OpenAIServer, value: Any, status: int = 200, **more: Any) -> None:
    """Have *upstream* answer every request for embeddings with *value*."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    upstream.embed = lambda asked: Reply(
        [data], **{"status": status, "content_type": b"application/json", **more}
    )


def vectors(*each: Any) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": e} for i, e in enumerate(each)],
    }


async def test_one_text(compatible: Daemon, upstream: OpenAIServer) -> None:
    answer = await embed(compatible)
    assert answer.data[0].embedding == numbers("Hello")
    assert (answer.object, answer.model) == ("list", "e")
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 7
    (asked,) = upstream.embeddings()
    # The SDK asks for base64 where its caller does not say.
    assert asked.body == {"model": "e", "input": ["Hello"], "encoding_format": "base64"}
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["user-agent"].startswith("chatmock/")


@pytest.mark.parametrize("form", ["float", "base64"])
async def test_several_texts_keep_their_order(compatible: Daemon, upstream: OpenAIServer, form: str) -> None:
    texts = ["a", "bcd", "ef"]
    answer = await embed(compatible, input=texts, encoding_format=form)
    expected = [numbers(text) for text in texts]
    assert [each.index for each in answer.data] == [0, 1, 2]
    told = [each.embedding for each in answer.data]
    assert [list(struct.unpack("<3f", base64.b64decode(v))) if form == "base64" else v for v in told] == (
        expected
    )
    assert upstream.embeddings()[0].body["encoding_format"] == form


async def test_indices_out_of_order_are_put_in_order(compatible: Daemon, upstream: OpenAIServer) -> None:
    data = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]
    answering(upstream, {"data": data})
    answer = await embed(compatible, input=["a", "b"])
    assert [(each.index, each.embedding) for each in answer.data] == [(0, [0.0]), (1, [1.0])]


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]], ["a", [1, 2]]])
async def test_tokens(compatible: Daemon, upstream: OpenAIServer, tokens: Any) -> None:
    answer = await embed(compatible, input=tokens)
    sent = [tokens] if isinstance(tokens[0], int) else tokens
    assert len(answer.data) == len(sent)
    assert upstream.embeddings()[0].body["input"] == sent


async def test_what_else_is_asked_is_passed_on(compatible: Daemon, upstream: OpenAIServer) -> None:
    more = {"input_type": "query", "truncate_prompt_tokens": 5}
    answer = await embed(compatible, dimensions=2, user="me", extra_body={**more, "nothing": None})
    assert len(answer.data[0].embedding) == 2
    body = upstream.embeddings()[0].body
    assert {**more, "dimensions": 2, "user": "me"}.items() <= body.items()
    assert "nothing" not in body


async def test_a_server_that_knows_no_base64(compatible: Daemon, upstream: OpenAIServer) -> None:
    """It answers in numbers whatever is asked for; some clients unpack without looking."""
    answering(upstream, vectors([0.5, 1, -2e-3]))
    raw = await http(compatible, "POST", PATH, {**ONE, "encoding_format": "base64"})
    packed = base64.b64decode(json.loads(raw.body)["data"][0]["embedding"])
    assert struct.unpack("<3f", packed) == pytest.approx((0.5, 1, -2e-3))


async def test_a_server_that_answers_in_base64_unasked(compatible: Daemon, upstream: OpenAIServer) -> None:
    answering(upstream, vectors(base64.b64encode(struct.pack("<2f", 0.5, -1)).decode()))
    answer = await embed(compatible, encoding_format="float")
    assert answer.data[0].embedding == [0.5, -1.0]


async def test_numbers_pass_as_they_came(compatible: Daemon, upstream: OpenAIServer) -> None:
    answering(upstream, b'{"data":[{"embedding":[0.10, -1E-3,2]}]}')
    raw = await http(compatible, "POST", PATH, ONE)
    assert b"[0.10, -1E-3,2]" in raw.body
    assert "usage" not in json.loads(raw.body)


async def test_the_model_is_named_as_it_was_asked_for(start: Start, upstream: OpenAIServer) -> None:
    upstream.models = [{"id": "real-name"}]
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        compatible_aliases={"small": "real-name"},
    )
    for name in ("small", "compatible/small", "compatible/real-name"):
        assert (await embed(daemon, model=name)).model == name
    assert [asked.body["model"] for asked in upstream.embeddings()] == ["real-name"] * 3
    error = await refused(daemon, model="large")
    assert (error.status_code, error.code) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("provider", "base"),
    [("openrouter", "openrouter_api_key"), ("dashscope", "dashscope_api_key")],
)
async def test_other_providers_that_have_them(
    start: Start, upstream: OpenAIServer, provider: str, base: str
) -> None:
    daemon = start(provider=provider, **{base: Secret(KEY), f"{provider}_base_url": upstream.url})
    assert (await embed(daemon)).data[0].embedding == numbers("Hello")
    form = upstream.embeddings()[0].body["encoding_format"]
    assert form == ("float" if provider == "dashscope" else "base64")


async def test_openrouters_embedding_models_are_listed(start: Start, upstream: OpenAIServer) -> None:
    upstream.models = [
        {"id": "openai/embed", "architecture": {"output_modalities": ["embeddings"]}},
        {"id": "a/chat", "architecture": {"output_modalities": ["text"]}},
    ]
    daemon = start(provider="openrouter", openrouter_api_key=Secret(KEY), openrouter_base_url=upstream.url)
    listed = await daemon.ask(lambda sdk: [model.id for model in sdk.models.list()])
    assert listed == ["a/chat", "openai/embed"]  # the first is the default one
    assert (await embed(daemon, model="openai/embed")).model == "openai/embed"
    (catalogue,) = [asked for asked in upstream.asked if asked.path.endswith("/models")]
    assert catalogue.query == "output_modalities=text,embeddings"


async def test_providers_without(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="demo",
        xai_api_key=Secret("k"),
        grok_base_url=upstream.url,
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
    )
    for model in ("demo", "grok/grok-latest", "text-embedding-3-small"):
        error = await refused(daemon, model=model)
        assert (error.status_code, error.code) == (501, "embeddings_unsupported")
        assert "that have: compatible." in error.message
        assert "?provider=compatible" in error.message
    told = await embed(daemon, model="compatible/text-embedding-3-small")
    assert told.model == "compatible/text-embedding-3-small"
    assert (await embed(daemon, extra_query={"provider": "compatible"})).data


async def test_no_provider_has_any(start: Start) -> None:
    daemon = start(provider="demo")
    error = await refused(daemon, model="demo")
    assert (error.status_code, error.code) == (501, "embeddings_unsupported")
    assert "No usable provider has" in error.message
    # The SDK tries again after a 5xx, unless it is told that this is of no use.
    assert error.response.headers["x-should-retry"] == "false"
    await refused(daemon, {"max_retries": 2}, model="demo")
    await checked(daemon, "POST", PATH, 501, {**ONE, "model": "demo"})


async def test_chatgpt_and_qwen_have_none(start_qwen: Start, login_file: Path) -> None:
    daemon = start_qwen()
    for provider in ("qwen", "chatgpt"):
        error = await refused(daemon, model="any", extra_query={"provider": provider})
        assert (error.status_code, error.code) == (501, "embeddings_unsupported")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "a"}, "model"),
        ({"model": "", "input": "a"}, "model"),
        ({"model": "e"}, "input"),
        ({"model": "e", "input": ""}, "input"),
        ({"model": "e", "input": []}, "input"),
        ({"model": "e", "input": ["a", ""]}, "input[1]"),
        ({"model": "e", "input": [["a"]]}, "input[0]"),
        ({"model": "e", "input": [[]]}, "input[0]"),
        ({"model": "e", "input": [True]}, "input[0]"),
        ({"model": "e", "input": [-1]}, "input[0]"),
        ({"model": "e", "input": [{"text": "a"}]}, "input[0]"),
        ({"model": "e", "input": 5}, "input"),
        ({"model": "e", "input": ["a"] * 2049}, "input"),
        ({"model": "e", "input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"model": "e", "input": "a", "dimensions": 0}, "dimensions"),
        (b'{"model":"e","model":"f","input":"a"}', None),
    ],
)
async def test_bad_requests(compatible: Daemon, upstream: OpenAIServer, body: Any, param: str | None) -> None:
    answer = await checked(compatible, "POST", PATH, 400, body)
    assert answer.error["param"] == param
    assert not upstream.embeddings()


async def test_limits(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        max_total_bytes=1024,
    )
    assert len((await embed(daemon, input=["ä" * 256] * 2)).data) == 2
    for over in ({"input": ["ä" * 256, "ä" * 257]}, {"input": [1] * 257}, {"user": "u" * 1025}):
        error = await refused(daemon, **over)
        assert (error.status_code, error.code) == (400, "limit_exceeded")
        assert "CHATMOCK_MAX_TOTAL_BYTES" in error.message
    assert len(upstream.embeddings()) == 1


async def test_a_key_that_is_not_for_the_model(start: Start, upstream: OpenAIServer, home: Path) -> None:
    folder = home / ".chatgpt-local"
    folder.mkdir(mode=0o700)
    KeyStore(folder / KEYS_FILE).add(entry_of("anna", b"sk-anna", models=("e*",)))
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    anna = {"authorization": "Bearer sk-anna"}
    assert (await http(daemon, "POST", PATH, ONE, **anna)).status == 200
    assert (await http(daemon, "POST", PATH, {**ONE, "model": "other"}, **anna)).status == 403
    assert len(upstream.embeddings()) == 1


async def test_the_rate_counts(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        rate_limit_rps=0.001,
        rate_limit_burst=1,
    )
    await embed(daemon)
    error = await refused(daemon)
    assert error.status_code == 429
    assert int(error.response.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (
            400,
            {"error": {"message": "too long", "code": "context_length_exceeded"}},
            400,
            "context_length_exceeded",
        ),
        (404, {"error": {"message": "no model e", "code": "model_not_found"}}, 404, "model_not_found"),
        (404, b"not found", 501, "embeddings_unsupported"),
        (405, b"", 501, "embeddings_unsupported"),
        (
            501,
            {"error": {"message": "start it with --embeddings", "code": 501}},
            501,
            "embeddings_unsupported",
        ),
        (429, {"error": {"message": "slow down"}}, 429, "rate_limit_exceeded"),
        (401, {"error": {"message": "wrong key"}}, 401, "invalid_api_key"),
        (302, b"", 502, "upstream_redirect"),
        (200, {"error": {"message": "no credit", "code": 402}}, 429, "insufficient_quota"),
        (200, b"<html>", 502, "upstream_malformed"),
        (200, b"", 502, "upstream_malformed"),
        (200, {"data": []}, 502, "upstream_malformed"),
        (200, vectors([1.0], [2.0]), 502, "upstream_malformed"),
        (200, vectors("no base64!"), 502, "upstream_malformed"),
        (200, vectors("AAAA"), 502, "upstream_malformed"),  # three bytes are no number
        (200, vectors("AADAfw=="), 502, "upstream_malformed"),  # not a number
        (200, vectors([1e300]), 502, "upstream_malformed"),  # more than 32 bits hold
        (200, vectors(["a"]), 502, "upstream_malformed"),
        (200, vectors({}), 502, "upstream_malformed"),
        (200, {"data": [{"index": 0}]}, 502, "upstream_malformed"),
        (200, {**vectors([1.0]), "usage": [5]}, 502, "upstream_malformed"),
        (
            200,
            b'{"data":[{"embedding":[1]}],"usage":{"a":%b}}' % (b"[" * 99 + b"]" * 99),
            502,
            "upstream_malformed",
        ),
    ],
)
async def test_what_an_upstream_can_answer_instead(
    compatible: Daemon, upstream: OpenAIServer, status: int, body: Any, expected: int, code: str
) -> None:
    answering(upstream, body, status, headers={b"retry-after": b"60"} if status == 429 else {})
    answer = await http(compatible, "POST", PATH, {**ONE, "encoding_format": "base64"})
    assert (answer.status, answer.error["code"]) == (expected, code)
    assert slots(compatible) == (0, 0)


async def test_a_cut_answer(compatible: Daemon, upstream: OpenAIServer) -> None:
    answering(upstream, json.dumps(vectors([1.0]))[:-3].encode(), pause=0.05, ending="cut")
    assert (await refused(compatible)).code == "upstream_malformed"


async def test_an_endless_answer(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.embed = lambda asked: Reply([b" " * 4_000_000] * 20, content_type=b"application/json")
    error = await refused(compatible)
    assert (error.status_code, error.code) == (502, "upstream_limit")
    await until(lambda: upstream.active == 0)


async def test_an_answer_that_takes_too_long(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        total_timeout=0.3,
    )
    upstream.embed = lambda asked: Reply([b" "] * 10_000, pause=0.02, content_type=b"application/json")
    error = await refused(daemon)
    assert "CHATMOCK_TOTAL_TIMEOUT" in error.message
    await until(lambda: upstream.active == 0)


async def test_a_passing_fault_is_tried_again(compatible: Daemon, upstream: OpenAIServer) -> None:
    replies = [Reply([b"busy"], status=503, headers={b"retry-after": b"0"}, content_type=b"text/plain")]
    upstream.embed = lambda asked: replies.pop() if replies else embedded(asked)
    assert (await embed(compatible)).data
    assert len(upstream.embeddings()) == 2


async def test_failures_leave_the_provider_alone(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret("x" * 9)
    )
    assert (await refused(daemon)).code == "invalid_api_key"
    assert (await refused(daemon)).code == "invalid_api_key"
    assert len(upstream.embeddings()) == 1
    watch, _ = watched(daemon, "compatible")
    assert watch.conditions()


async def test_answers_that_are_none_count_as_well(compatible: Daemon, upstream: OpenAIServer) -> None:
    answering(upstream, b"nonsense")
    for _ in range(4):
        assert (await refused(compatible)).status_code in (502, 503)
    assert len(upstream.embeddings()) == 3
    upstream.embed = embedded
    assert (await embed(compatible, model="other")).data  # it was one model's fault


async def test_who_is_left_alone_is_not_waited_for(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    upstream.embed = lambda asked: (
        Reply([b"{}"], status=402, content_type=b"application/json")
        if asked.body["model"] == "poor"
        else Reply(before=60)
    )
    assert (await refused(daemon, model="poor")).code == "insufficient_quota"
    busy = await post(daemon)
    await until(lambda: slots(daemon) == (1, 0))
    assert (await refused(daemon, model="poor")).code == "insufficient_quota"
    busy.leave()
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0)
    assert [asked.body["model"] for asked in upstream.embeddings()] == ["poor", "e"]


async def test_that_there_are_none_says_nothing_of_the_provider(
    compatible: Daemon, upstream: OpenAIServer
) -> None:
    answering(upstream, b"", 501)
    for _ in range(4):
        assert (await refused(compatible)).status_code == 501
    assert len(upstream.embeddings()) == 4
    assert not compatible.service.accounts.by_name["compatible"].watch.conditions()


@pytest.mark.parametrize("rudely", [True, False])
async def test_leaving_before_the_upstream_answers(
    compatible: Daemon, upstream: OpenAIServer, rudely: bool
) -> None:
    upstream.embed = lambda asked: Reply(before=60)
    client = await post(compatible)
    await until(lambda: len(upstream.embeddings()) == 1)
    assert slots(compatible) == (1, 0)
    client.leave(rudely)
    await until(lambda: upstream.active == 0 and slots(compatible) == (0, 0))


async def test_leaving_while_the_upstream_answers(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.embed = lambda asked: Reply([b"{"], ending="hang", content_type=b"application/json")
    client = await post(compatible)
    await until(lambda: upstream.active == 1)
    client.leave()
    await until(lambda: upstream.active == 0 and slots(compatible) == (0, 0))


async def test_leaving_the_queue(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    upstream.embed = lambda asked: Reply(before=60)
    first = await post(daemon)
    await until(lambda: slots(daemon) == (1, 0))
    second = await post(daemon)
    await until(lambda: slots(daemon) == (1, 1))
    second.leave()
    await until(lambda: slots(daemon) == (1, 0))
    first.leave()
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0)
    assert len(upstream.embeddings()) == 1


async def test_the_queue_is_that_of_chats(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        queue_timeout=0.05,
    )
    upstream.embed = lambda asked: Reply(before=60)
    first = await post(daemon)
    await until(lambda: slots(daemon) == (1, 0))
    error = await refused(daemon)
    assert (error.status_code, error.code) == (429, "queue_timeout")
    first.leave()
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0)


async def test_a_large_answer_is_written_at_the_clients_pace(
    compatible: Daemon, upstream: OpenAIServer
) -> None:
    size = 400_000
    answering(upstream, vectors([0.5] * size))
    client = await connect(compatible)
    assert client.transport is not None
    client.transport.pauseProducing()
    data = json.dumps(ONE).encode()
    client.transport.write(
        b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
        % (len(data), data)
    )
    await until(lambda: upstream.active == 0 and len(upstream.embeddings()) == 1)
    await until(lambda: slots(compatible) == (0, 0))  # nobody waits for a slow reader
    client.transport.resumeProducing()
    await client.lost
    body = client.received.partition(b"\r\n\r\n")[2]
    assert len(json.loads(body)["data"][0]["embedding"]) == size


async def test_it_is_described(compatible: Daemon) -> None:
    for form in ("float", "base64"):
        await checked(compatible, "POST", PATH, 200, {**ONE, "encoding_format": form})
    await checked(compatible, "POST", PATH, 200, {**ONE, "input": [[1, 2], "a"]}, "?provider=compatible")
