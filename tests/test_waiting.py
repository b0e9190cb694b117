"""A client that has to wait is told so: in comments, which are no part of the answer; and its turn is a fair one."""

from __future__ import annotations

import json
import re
from typing import Any

import openai
import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

from chatmock.admission.client import Client
from chatmock.dialects import OpenAIChat
from chatmock.exchange import Exchange
from chatmock.settings import Secret
from chatmock.stream_reply import StreamReply
from tests.chunks import DONE, chunk, completion, text_stream
from tests.conftest import KEY, Daemon, Start, pause, until
from tests.test_lifetimes import FOREVER, HELLO, RawClient, paused_relay, post, slots
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Reply

QUEUED = re.compile(rb"^: waiting in the queue, place (\d+) of (\d+), about (\d+) s\n\n", re.MULTILINE)
SILENT = re.compile(rb"^: waiting for The compatible server, (\d+) s\n\n", re.MULTILINE)
LAST_CHUNK = b"\r\n0\r\n\r\n"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments come more often than people need them."""
    monkeypatch.setattr("chatmock.stream_reply.EVERY", 0.05)


@pytest.fixture
def waiting(start: Start, upstream: OpenAIServer) -> Start:
    """Start a daemon that answers one request at a time and says soon what a stream waits for."""

    def start_daemon(**more: Any) -> Daemon:
        return start(**{
            "provider": "compatible", "compatible_base_url": upstream.url, "compatible_api_key": Secret(KEY),
            "keepalive_after": 0.05, **more,
        })  # fmt: skip

    return start_daemon


def payload(received: bytes) -> bytes:
    """The stream's bytes, without head and chunking."""
    rest, out = received.partition(b"\r\n\r\n")[2], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        out, rest = out + rest[:length], rest[length + 2 :]
    return out


def events(stream: bytes) -> list[bytes]:
    """The records, without the comments, which stand between whole ones only."""
    records = re.sub(rb"^: [^\n]*\n\n", b"", stream, flags=re.MULTILINE)
    assert all(re.fullmatch(rb"data: [^\n]+", each) for each in records.split(b"\n\n")[:-1]), records
    return records.split(b"\n\n")[:-1]


def failure(stream: bytes) -> Any:
    """The error that the stream says instead of an answer."""
    told, done = events(stream)
    assert done == b"data: [DONE]"
    return json.loads(told.removeprefix(b"data: "))["error"]


async def ended(client: RawClient) -> bytes:
    """The stream of a client, once it has ended in order."""
    await until(lambda: client.received.endswith(LAST_CHUNK))
    assert client.received.startswith(b"HTTP/1.1 200 ")
    assert b"text/event-stream" in client.received.lower().partition(b"\r\n\r\n")[0]
    client.leave()
    return payload(client.received)


async def test_the_place_in_the_queue_and_then_the_model(waiting: Start, upstream: OpenAIServer) -> None:
    daemon = waiting()
    upstream.reply(FOREVER, pause=0.01)
    first = await post(daemon, stream=True)
    await until(lambda: len(upstream.chats()) == 1)
    second = await post(daemon, stream=True)
    await until(lambda: slots(daemon) == (1, 1))
    third = await post(daemon, stream=True)
    await until(
        lambda: QUEUED.search(third.received) is not None and QUEUED.search(second.received) is not None
    )
    assert QUEUED.search(third.received).groups()[:2] == (b"2", b"2")
    upstream.reply(text_stream("Hi"), before=0.2)
    first.leave()
    stream = await ended(second)
    assert len(QUEUED.findall(stream)) >= 1
    assert len(SILENT.findall(stream)) >= 2
    assert stream.index(b"for The") > stream.rindex(b"in the queue")
    assert b"Hi" in b"".join(events(stream))
    assert events(stream)[-1] == b"data: [DONE]"
    assert b": waiting in the queue, place 1 of 1" in await ended(third)


async def test_comments_while_the_model_thinks(waiting: Start, upstream: OpenAIServer) -> None:
    pieces = text_stream("Hel", "lo")
    torn = [pieces[0], pieces[1][:20], pieces[1][20:], *pieces[2:]]
    upstream.reply(torn, pause=0.12)
    stream = await ended(await post(waiting(), stream=True))
    between = [len(SILENT.findall(part)) for part in re.split(rb"data: [^\n]+\n\n", stream)]
    assert between[1] >= 2  # two pauses, for the second record comes in two pieces
    assert all(between[1:4])
    assert between[-1] == 0
    quick = Reply(text_stream("Hel", "lo"))
    upstream.answer = lambda asked: quick
    assert events(stream) == events(await ended(await post(waiting(keepalive_after=60.0), stream=True)))


async def test_no_comments_in_a_stream_that_flows(waiting: Start, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream(*["x"] * 30), pause=0.01)
    assert b"waiting" not in await ended(await post(waiting(), stream=True))


async def test_the_sdk_reads_a_stream_with_comments(waiting: Start, upstream: OpenAIServer) -> None:
    daemon = waiting()
    upstream.reply(text_stream("Hel", "lo"), before=0.15, pause=0.12)

    def listen(sdk: openai.OpenAI) -> tuple[str, list[str | None]]:
        raw = sdk.chat.completions.with_raw_response.create(model="m", messages=HELLO, stream=True)
        return raw.headers["content-type"], [c.choices[0].delta.content for c in raw.parse()]

    assert await daemon.ask(listen) == ("text/event-stream; charset=utf-8", ["", "Hel", "lo", None])
    body = await daemon.ask(
        lambda sdk: sdk.completions.with_raw_response.create(
            model="m", prompt="x", stream=True
        ).http_response.read()
    )
    assert SILENT.search(body) is not None
    assert b'"text":"Hel"' in body


@pytest.mark.parametrize("keepalive_after", [0.05, 60.0])
async def test_a_failure_has_its_status_until_comments_begin(
    waiting: Start, upstream: OpenAIServer, keepalive_after: float
) -> None:
    daemon = waiting(keepalive_after=keepalive_after)
    refused = {"error": {"message": "Too long.", "code": "context_length_exceeded"}}
    upstream.reply_json(refused, status=400, before=0.2)
    client = await post(daemon, stream=True)
    if keepalive_after < 1:
        stream = await ended(client)
        assert SILENT.search(stream) is not None
        assert failure(stream)["code"] == "context_length_exceeded"
    else:
        await until(lambda: b"context_length_exceeded" in client.received)
        assert client.received.startswith(b"HTTP/1.1 400 ")
        assert b"waiting" not in client.received
        client.leave()


@pytest.mark.parametrize("keepalive_after", [0.05, 60.0])
async def test_notes_are_in_the_head_or_in_comments_where_it_has_gone(
    start: Start, keepalive_after: float
) -> None:
    daemon = start(provider="demo", keepalive_after=keepalive_after)
    stall: Any = [{"role": "user", "content": "demo: stall first"}]
    first = await post(daemon, model="demo", stream=True, messages=stall)
    await until(lambda: slots(daemon) == (1, 0))
    second = await post(daemon, model="demo", stream=True, top_k=3, seed=4)
    await until(lambda: slots(daemon) == (1, 1))
    if keepalive_after < 1:
        await until(lambda: b": waiting in the queue" in second.received)
    first.leave()
    await until(lambda: second.received.endswith(LAST_CHUNK))
    second.leave()
    head, _, _ = second.received.partition(b"\r\n\r\n")
    notes = re.findall(rb"x-chatmock-ignored: [^\r\n]*(?:top_k|seed)", head.lower())
    before_the_first, _, rest = payload(second.received).partition(b"data: ")
    comments = re.findall(rb"^: X-Chatmock-Ignored: .*seed", before_the_first, re.MULTILINE)
    assert (len(notes), len(comments)) == ((0, 1) if keepalive_after < 1 else (1, 0))
    assert b"X-Chatmock" not in rest


@pytest.mark.parametrize("keepalive_after", [0.05, 60.0])
async def test_a_fault_of_ours_is_told(
    waiting: Start, monkeypatch: pytest.MonkeyPatch, logged_faults: list[Any], keepalive_after: float
) -> None:
    async def fault(self: Exchange, account: Any) -> None:
        await pause(0.3)
        raise ValueError("a secret of the process")

    monkeypatch.setattr(Exchange, "_try", fault)
    daemon = waiting(keepalive_after=keepalive_after)
    client = await post(daemon, stream=True)
    if keepalive_after < 1:
        stream = await ended(client)
        assert SILENT.search(stream) is not None
        assert "please report it" in failure(stream)["message"]
    else:
        await until(lambda: b"please report it" in client.received)
        assert client.received.startswith(b"HTTP/1.1 500 ")
        client.leave()
    assert b"secret" not in client.received
    assert len(logged_faults) == 1
    logged_faults.clear()
    await until(lambda: slots(daemon) == (0, 0))


async def test_a_fault_that_cannot_be_told_is_no_whole_answer(
    waiting: Start, monkeypatch: pytest.MonkeyPatch, logged_faults: list[Any]
) -> None:
    def fault(self: StreamReply, records: bytes = b"") -> None:
        raise ValueError("broken")

    monkeypatch.setattr(StreamReply, "finish", fault)
    daemon = waiting(first_byte_timeout=0.3)
    client = await post(daemon, stream=True)
    await client.lost
    assert client.received.startswith(b"HTTP/1.1 200 ")
    assert not client.received.endswith(LAST_CHUNK)
    assert logged_faults
    logged_faults.clear()


async def test_leaving_after_comments_is_no_fault_of_ours(
    waiting: Start, upstream: OpenAIServer, logged_faults: list[Any]
) -> None:
    daemon = waiting()
    upstream.reply(FOREVER, before=60)
    client = await post(daemon, stream=True)
    await until(lambda: SILENT.search(client.received) is not None)
    client.leave()
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0)
    assert logged_faults == []
    assert daemon.service.slots.report(Client("x")).mean_hold is None


@pytest.mark.parametrize("in_band", [False, True])
async def test_tries_go_on_after_comments(waiting: Start, upstream: OpenAIServer, in_band: bool) -> None:
    busy = json.dumps({"error": {"message": "busy", "code": 503}}).encode()
    failing = Reply([b"data: " + busy + b"\n\n"], before=0.15) if in_band else Reply(
        [busy], status=503, content_type=b"application/json", headers={b"retry-after": b"0"}, before=0.15
    )  # fmt: skip
    replies = [failing, failing, Reply(text_stream("Hi"))]
    upstream.answer = lambda asked: replies.pop(0)
    stream = await ended(await post(waiting(), stream=True))
    assert SILENT.search(stream) is not None
    assert b"busy" not in stream
    assert b"Hi" in stream
    assert len(upstream.chats()) == 3


async def test_a_stream_that_fails_after_records_and_comments(waiting: Start, upstream: OpenAIServer) -> None:
    upstream.reply([*text_stream("Hi")[:2], b""], pause=0.12, ending="cut")
    *_, told, done = events(await ended(await post(waiting(), stream=True)))
    assert json.loads(told.removeprefix(b"data: "))["error"]["code"] == "upstream_truncated"
    assert done == b"data: [DONE]"


async def test_comments_are_no_progress_of_the_upstream(waiting: Start, upstream: OpenAIServer) -> None:
    upstream.reply([text_stream("Hi")[0]], ending="hang")
    *_, told, _ = events(await ended(await post(waiting(idle_timeout=0.3), stream=True)))
    assert json.loads(told.removeprefix(b"data: "))["error"]["code"] == "upstream_idle"
    await until(lambda: upstream.active == 0)


async def test_an_answer_that_is_no_stream_has_its_status(waiting: Start, upstream: OpenAIServer) -> None:
    upstream.reply_json(completion(), before=0.2)
    client = await post(waiting())
    await until(lambda: b"Hello." in client.received)
    assert b"waiting" not in client.received
    client.leave()


async def test_nothing_where_the_dialect_has_no_comments(
    waiting: Start, upstream: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenAIChat, "comment", lambda self, text: b"")
    upstream.reply_json({"error": {"message": "no", "code": "bad_thing"}}, status=400, before=0.2)
    client = await post(waiting(), stream=True)
    await until(lambda: b"bad_thing" in client.received)
    assert client.received.startswith(b"HTTP/1.1 400 ")
    assert b"waiting" not in client.received
    client.leave()


@pytest.mark.parametrize("rudely", [True, False])
async def test_leaving_after_comments_while_queued(
    waiting: Start, upstream: OpenAIServer, rudely: bool
) -> None:
    daemon = waiting()
    upstream.reply(FOREVER, pause=0.01)
    first = await post(daemon, stream=True)
    await until(lambda: len(upstream.chats()) == 1)
    second = await post(daemon, stream=True)
    await until(lambda: QUEUED.search(second.received) is not None)
    second.leave(rudely)
    await until(lambda: slots(daemon) == (1, 0), 1.0)
    first.leave(rudely)
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0, 1.0)
    assert len(upstream.chats()) == 1


async def test_leaving_after_comments_before_the_upstreams_head(
    waiting: Start, upstream: OpenAIServer
) -> None:
    daemon = waiting()
    upstream.reply(FOREVER, before=60)
    client = await post(daemon, stream=True)
    await until(lambda: SILENT.search(client.received) is not None)
    client.leave()
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0, 1.0)


async def test_a_wait_too_long_after_comments(waiting: Start, upstream: OpenAIServer) -> None:
    daemon = waiting(queue_timeout=0.3)
    upstream.reply(FOREVER, pause=0.01)
    first = await post(daemon, stream=True)
    await until(lambda: len(upstream.chats()) == 1)
    stream = await ended(await post(daemon, stream=True))
    assert QUEUED.search(stream) is not None
    error = failure(stream)
    assert (error["code"], error["queue_position"], error["queue_length"]) == ("queue_timeout", 1, 1)
    first.leave()
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0)


async def test_a_full_queue_tells_the_place(waiting: Start, upstream: OpenAIServer) -> None:
    daemon = waiting(client_queue_limit=1)
    upstream.reply(FOREVER, pause=0.01)
    clients = [await post(daemon, stream=True)]
    await until(lambda: len(upstream.chats()) == 1)
    clients.append(await post(daemon, stream=True))
    await until(lambda: slots(daemon) == (1, 1))
    with pytest.raises(openai.RateLimitError, match="CHATMOCK_CLIENT_QUEUE_LIMIT") as caught:
        await daemon.ask(lambda sdk: sdk.chat.completions.create(model="m", messages=HELLO))
    assert int(caught.value.response.headers["retry-after"]) >= 1
    body: Any = caught.value.body
    assert (body["queue_position"], body["queue_length"]) == (2, 2)
    for client in clients:
        client.leave()
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0)


async def post_from(daemon: Daemon, address: str, **fields: Any) -> RawClient:
    """Send a chat request from another loopback address, which is another client."""
    port = int(daemon.url.rpartition(":")[2])
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port, bindAddress=(address, 0))
    client: RawClient = await connectProtocol(endpoint, RawClient())
    body = json.dumps({"model": "m", "messages": HELLO, "stream": True, **fields}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    client.transport.write(head % len(body) + body)
    return client


async def get(daemon: Daemon, path: bytes, address: str = "127.0.0.1", more: bytes = b"") -> tuple[int, Any]:
    """The status and the JSON body that a client at *address* gets."""
    port = int(daemon.url.rpartition(":")[2])
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port, bindAddress=(address, 0))
    client: RawClient = await connectProtocol(endpoint, RawClient())
    client.transport.write(
        b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + more + b"\r\n"
    )
    await client.lost
    head, _, body = client.received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def test_one_device_does_not_keep_another_waiting(waiting: Start, upstream: OpenAIServer) -> None:
    daemon = waiting(keepalive_after=60.0)
    upstream.reply(text_stream("Hi"), pause=0.02)
    clients = []
    for number in range(6):
        clients.append(await post_from(daemon, "127.0.0.1", user=f"greedy-{number}"))
        await until(lambda: sum(slots(daemon)) + len(upstream.chats()) > len(clients))
    clients.append(await post_from(daemon, "127.0.0.2", user="modest"))
    for client in clients:
        await until(lambda client=client: DONE in client.received)  # type: ignore[misc]
        client.leave()
    users = [asked.body["user"] for asked in upstream.chats()]
    assert [user for user in users if user != "modest"] == [f"greedy-{number}" for number in range(6)]
    assert users.index("modest") <= 3


async def test_who_fails_before_the_first_byte_has_another_turn(
    waiting: Start, upstream: OpenAIServer
) -> None:
    daemon = waiting(keepalive_after=60.0)
    refused = Reply([b'{"error": {"message": "no"}}'], status=400, content_type=b"application/json")
    upstream.answer = lambda asked: {"hold": Reply(FOREVER, pause=0.01), "a1": refused}.get(
        asked.body["user"], Reply(text_stream("Hi"))
    )
    first = await post_from(daemon, "127.0.0.3", user="hold")
    await until(lambda: slots(daemon) == (1, 0))
    clients = []
    for user in ("a1", "b1", "b2", "b3", "a2", "a3"):
        clients.append(await post_from(daemon, {"a": "127.0.0.1", "b": "127.0.0.2"}[user[0]], user=user))
        await until(lambda: slots(daemon) == (1, len(clients)))
    first.leave()
    await until(lambda: all(DONE in c.received or c.received.startswith(b"HTTP/1.1 400") for c in clients))
    for client in clients:
        client.leave()
    users = [asked.body["user"] for asked in upstream.chats()]
    assert users == ["hold", "a1", "b1", "a2", "a3", "b2", "b3"]


async def test_the_queue_as_clients_see_it(waiting: Start, upstream: OpenAIServer) -> None:
    daemon = waiting()
    upstream.reply([chunk({"content": "x"})] * 1000, pause=0.01)
    clients = [await post_from(daemon, "127.0.0.1")]
    await until(lambda: len(upstream.chats()) == 1)
    clients += [await post_from(daemon, address) for address in ("127.0.0.2", "127.0.0.2", "127.0.0.3")]
    await until(lambda: slots(daemon) == (1, 3))
    assert await get(daemon, b"/api/queue", "127.0.0.2") == (200, {
        "permits": 1, "held": 1, "waiting": 3, "limit": 100, "mean_hold_seconds": None,
        "you": {"name": "127.0.0.2", "held": 0, "waiting": 2},
        "others": {"clients": 2, "held": 1, "waiting": 1},
    })  # fmt: skip
    for client in clients:
        client.leave()
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0)


async def test_the_queue_is_guarded(waiting: Start) -> None:
    daemon = waiting(require_auth=True, access_token=Secret("owner"))
    assert (await get(daemon, b"/api/queue"))[0] == 401
    assert (await get(daemon, b"/api/queue", more=b"Authorization: Bearer owner\r\n"))[0] == 200


async def test_a_client_that_reads_nothing_is_written_no_comments(
    waiting: Start, upstream: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    comment = OpenAIChat.comment
    monkeypatch.setattr(OpenAIChat, "comment", lambda self, text: said.append(text) or comment(self, text))
    daemon = waiting()
    upstream.reply([chunk({"content": "x" * 50_000})] * 400)
    client = await post(daemon, stream=True)
    await until(lambda: bool(client.received))
    client.transport.pauseProducing()
    relay = await paused_relay(daemon)
    taken = -1
    while taken != relay._transcoder.records:  # the sockets' buffers fill up first
        taken = relay._transcoder.records
        await pause(0.3)
    before = len(said)
    await pause(0.4)
    assert len(said) == before
    client.leave()
    client.transport.resumeProducing()
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0)
