"""An upstream whose answer does not end is cut off, in time and in size, and the client is told (spec security.md, P51)."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from chatmock.framing import DEFAULT_RECORD_LIMIT
from chatmock.settings import Secret
from tests.chunks import chunk, text_stream
from tests.conftest import KEY, Daemon, Start, until
from tests.upstreams.openai_server import OpenAIServer

HELLO: Any = [{"role": "user", "content": "Hello"}]


async def failing(daemon: Daemon, stream: bool, completion: bool = False) -> openai.APIError:
    """What a client is told; *completion* for one whose dialect is not the upstream's."""

    def listen(sdk: openai.OpenAI) -> None:
        if completion:
            answer: Any = sdk.completions.create(model="m", prompt="Hello", stream=stream)
        else:
            answer = sdk.chat.completions.create(model="m", messages=HELLO, stream=stream)
        list(answer)

    with pytest.raises(openai.APIError) as caught:
        await daemon.ask(listen)
    return caught.value


@pytest.mark.parametrize("completion", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_whole_answer_has_its_time(
    start: Start, upstream: OpenAIServer, stream: bool, completion: bool
) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        total_timeout=0.4,
    )
    if stream or completion:
        upstream.reply([*text_stream()[:1], *[chunk({"content": "x"})] * 1000], pause=0.02)
    else:
        upstream.reply([b'{"choices":', *[b" "] * 1000], pause=0.02, content_type=b"application/json")
    error = await failing(daemon, stream, completion)
    assert "CHATMOCK_TOTAL_TIMEOUT" in error.message
    assert (error.code, getattr(error, "status_code", None)) == ("upstream_limit", None if stream else 502)
    await until(lambda: upstream.active == 0)


@pytest.mark.parametrize("completion", [False, True])
async def test_a_stream_has_its_size(compatible: Daemon, upstream: OpenAIServer, completion: bool) -> None:
    upstream.reply([*text_stream()[:1], *[chunk({"content": "x" * 500_000})] * 100])
    error = await failing(compatible, True, completion)
    assert "33554432 bytes" in error.message
    assert error.code == "upstream_limit"
    await until(lambda: upstream.active == 0)


@pytest.mark.parametrize("completion", [False, True])
@pytest.mark.parametrize("field", [b"data: ", b": ", b"event: ", b""])
@pytest.mark.parametrize("begun", [False, True])
async def test_a_line_has_its_size(
    compatible: Daemon, upstream: OpenAIServer, begun: bool, field: bytes, completion: bool
) -> None:
    piece = b"x" * 65536
    count = DEFAULT_RECORD_LIMIT // len(piece) + 20
    upstream.reply([*(text_stream("Hi")[:2] if begun else []), field, *[piece] * count], ending="hang")
    error = await failing(compatible, True, completion)
    assert error.code == "upstream_limit"
    assert getattr(error, "status_code", None) == (None if begun else 502)
    await until(lambda: upstream.active == 0)
