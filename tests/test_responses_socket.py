"""The Responses API by WebSocket: one request a frame, in order, and nothing left of who leaves."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from pathlib import Path
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher

from chatmock.admission.limits import Limits
from chatmock.responses_socket import SocketBounds
from chatmock.settings import Secret
from chatmock.unsent import unsent_bytes
from tests.chunks import chunk, text_stream
from tests.conftest import KEY, Daemon, Start, pause, until
from tests.sockets import SocketClient, open_socket
from tests.test_admitting import http
from tests.test_lifetimes import FOREVER, slots
from tests.upstreams.openai_server import OpenAIServer

TOKEN = "sk-chatmock-mine"


def limit(daemon: Daemon, **seconds: Any) -> None:
    """Give the sockets that come other bounds."""
    sockets = daemon.service._responses.sockets
    sockets.bounds = SocketBounds(**seconds)


@pytest_twisted.async_yield_fixture()
async def socket(compatible: Daemon) -> AsyncIterator[SocketClient]:
    client = await open_socket(compatible)
    yield client
    client.leave()
    await client.lost
    await until(lambda: slots(compatible) == (0, 0))


def asked(upstream: OpenAIServer) -> Any:
    """The messages that the upstream was asked last, by role and text."""
    return [(each["role"], each.get("content")) for each in upstream.chats()[-1].body["messages"]]


async def test_one_answer(socket: SocketClient, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hello ", "there."))
    socket.create()
    frames = await socket.answer()
    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    kinds = [frame["type"] for frame in frames]
    assert (kinds[0], kinds[1], kinds[-1]) == (
        "response.created",
        "response.in_progress",
        "response.completed",
    )
    assert "".join(frame.get("delta", "") for frame in frames) == "Hello there."
    assert frames[-1]["response"]["output"][0]["content"][0]["text"] == "Hello there."


async def test_several_answers_in_order(socket: SocketClient, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Same."), before=0.05)
    for number in range(3):
        socket.create(input=f"{number}")
    for number in range(3):
        frames = await socket.answer()
        assert frames[0]["type"] == "response.created"
        assert frames[-1]["type"] == "response.completed"
        assert upstream.chats()[number].body["messages"][0]["content"] == f"{number}"
    await until(lambda: upstream.active == 0)


async def test_only_one_is_answered_at_a_time(
    compatible: Daemon, socket: SocketClient, upstream: OpenAIServer
) -> None:
    upstream.reply(FOREVER, pause=0.01)
    socket.create()
    socket.create()
    await until(lambda: len(socket.frames) > 10)
    assert len(upstream.chats()) == 1
    assert slots(compatible) == (1, 0)


async def test_it_goes_on_from_what_is_not_stored(
    compatible: Daemon, socket: SocketClient, upstream: OpenAIServer, home: Path
) -> None:
    upstream.reply(text_stream("One."))
    first = await socket.ask(input="1", store=False)
    assert first["store"] is False
    second = await socket.ask(input="2", store=False, previous_response_id=first["id"])
    assert asked(upstream) == [("user", "1"), ("assistant", "One."), ("user", "2")]
    assert second["previous_response_id"] == first["id"]
    other = await open_socket(compatible)
    error = await other.refused(input="3", previous_response_id=second["id"])
    assert (error["status"], error["error"]["code"]) == (400, "previous_response_not_found")
    upstream.reply(text_stream("Still open."))
    await other.ask()
    other.leave()
    await other.lost


async def test_what_is_stored_is_for_other_sockets_and_http(
    compatible: Daemon, socket: SocketClient, upstream: OpenAIServer
) -> None:
    upstream.reply(text_stream("One."))
    first = await socket.ask(input="1")
    assert first["store"] is True
    other = await open_socket(compatible)
    second = await other.ask(input="2", previous_response_id=first["id"])
    other.leave()
    await other.lost
    await compatible.ask(
        lambda sdk: sdk.responses.create(model="m", input="3", previous_response_id=second["id"])
    )
    assert [content for _, content in asked(upstream)] == ["1", "One.", "2", "One.", "3"]


async def test_only_the_last_answers_are_remembered(socket: SocketClient, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hello."))
    ids = [(await socket.ask(store=False))["id"] for _ in range(5)]
    error = await socket.refused(store=False, previous_response_id=ids[0])
    assert error["error"]["code"] == "previous_response_not_found"
    await socket.ask(store=False, previous_response_id=ids[1])


@pytest.mark.parametrize("said_before", [True, False])
async def test_warming_up_asks_nobody(
    socket: SocketClient, upstream: OpenAIServer, said_before: bool
) -> None:
    """As Codex does before its first question."""
    context: list[Any] = [{"role": "developer", "content": "Be brief."}] if said_before else []
    socket.create(input=context, generate=False, store=False)
    frames = await socket.answer()
    assert [frame["type"] for frame in frames] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]
    warm = frames[-1]["response"]
    assert (warm["output"], warm["model"], warm["status"]) == ([], "m", "completed")
    assert upstream.chats() == []
    upstream.reply(text_stream("Hello."))
    await socket.ask(previous_response_id=warm["id"], store=False)
    assert asked(upstream) == [("developer", "Be brief.")] * said_before + [("user", "Hi")]
    error = await socket.refused(input=[])
    assert error["error"]["param"] == "input", "where an answer is wanted there is something to be answered"


async def test_warming_up_is_refused_as_a_request_would_be(start: Start) -> None:
    daemon = start(provider="demo", rate_limit_rps=0.001, rate_limit_burst=2)
    client = await open_socket(daemon)
    error = await client.refused(model="nothing", generate=False)
    assert (error["status"], error["error"]["code"]) == (404, "model_not_found")
    await client.ask(model="demo", generate=False)
    error = await client.refused(model="demo", generate=False)
    assert error["status"] == 429
    client.leave()
    await client.lost


async def test_codexs_notices_are_no_requests(socket: SocketClient, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hello."))
    first = await socket.ask(client_metadata={"a": "b"}, stream=False, generate=True)
    socket.say(type="response.processed", response_id=first["id"])
    await socket.ask()


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b'"text"', b'{"type":"response.create","type":"response.create"}', b'{"a":NaN}'],
)
async def test_what_is_no_json_object_ends_it(socket: SocketClient, payload: bytes) -> None:
    socket.say_raw(payload)
    error = await socket.error()
    assert (error["status"], error["error"]["type"]) == (400, "invalid_request_error")
    await until(lambda: socket.closed is not None)
    assert socket.closed == (1008, "see the error before")


@pytest.mark.parametrize(
    "frame", [{}, {"type": "response.cancel"}, {"type": ["response.create"]}, {"input": "Hi"}]
)
async def test_the_first_frame_is_a_request(socket: SocketClient, frame: Any) -> None:
    socket.say(**frame)
    error = await socket.error()
    assert (error["status"], error["error"]["param"]) == (400, "type")
    await until(lambda: socket.closed is not None)


async def test_frames_of_bytes_end_it(socket: SocketClient) -> None:
    socket.say_raw(b'{"type":"response.create"}', isBinary=True)
    assert (await socket.error())["error"]["code"] == "invalid_frame"
    await until(lambda: socket.closed is not None)


async def test_a_refused_request_leaves_it_open(socket: SocketClient, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hello."))
    error = await socket.refused(input=5)
    assert (error["status"], error["error"]["param"]) == (400, "input")
    error = await socket.refused(background=True)
    assert error["error"]["param"] == "background"
    socket.say(type="response.steer", input="left")
    assert (await socket.error())["error"]["code"] == "unknown_event"
    upstream.reply_json({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, status=429)
    error = await socket.refused()
    assert error["status"] == 429
    assert int(error["headers"]["retry-after"]) >= 1
    upstream.reply(text_stream("Hello."))
    await socket.ask()


async def test_a_failure_in_the_stream_is_its_end(socket: SocketClient, upstream: OpenAIServer) -> None:
    upstream.reply([chunk({"role": "assistant", "content": "Half an"})])
    socket.create()
    frames = await socket.whole()
    assert frames[-1]["response"]["error"]["message"]
    upstream.reply(text_stream("Hello."))
    await socket.ask()


async def test_there_are_no_comments_in_frames(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        keepalive_after=0.01,
    )
    client = await open_socket(daemon)
    upstream.reply_json({"error": {"message": "no"}}, status=400, before=0.1)
    error = await client.refused()
    assert error["status"] == 400, "waiting takes no status away"
    client.leave()
    await client.lost


async def test_the_rate_counts_each_request(start: Start) -> None:
    daemon = start(provider="demo", rate_limit_rps=0.001, rate_limit_burst=2)
    client = await open_socket(daemon)
    await client.ask(model="demo")
    await client.ask(model="demo")
    error = await client.refused(model="demo")
    assert (error["status"], error["error"]["type"]) == (429, "rate_limit_error")
    client.leave()
    await client.lost


async def test_the_rate_counts_what_asks_nothing_too(start: Start) -> None:
    daemon = start(provider="demo", rate_limit_rps=0.001, rate_limit_burst=3)
    client = await open_socket(daemon)
    await client.ask(model="demo")
    client.say(type="response.processed")
    client.say(type="unknown")
    assert (await client.error())["error"]["code"] == "unknown_event"
    error = await client.refused(model="demo")
    assert (error["status"], error["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(error["headers"]["retry-after"]) >= 1
    client.leave()
    await client.lost


async def test_what_comes_too_often_is_not_read(start: Start) -> None:
    daemon = start(provider="demo", rate_limit_rps=0.001, rate_limit_burst=1)
    client = await open_socket(daemon)
    await client.ask(model="demo")
    for _ in range(3):
        client.say_raw(b"{")
        assert (await client.error())["status"] == 429
    assert client.closed is None, "it would have been, had it been read"
    client.leave()
    await client.lost


@pytest.mark.parametrize(
    "payload",
    [
        b"{" + b" " * 5000,
        b'{"type":"response.processed","a":"' + b"a" * 5000 + b'"}',
        b'{"type":"response.processed","a":["response.create","' + b"a" * 5000 + b'"]}',
    ],
)
async def test_only_requests_are_large(socket: SocketClient, upstream: OpenAIServer, payload: bytes) -> None:
    upstream.reply(text_stream("Hello."))
    await socket.ask(input="a" * 5000)
    socket.say_raw(payload)
    error = await socket.error()
    assert (error["status"], error["error"]["code"]) == (413, "frame_too_large")
    await socket.ask()


async def test_what_was_changed_about_a_request_is_told(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        max_tokens=100,
    )
    upstream.reply(text_stream("Hello."))
    client = await open_socket(daemon)
    for more in ({}, {"generate": False}):
        client.create(max_output_tokens=1000, **more)
        told, created, *_ = await client.answer()
        assert told == {
            "type": "codex.response.metadata",
            "headers": {"x-chatmock-clamped": "max_tokens=100"},
        }
        assert (created["type"], created["sequence_number"]) == ("response.created", 0)
    upstream.reply_json({"error": {"message": "no"}}, status=400)
    error = await client.refused(max_output_tokens=1000)
    assert error["headers"] == {"x-chatmock-clamped": "max_tokens=100"}
    client.leave()
    await client.lost


async def test_a_deleted_answer_is_gone_from_its_socket(
    compatible: Daemon, socket: SocketClient, upstream: OpenAIServer
) -> None:
    upstream.reply(text_stream("Hello."))
    for store in (True, False):
        made = await socket.ask(store=store)
        assert (await http(compatible, "DELETE", f"/v1/responses/{made['id']}")).status == 200
        error = await socket.refused(previous_response_id=made["id"])
        assert error["error"]["code"] == "previous_response_not_found"
        assert (await http(compatible, "DELETE", f"/v1/responses/{made['id']}")).status == 404


async def test_a_message_has_its_time_from_when_it_is_read_again(
    compatible: Daemon, upstream: OpenAIServer
) -> None:
    upstream.reply(text_stream("Hello."))
    clock = Clock()
    sockets = compatible.service._responses.sockets
    sockets._guard = attrs.evolve(sockets._guard, clock=clock)
    sockets.bounds = SocketBounds(message_seconds=10)
    client = await open_socket(compatible)
    (served,) = sockets.open
    client.beginMessage()
    message = b'{"type":"response.create","model":"m","input":"Hi"}'
    client.beginMessageFrame(len(message))
    client.sendMessageFrameData(message[:10])
    await until(lambda: served.inside_message)
    for seconds in (9, 11):
        served._head.channel.pauseProducing()
        clock.advance(seconds)
        served._head.channel.resumeProducing()
        clock.advance(5)
    client.sendMessageFrameData(message[10:])
    client.endMessage()
    assert (await client.answer())[-1]["type"] == "response.completed"
    client.leave()
    await client.lost


async def test_provider_and_session_come_with_the_handshake(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(provider="demo", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    upstream.reply(text_stream("Hello."))
    client = await open_socket(daemon, query="?provider=compatible")
    await client.ask()
    assert len(upstream.chats()) == 1
    client.leave()
    await client.lost


@pytest.mark.parametrize("rudely", [True, False])
async def test_leaving_mid_stream(compatible: Daemon, upstream: OpenAIServer, rudely: bool) -> None:
    upstream.reply(FOREVER, pause=0.01)
    client = await open_socket(compatible)
    client.create()
    client.create()
    await until(lambda: len(client.frames) > 5)
    client.leave(rudely)
    await until(lambda: upstream.active == 0 and slots(compatible) == (0, 0), 1.0)
    await client.lost
    assert len(upstream.chats()) == 1
    await until(lambda: not compatible.service._responses.sockets.open)


@pytest.mark.parametrize("rudely", [True, False])
async def test_leaving_before_the_first_byte(
    compatible: Daemon, upstream: OpenAIServer, rudely: bool
) -> None:
    upstream.reply(FOREVER, before=60)
    client = await open_socket(compatible)
    client.create()
    await until(lambda: len(upstream.chats()) == 1)
    client.leave(rudely)
    await until(lambda: upstream.active == 0 and slots(compatible) == (0, 0), 1.0)
    await client.lost


async def test_leaving_the_queue(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    upstream.reply(FOREVER, pause=0.01)
    first, second = await open_socket(daemon), await open_socket(daemon)
    first.create()
    await until(lambda: len(upstream.chats()) == 1)
    second.create()
    await until(lambda: slots(daemon) == (1, 1))
    second.leave()
    await until(lambda: slots(daemon) == (1, 0), 1.0)
    first.leave()
    await until(lambda: slots(daemon) == (0, 0))


async def test_what_was_asked_is_let_go_of_while_it_is_answered(
    socket: SocketClient, upstream: OpenAIServer
) -> None:
    upstream.reply(FOREVER, pause=0.01)
    socket.create(client_metadata={"of-this-test": "a"})
    await until(lambda: len(socket.frames) > 5)
    gc.collect()
    found = [each for each in gc.get_objects() if type(each) is dict and "client_metadata" in each]
    assert [each for each in found if each["client_metadata"] == {"of-this-test": "a"}] == []


async def test_a_response_is_cancelled(
    compatible: Daemon, socket: SocketClient, upstream: OpenAIServer
) -> None:
    upstream.reply(FOREVER, pause=0.01)
    socket.create()
    await until(lambda: len(socket.frames) > 5)
    socket.say(type="response.cancel")
    frames = await socket.whole()
    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    error, failed = frames[-2:]
    assert (error["type"], error["code"]) == ("error", "response_cancelled")
    assert failed["response"]["id"] == frames[0]["response"]["id"]
    assert failed["response"]["status"] == "failed"
    assert "cancelled" in failed["response"]["error"]["message"]
    await until(lambda: upstream.active == 0 and slots(compatible) == (0, 0), 1.0)
    socket.say(type="response.cancel")
    assert (await socket.error())["error"]["code"] == "no_active_response"
    upstream.reply(text_stream("Hello."))
    await socket.ask()


async def test_what_waits_is_bounded(
    compatible: Daemon, socket: SocketClient, upstream: OpenAIServer
) -> None:
    upstream.reply(text_stream("Hello."), before=0.3)
    for _ in range(1 + 8):
        socket.create()
    await until(lambda: len(upstream.chats()) == 1)
    upstream.reply(text_stream("Hello."))
    await pause(0.05)
    assert socket.frames == []
    socket.create()
    error = await socket.error()
    assert (error["status"], error["error"]["code"]) == (429, "too_many_waiting")
    assert int(error["headers"]["retry-after"]) >= 1
    for _ in range(1 + 8):
        assert (await socket.answer())[-1]["type"] == "response.completed", "the others are answered"
    assert socket.closed is None


async def test_a_response_is_cancelled_before_its_first_record(
    compatible: Daemon, socket: SocketClient, upstream: OpenAIServer
) -> None:
    upstream.reply(FOREVER, before=60)
    socket.create()
    await until(lambda: len(upstream.chats()) == 1)
    socket.say(type="response.cancel")
    error = await socket.error()
    assert (error["status"], error["error"]["code"]) == (499, "response_cancelled")
    await until(lambda: upstream.active == 0 and slots(compatible) == (0, 0), 1.0)


async def test_messages_are_bounded(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(provider="demo", max_total_bytes=1000, max_image_bytes=1000)
    client = await open_socket(daemon)
    client.create(input="a" * 5500)
    assert (await client.error())["error"]["code"] != "none"
    client.create(input="a" * 6001)
    await until(lambda: client.closed is not None)
    assert client.closed is not None
    assert client.closed[0] == 1009


async def test_a_message_that_does_not_end(compatible: Daemon, socket: SocketClient) -> None:
    limit(compatible, message_seconds=0.05)
    client = await open_socket(compatible)
    client.beginMessage()
    client.beginMessageFrame(100)
    client.sendMessageFrameData(b'{"type":')
    error = await client.error()
    assert (error["status"], error["error"]["code"]) == (408, "request_timeout")
    await until(lambda: client.closed is not None)


async def test_pings_tell_who_is_gone(compatible: Daemon, socket: SocketClient) -> None:
    limit(compatible, ping_seconds=0.03)
    alive, dead = await open_socket(compatible), await open_socket(compatible)
    dead.answers_pings = False
    await until(lambda: dead.closed is not None)
    await until(lambda: alive.pings > 5)
    assert alive.closed is None
    alive.leave()
    await alive.lost


async def test_who_asks_nothing_for_long_is_closed(
    compatible: Daemon, socket: SocketClient, upstream: OpenAIServer
) -> None:
    limit(compatible, idle_seconds=0.15)
    upstream.reply(text_stream("Hello."), before=0.3)
    client = await open_socket(compatible)
    await client.ask()
    assert client.closed is None, "waiting for an answer is no idleness"
    await until(lambda: client.closed is not None)
    assert client.closed == (1000, "nothing was asked for too long")


async def test_a_close_that_is_not_answered_ends_all_the_same(
    compatible: Daemon, socket: SocketClient
) -> None:
    limit(compatible, close_seconds=0.05)
    client = await open_socket(compatible)
    client.onCloseFrame = lambda code, reason: None  # type: ignore[method-assign,assignment]
    client.say_raw(b"{")
    await until(lambda: client.closed is not None)


async def test_stopping_closes_it(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    upstream.reply(FOREVER, pause=0.01)
    idle, busy = await open_socket(daemon), await open_socket(daemon)
    busy.create()
    await until(lambda: len(busy.frames) > 5)
    await daemon.service.stopService()
    assert slots(daemon) == (0, 0)
    for client in (idle, busy):
        await client.lost
        assert client.closed == (1001, "the server stops")


async def test_a_slow_client_pauses_the_upstream_and_is_dropped(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        stall_timeout=0.3,
    )
    upstream.reply([chunk({"content": "x" * 10_000})] * 10_000)
    client = await open_socket(daemon)
    client.transport.pauseProducing()
    client.create()
    await until(lambda: len(upstream.chats()) == 1)
    await until(lambda: upstream.active == 0 and slots(daemon) == (0, 0))
    client.transport.resumeProducing()
    await client.lost
    received = sum(len(frame.get("delta", "")) for frame in client.frames)
    assert received < 50_000_000


async def test_the_access_line(compatible: Daemon, socket: SocketClient, upstream: OpenAIServer) -> None:
    lines: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace") == "chatmock.access":
            lines.append(formatEvent(event))

    upstream.reply(text_stream("my answer"))
    globalLogPublisher.addObserver(observe)
    try:
        client = await open_socket(compatible)
        await client.ask(input="my secret")
        await client.refused(input=5)
        client.leave()
        await client.lost
    finally:
        globalLogPublisher.removeObserver(observe)
    assert [line.split()[1:4] for line in lines] == [
        ["GET", "/v1/responses", "101"],
        ["WS", "/v1/responses", "200"],
        ["WS", "/v1/responses", "400"],
    ]
    assert "secret" not in "".join(lines)


async def test_a_fault_of_ours_is_told(
    socket: SocketClient, compatible: Daemon, monkeypatch: pytest.MonkeyPatch, logged_faults: list[Any]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("by the test")

    monkeypatch.setattr(Limits, "apply", fail)
    error = await socket.refused()
    assert (error["status"], error["error"]["type"]) == (500, "server_error")
    assert len(logged_faults) == 1
    logged_faults.clear()
    monkeypatch.undo()


async def test_the_official_client(compatible: Daemon, socket: SocketClient, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hello."))

    def talk(sdk: Any) -> Any:
        ids: list[str] = []
        texts: list[str] = []
        with sdk.responses.connect() as connection:
            for _ in range(2):
                connection.response.create(
                    model="m",
                    input="Hi",
                    store=False,
                    max_output_tokens=10**6,
                    **({"previous_response_id": ids[-1]} if ids else {}),
                )
                for event in connection:
                    if event.type == "response.output_text.delta":
                        texts.append(event.delta)
                    if event.type == "response.completed":
                        ids.append(event.response.id)
                        break
        return ids, texts

    ids, texts = await compatible.ask(talk)
    assert texts == ["Hello.", "Hello."]
    assert len(set(ids)) == 2
    assert asked(upstream) == [("user", "Hi"), ("assistant", "Hello."), ("user", "Hi")]


async def test_the_one_that_is_cancelled_is_the_one_that_is_answered(
    socket: SocketClient, upstream: OpenAIServer
) -> None:
    upstream.reply(text_stream("Hello."), before=0.1)
    socket.create()
    await until(lambda: len(upstream.chats()) == 1)
    upstream.reply(FOREVER, pause=0.01)
    socket.create(input=5)
    socket.create(input=6)
    socket.create()
    assert (await socket.answer())[-1]["type"] == "response.completed"
    for _ in range(2):
        assert (await socket.error())["error"]["param"] == "input"
    await until(lambda: len(upstream.chats()) == 2)
    await until(lambda: socket.frames[-1]["type"].endswith("delta"))
    socket.say(type="response.cancel")
    assert (await socket.whole())[-2]["code"] == "response_cancelled"


async def test_messages_in_pieces_are_bounded(start: Start) -> None:
    daemon = start(provider="demo", max_total_bytes=1000, max_image_bytes=1000)
    client = await open_socket(daemon)
    client.beginMessage()
    client.sendMessageFrame(b"a" * 3500)
    client.sendMessageFrame(b"a" * 3500)
    await until(lambda: client.closed is not None)
    assert client.closed is not None
    assert client.closed[0] == 1009


async def test_nothing_is_read_of_who_reads_nothing(start: Start) -> None:
    daemon = start(provider="demo")
    client = await open_socket(daemon)
    await client.ask(model="demo")
    (served,) = daemon.service._responses.sockets.open
    transport = served._head.channel.transport
    transport.getHandle().setsockopt(SOL_SOCKET, SO_SNDBUF, 8192)
    client.transport.getHandle().setsockopt(SOL_SOCKET, SO_RCVBUF, 8192)
    client.transport.pauseProducing()
    for _ in range(10_000):
        client.say(type="unknown")
    await until(lambda: served._head.channel.is_stalled)
    for _ in range(20):
        await pause(0.01)
        assert unsent_bytes(transport) < 1_000_000
    client.leave()
    await client.lost
    await until(lambda: not daemon.service._responses.sockets.open)


async def test_a_socket_that_is_closed_is_forgotten(compatible: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(text_stream("Hello."))
    client = await open_socket(compatible)
    await client.ask(store=False)
    sockets = compatible.service._responses.sockets
    assert sockets.recent.bytes > 0
    client.leave()
    await client.lost
    await until(lambda: not sockets.open)
    assert sockets.recent.bytes == 0
