"""What happens when one side leaves, stalls, is slow or comes back: nothing is left behind, nothing blocks."""

from __future__ import annotations

import json
import random
from typing import Any

import openai
import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol

from chatmock.settings import Secret
from tests.chunks import DONE, chunk, completion, text_stream
from tests.conftest import KEY, Daemon, Start, pause, until
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Reply

HELLO: Any = [{"role": "user", "content": "Hello"}]
FOREVER = [chunk({"content": "x"})] * 10_000


class RawClient(Protocol):
    """An HTTP client that reads as much as it is told to, and leaves as rudely as it is told to."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)

    def leave(self, rudely: bool = True) -> None:
        assert self.transport is not None
        if rudely:
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()


async def connect(daemon: Daemon) -> RawClient:
    port = int(daemon.url.rpartition(":")[2])
    client: RawClient = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), RawClient())
    return client


async def post(daemon: Daemon, **fields: Any) -> RawClient:
    """Connect and send a chat request."""
    client = await connect(daemon)
    body = json.dumps({"model": "m", "messages": HELLO, **fields}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    assert client.transport is not None
    client.transport.write(head % len(body) + body)
    return client


def slots(daemon: Daemon) -> tuple[int, int]:
    return daemon.service.slots.held, daemon.service.slots.waiting


@pytest.mark.parametrize("rudely", [True, False])
@pytest.mark.parametrize("stream", [True, False])
async def test_leaving_before_the_first_byte(
    compatible: Daemon, upstream: OpenAIServer, stream: bool, rudely: bool
) -> None:
    upstream.reply(FOREVER, before=60)
    client = await post(compatible, stream=stream)
    await until(lambda: len(upstream.chats()) == 1)
    assert slots(compatible) == (1, 0)
    client.leave(rudely)
    await until(lambda: upstream.active == 0 and slots(compatible) == (0, 0), 1.0)
    await until(lambda: upstream.open_connections == 0)


@pytest.mark.parametrize("rudely", [True, False])
async def test_leaving_mid_stream(compatible: Daemon, upstream: OpenAIServer, rudely: bool) -> None:
    upstream.reply(FOREVER, pause=0.01)
    client = await post(compatible, stream=True)
    await until(lambda: b'"x"' in client.received)
    client.leave(rudely)
    await until(lambda: upstream.active == 0 and slots(compatible) == (0, 0), 1.0)


async def test_leaving_mid_body_of_a_whole_answer(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply([b'{"choices":'] + [b" "] * 10_000, content_type=b"application/json", pause=0.01)
    client = await post(compatible)
    await until(lambda: len(upstream.chats()) == 1)
    await pause(0.05)
    client.leave()
    await until(lambda: upstream.active == 0 and slots(compatible) == (0, 0), 1.0)


async def test_leaving_the_queue(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    upstream.reply(FOREVER, pause=0.01)
    first = await post(daemon, stream=True)
    await until(lambda: len(upstream.chats()) == 1)
    second = await post(daemon, stream=True)
    await until(lambda: slots(daemon) == (1, 1))
    second.leave()
    await until(lambda: slots(daemon) == (1, 0), 1.0)
    first.leave()
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0, 1.0)
    assert len(upstream.chats()) == 1


async def test_leaving_between_two_tries(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply_json({"error": {"message": "busy"}}, status=503, headers={b"retry-after": b"9"})
    client = await post(compatible, stream=True)
    await until(lambda: len(upstream.chats()) == 1 and upstream.active == 0)
    await pause(0.05)
    assert slots(compatible) == (1, 0)
    client.leave()
    await until(lambda: slots(compatible) == (0, 0), 1.0)


async def test_two_hundred_leave_at_random_moments(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY), max_concurrency=60,
        queue_limit=200,
    )  # fmt: skip
    chance = random.Random(7)
    upstream.answer = lambda asked: Reply(FOREVER, pause=0.005, before=chance.choice([0, 0, 0.05, 0.2]))

    async def visit() -> None:
        client = await post(daemon, stream=chance.random() < 0.7)
        await pause(chance.random() * 0.4)
        client.leave(chance.random() < 0.7)
        await client.lost

    await DeferredList([Deferred.fromCoroutine(visit()) for _ in range(200)])
    await until(lambda: upstream.active == 0 and upstream.open_connections == 0, 2.0)
    assert slots(daemon) == (0, 0)
    upstream.reply_json(completion())
    answer = await daemon.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert answer.choices[0].message.content == "Hello."


async def test_a_slow_client_pauses_the_upstream(compatible: Daemon, upstream: OpenAIServer) -> None:
    """What is taken from the upstream while the client reads nothing is bounded by the sockets' buffers."""
    piece = chunk({"content": "x" * 50_000})
    written = 0

    class Counted(list[bytes]):
        def __iter__(self) -> Any:
            nonlocal written
            for item in super().__iter__():
                written += len(item)
                yield item

    upstream.answer = lambda asked: Reply(Counted([*text_stream()[:1], *[piece] * 300, *text_stream()[1:]]))
    client = await connect(compatible)
    assert client.transport is not None
    body = json.dumps({"model": "m", "messages": HELLO, "stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    client.transport.write(head + body)
    await until(lambda: bool(client.received))
    client.transport.pauseProducing()
    relay = await paused_relay(compatible)
    taken = -1
    while taken != relay._transcoder.records:  # the sockets' buffers fill up first
        taken = relay._transcoder.records
        await pause(0.3)
    assert taken < 300
    client.transport.resumeProducing()
    await until(lambda: client.received.endswith(b"0\r\n\r\n"))
    assert client.received.count(b"x" * 50_000) == 300
    assert written > 300 * 50_000
    client.leave()


async def paused_relay(daemon: Daemon) -> Any:
    """The relay of the one running answer, once its client has made it pause."""
    import gc

    from chatmock.relay import BodyRelay

    def find() -> list[Any]:
        return [o for o in gc.get_objects() if isinstance(o, BodyRelay) and o._paused and not o._ended]

    await until(lambda: bool(find()))
    return find()[0]


async def test_a_client_that_stalls_is_dropped(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        stall_timeout=0.3,
    )
    upstream.reply([chunk({"content": "x" * 50_000})] * 1000)
    client = await post(daemon, stream=True)
    assert client.transport is not None
    await until(lambda: bool(client.received))
    client.transport.pauseProducing()
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0, 5.0)
    client.transport.resumeProducing()
    await client.lost


@pytest.mark.parametrize("stream", [True, False])
async def test_no_first_byte(start: Start, upstream: OpenAIServer, stream: bool) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        first_byte_timeout=0.2,
    )
    upstream.reply([], before=60)
    with pytest.raises(openai.InternalServerError, match="CHATMOCK_FIRST_BYTE_TIMEOUT") as caught:
        await daemon.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO, stream=stream))
    assert caught.value.status_code == 504
    await until(lambda: upstream.active == 0)


@pytest.mark.parametrize("begun", [False, True])
async def test_silence(start: Start, upstream: OpenAIServer, begun: bool) -> None:
    """Keep-alives are no progress."""
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        idle_timeout=0.3,
    )
    opening = text_stream("Hi")[:2] if begun else []
    upstream.reply([*opening, *[b": still here\n\n"] * 1000], pause=0.02)

    def listen(sdk: openai.OpenAI) -> None:
        for _ in sdk.chat.completions.create(model="m", messages=HELLO, stream=True):
            pass

    with pytest.raises(openai.APIError, match="CHATMOCK_IDLE_TIMEOUT") as caught:
        await daemon.ask(listen)
    assert getattr(caught.value, "status_code", None) == (None if begun else 504)
    await until(lambda: upstream.active == 0)


async def test_nobody_listens_upstream(start: Start) -> None:
    daemon = start(provider="compatible", compatible_base_url="http://127.0.0.1:1/v1")
    with pytest.raises(openai.InternalServerError, match="cannot be reached") as caught:
        await daemon.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert caught.value.status_code == 502
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("in_band", [False, True])
async def test_passing_faults_are_tried_again(
    compatible: Daemon, upstream: OpenAIServer, in_band: bool
) -> None:
    busy = {"error": {"message": "busy", "code": 503}}
    failing = Reply([b"data: " + json.dumps(busy).encode() + b"\n\n"]) if in_band else Reply(
        [json.dumps(busy).encode()], status=503, content_type=b"application/json", headers={b"retry-after": b"0"}
    )  # fmt: skip
    replies = [failing, failing, Reply(text_stream("Hi"))]
    upstream.answer = lambda asked: replies.pop(0)
    chunks = await compatible.ask(
        lambda sdk: list(sdk.chat.completions.create(model="m", messages=HELLO, stream=True))
    )
    assert [c.choices[0].delta.content for c in chunks] == ["", "Hi", None]
    assert len(upstream.chats()) == 3


async def test_faults_that_stay_are_told(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply_json({"error": {"message": "busy"}}, status=500, headers={b"retry-after": b"0"})
    with pytest.raises(openai.InternalServerError, match="busy") as caught:
        await compatible.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert caught.value.status_code == 502
    assert len(upstream.chats()) == 3


async def test_connections_are_kept(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hi"))

    def several(sdk: openai.OpenAI) -> None:
        for _ in range(10):
            list(sdk.chat.completions.create(model="m", messages=HELLO, stream=True))

    await compatible.ask(several)
    assert upstream.connections <= 2  # the list of models may have had one of its own


async def test_a_kept_connection_that_has_died_is_not_the_clients_problem(
    compatible: Daemon, upstream: OpenAIServer
) -> None:
    upstream.reply_json(completion())

    def ask(sdk: openai.OpenAI) -> Any:
        return sdk.chat.completions.create(model="m", messages=HELLO)

    await compatible.ask(ask)
    upstream.abort_next = True
    await compatible.ask(ask)
    assert len(upstream.chats()) == 2


async def test_the_queue_is_first_come_first_served(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    upstream.reply([*text_stream("Hi")], pause=0.02)
    clients = []
    for number in range(5):
        clients.append(await post(daemon, stream=True, user=str(number)))
        await until(lambda: sum(slots(daemon)) == len(clients))
    for client in clients:
        await until(lambda client=client: DONE in client.received)  # type: ignore[misc]
        client.leave()
    assert [asked.body["user"] for asked in upstream.chats()] == list("01234")


async def test_a_full_queue(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY), queue_limit=1
    )
    upstream.reply(FOREVER, pause=0.01)
    first = await post(daemon, stream=True)
    await until(lambda: len(upstream.chats()) == 1)
    second = await post(daemon, stream=True)
    await until(lambda: slots(daemon) == (1, 1))
    with pytest.raises(openai.RateLimitError, match="CHATMOCK_QUEUE_LIMIT") as caught:
        await daemon.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert int(caught.value.response.headers["retry-after"]) >= 1
    first.leave()
    second.leave()
    await until(lambda: upstream.active == 0)


async def test_a_wait_too_long(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        queue_timeout=0.2,
    )
    upstream.reply(FOREVER, pause=0.01)
    first = await post(daemon, stream=True)
    await until(lambda: len(upstream.chats()) == 1)
    with pytest.raises(openai.RateLimitError, match="CHATMOCK_QUEUE_TIMEOUT") as caught:
        await daemon.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert int(caught.value.response.headers["retry-after"]) >= 1
    first.leave()
    await until(lambda: upstream.active == 0)


async def test_a_large_whole_answer_arrives_whole(compatible: Daemon, upstream: OpenAIServer) -> None:
    text = "ä" * 3_000_000
    upstream.reply_json(completion({"content": text}))
    answer = await compatible.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert answer.choices[0].message.content == text
