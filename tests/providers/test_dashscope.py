"""DashScope's ways, met through the real SDK."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from chatmock.settings import Secret
from tests.chunks import DONE, chunk, text_stream, usage
from tests.conftest import KEY, Daemon, Start
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Reply

HELLO: Any = [{"role": "user", "content": "Hello"}]
ONLY_STREAMS = {
    "error": {
        "message": "parameter.enable_thinking must be set to false for non-streaming calls",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_parameter_error",
    }
}


def refusal() -> Reply:
    return Reply([json.dumps(ONLY_STREAMS).encode()], status=400, content_type=b"application/json")


@pytest.fixture
def dashscope(start: Start, upstream: OpenAIServer) -> Daemon:
    return start(provider="dashscope", dashscope_api_key=Secret(KEY), dashscope_base_url=upstream.url)


def call(id: str, name: str | None, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": 0, "id": id, "type": "function", "function": function}]}


async def test_empty_ids_and_names_are_not_passed(dashscope: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(
        [
            chunk({"role": "assistant", "content": None, **call("call_1", "add", "")}),
            chunk(call("", "", '{"a":')),
            chunk(call("", None, "1}")),
            chunk(finish="tool_calls"),
            usage(),
            DONE,
        ]
    )
    chunks = await dashscope.ask(
        lambda sdk: list(sdk.chat.completions.create(model="m", messages=HELLO, stream=True))
    )
    pieces = [piece for c in chunks for choice in c.choices for piece in choice.delta.tool_calls or ()]
    assert [piece.id for piece in pieces] == ["call_1", None, None]
    assert [piece.function.name for piece in pieces] == ["add", None, None]
    assert "".join(piece.function.arguments for piece in pieces) == '{"a":1}'


async def test_a_model_that_only_streams_is_asked_for_a_stream(
    dashscope: Daemon, upstream: OpenAIServer
) -> None:
    upstream.answer = lambda asked: Reply(text_stream("Hel", "lo")) if asked.body.get("stream") else refusal()
    answer = await dashscope.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.content == "Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 5
    assert [bool(asked.body.get("stream")) for asked in upstream.chats()] == [False, True]


async def test_it_is_asked_again_only_once(dashscope: Daemon, upstream: OpenAIServer) -> None:
    upstream.answer = lambda asked: refusal()
    with pytest.raises(openai.BadRequestError, match="non-streaming"):
        await dashscope.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert len(upstream.chats()) == 2
