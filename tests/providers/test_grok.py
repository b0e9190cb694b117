"""xAI's ways, met through the real SDK."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from chatmock.settings import Secret
from tests.chunks import DONE, chunk, completion, usage
from tests.conftest import KEY, Daemon, Start
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Asked

HELLO: Any = [{"role": "user", "content": "Hello"}]
REASONING: Any = {"completion_tokens_details": {"reasoning_tokens": 10}, "total_tokens": 15}


def grok(start: Start, upstream: OpenAIServer, **more: Any) -> Daemon:
    return start(provider="grok", xai_api_key=Secret(KEY), grok_base_url=upstream.url, **more)


def create(model: str = "m", **more: Any) -> Any:
    return lambda sdk: sdk.chat.completions.create(model=model, messages=HELLO, **more)


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        (
            400,
            {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***ey."},
            openai.AuthenticationError,
            "invalid_api_key",
        ),
        (
            400,
            {"code": "Client specified an invalid argument", "error": "Model not found: x"},
            openai.NotFoundError,
            "model_not_found",
        ),
        (
            429,
            {"code": "subscription:free-usage-exhausted", "error": "You have used all of it."},
            openai.RateLimitError,
            "insufficient_quota",
        ),
    ],
)
async def test_error(
    start: Start,
    upstream: OpenAIServer,
    *,
    status: int,
    body: Any,
    error: type[openai.APIStatusError],
    code: str,
) -> None:
    upstream.reply_json(body, status=status)
    with pytest.raises(error) as caught:
        await grok(start, upstream).ask(create("x"))
    assert caught.value.code == code
    assert "xa***ey" not in str(caught.value)
    assert len(upstream.chats()) == 1


@pytest.mark.parametrize("always", [False, True])
async def test_an_unsupported_effort_is_left_out_once(
    start: Start, upstream: OpenAIServer, always: bool
) -> None:
    said = {"code": "invalid-argument", "error": "Model m does not support parameter reasoningEffort."}
    upstream.reply_json(said, status=400)
    refused = upstream.answer(Asked("POST", ""))
    upstream.reply_json(completion())
    answered = upstream.answer(Asked("POST", ""))
    upstream.answer = lambda asked: refused if always or "reasoning_effort" in asked.body else answered
    daemon = grok(start, upstream)

    def ask(sdk: openai.OpenAI) -> Any:
        return sdk.chat.completions.with_raw_response.create(
            model="m", messages=HELLO, reasoning_effort="high", temperature=0.5
        )

    if always:
        with pytest.raises(openai.BadRequestError):
            await daemon.ask(ask)
    else:
        raw = await daemon.ask(ask)
        assert raw.headers["x-chatmock-ignored"] == "reasoning_effort"
        assert raw.parse().choices[0].message.content == "Hello."
    first, second = upstream.chats()
    assert first.body == {**second.body, "reasoning_effort": "high"}


async def test_reasoning_counts_in_a_whole_answer(start: Start, upstream: OpenAIServer) -> None:
    upstream.reply_json(completion(usage={"prompt_tokens": 3, "completion_tokens": 2, **REASONING}))
    answer = await grok(start, upstream).ask(create())
    assert (answer.usage.completion_tokens, answer.usage.total_tokens) == (12, 15)


async def test_reasoning_counts_in_a_stream(start: Start, upstream: OpenAIServer) -> None:
    upstream.reply(
        [chunk({"role": "assistant", "content": "Hi"}), chunk(finish="stop"), usage(3, 2, **REASONING), DONE]
    )
    call = create(stream=True, stream_options={"include_usage": True})
    chunks = await grok(start, upstream).ask(lambda sdk: list(call(sdk)))
    assert (chunks[-1].usage.completion_tokens, chunks[-1].usage.total_tokens) == (12, 15)


async def test_retired_model(start: Start, upstream: OpenAIServer) -> None:
    upstream.models = [{"id": "grok-latest"}]
    with pytest.raises(openai.NotFoundError, match="CHATMOCK_GROK_ALIASES"):
        await grok(start, upstream).ask(create("grok-beta"))
    assert upstream.chats() == []


async def test_alias_of_a_retired_model(start: Start, upstream: OpenAIServer) -> None:
    upstream.models = [{"id": "grok-latest"}]
    upstream.reply_json(completion())
    answer = await grok(start, upstream, grok_aliases={"grok-beta": "grok-latest"}).ask(create("grok-beta"))
    assert answer.choices[0].message.content == "Hello."
    assert upstream.chats()[0].body["model"] == "grok-latest"
