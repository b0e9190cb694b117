"""Large whole answers to clients that are slow, stall or leave; and a fault of ours in the middle of a stream."""

from __future__ import annotations

import gc
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import LoopingCall
from twisted.logger import formatEvent, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory

from chatmock.settings import Secret
from chatmock.transcoding import CarriedWhole
from tests.chunks import completion, text_stream
from tests.conftest import KEY, Daemon, Start, pause, until
from tests.security.channel import Wire
from tests.test_lifetimes import HELLO, post, slots
from tests.tls.material import Pem, issue, write_pem
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Reply

SIZE = 10_000_000
PIECES = 200
PIECE = SIZE // PIECES
BUFFER = 16 * 1024
SIP = 4096
LINE = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture
def start_large(start: Start, upstream: OpenAIServer) -> Start:
    """Start a daemon whose upstream answers with :data:`SIZE` characters, in a stream or whole."""
    stream = Reply(text_stream(*["x" * PIECE] * PIECES))
    whole = Reply(
        [json.dumps(completion({"content": "x" * SIZE})).encode()], content_type=b"application/json"
    )
    upstream.answer = lambda asked: stream if asked.body.get("stream") else whole
    address = {"compatible_base_url": upstream.url, "compatible_api_key": Secret(KEY)}
    return lambda **more: start(**{"provider": "compatible", "stall_timeout": 0.5, **address, **more})


@pytest.fixture
def large(start_large: Start) -> Daemon:
    """One that is soon impatient."""
    return start_large()


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What is logged of requests and connections."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace") == "chatmock.access":
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def pem(tmp_path: Path) -> Pem:
    return write_pem(tmp_path, issue(trustme.CA().create_child_ca()))


class Sipper(Wire):
    """A client that takes no more than a sip at a time, once it is told so."""

    below: Any
    sipping = False

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if self.sipping:
            self.transport.pauseProducing()

    def sip(self) -> None:
        self.sipping = True
        self.transport.resumeProducing()

    def drink(self) -> None:
        self.sipping = False
        self.below.bufferSize = 64 * 1024
        self.transport.resumeProducing()


async def asking(daemon: Daemon, tls: bool, stream: bool) -> Sipper:
    """A client with a small buffer that has the beginning of its answer and takes nothing from now on."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    plain.connect(("127.0.0.1", int(daemon.url.rpartition(":")[2])))
    plain.setblocking(False)
    wire = Sipper()
    factory: Any = Factory.forProtocol(lambda: wire)
    if tls:
        factory = TLSMemoryBIOFactory(CertificateOptions(), True, factory)
    wire.below = reactor.adoptStreamConnection(plain.fileno(), socket.AF_INET, factory)
    wire.below.bufferSize = SIP
    plain.close()
    body = json.dumps({"model": "m", "messages": HELLO, "stream": stream}).encode()
    wire.transport.write(LINE % len(body) + body)
    await until(lambda: bool(wire.received))
    wire.transport.pauseProducing()
    return wire


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_who_takes_a_little_all_the_time_is_served(
    start_large: Start, pem: Pem, stream: bool, tls: bool
) -> None:
    more = {"tls_cert": pem.certificate, "tls_key": pem.key} if tls else {}
    wire = await asking(start_large(stall_timeout=1.0, **more), tls, stream)
    sipping = LoopingCall(wire.sip)
    sipping.start(0.4 if tls else 0.1)  # over TLS a sip is a record of 16 KiB
    await pause(2.5)
    assert not wire.gone
    assert len(wire.received) < SIZE / 2
    sipping.stop()
    wire.drink()
    await until(lambda: wire.gone)
    assert wire.received.count(b"x" * PIECE) == PIECES


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_who_takes_nothing_is_dropped(
    start_large: Start, pem: Pem, upstream: OpenAIServer, told: list[str], stream: bool, tls: bool
) -> None:
    more = {"tls_cert": pem.certificate, "tls_key": pem.key} if tls else {}
    daemon = start_large(**more)
    wire = await asking(daemon, tls, stream)
    await until(lambda: any("takes nothing of its answer" in line for line in told))
    await until(lambda: slots(daemon) == (0, 0) and upstream.active == 0)
    wire.drink()
    await wire.ended()
    assert len(wire.received) < SIZE


async def test_a_permit_is_free_when_the_upstream_is_not_when_the_client_has_read_all(
    start_large: Start, upstream: OpenAIServer
) -> None:
    daemon = start_large(stall_timeout=60.0)
    wire = await asking(daemon, tls=False, stream=False)
    await until(lambda: slots(daemon) == (0, 0))
    assert not wire.gone
    assert len(wire.received) < SIZE
    gc.collect()
    # Only what is still to be sent is held: not what it was put together from as well.
    assert not [each for each in gc.get_objects() if isinstance(each, CarriedWhole)]
    other = await post(daemon)
    await until(lambda: bool(other.received))
    other.leave()
    wire.drink()
    await until(lambda: wire.gone)
    assert wire.received.count(b"x" * PIECE) == PIECES


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
