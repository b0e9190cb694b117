"""Large whole answers to clients that are slow, stall or leave; and a fault of ours in the middle of a stream."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock.settings import Secret
from tests.chunks import completion, text_stream
from tests.conftest import KEY, Daemon, Start, until
from tests.test_lifetimes import post, slots
from tests.upstreams.openai_server import OpenAIServer


@pytest.fixture
def large(start: Start, upstream: OpenAIServer) -> Daemon:
    """A daemon whose upstream answers with 20 MB."""
    upstream.reply_json(completion({"content": "x" * 20_000_000}))
    return start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        stall_timeout=0.5,
    )


async def test_a_client_that_stalls_gives_its_permit_back(large: Daemon) -> None:
    client = await post(large)
    transport: Any = client.transport
    await until(lambda: bool(client.received))
    transport.pauseProducing()
    await until(lambda: slots(large) == (0, 0), 5.0)
    transport.resumeProducing()
    await client.lost


async def test_a_client_that_leaves_is_no_fault_of_ours(large: Daemon) -> None:
    client = await post(large)
    await until(lambda: bool(client.received))
    client.leave()
    await until(lambda: slots(large) == (0, 0))


async def test_a_fault_in_a_stream_cuts_it_short(
    compatible: Daemon, upstream: OpenAIServer, monkeypatch: pytest.MonkeyPatch, logged_faults: list[Any]
) -> None:
    from chatmock.stream_reply import StreamReply

    write = StreamReply.write

    def failing(self: StreamReply, records: bytes) -> None:
        write(self, records)
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(StreamReply, "write", failing)
    upstream.reply(text_stream("Hi"), pause=0.05)
    client = await post(compatible, stream=True)
    await until(lambda: slots(compatible) == (0, 0) and bool(client.received))
    await until(lambda: b"[DONE]" in client.received)
    assert b"please report it" in client.received
    assert logged_faults
    logged_faults.clear()
    client.leave()
