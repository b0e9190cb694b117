"""A client that leaves closes the upstream in every state, by FIN and by RST, and gives its permit back
(spec security.md, P50).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IHostnameResolver
from zope.interface import implementer

from chatmock.admission.backoff import Backoff
from chatmock.dialects import DIALECTS
from tests.conftest import Daemon, Start, pause, until
from tests.security.fault_table import settings_of
from tests.security.verdicts import ASKING, Listener
from tests.test_lifetimes import slots
from tests.upstreams.hostile import SAID, HostileServer

SOON = 1.0
"""Seconds in which all is to be over; far below every timeout of the daemon."""
GO = pytest.mark.parametrize("rudely", [False, True], ids=["FIN", "RST"])
DIALECT = pytest.mark.parametrize("dialect", [dialect.name for dialect in DIALECTS])
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


async def ask(daemon: Daemon, dialect: str, model: str, stream: bool) -> Listener:
    port = int(daemon.url.rpartition(":")[2])
    client: Listener = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Listener())
    client.transport.write(ASKING[dialect].request(model, stream))
    return client


def leave(client: Listener, rudely: bool) -> None:
    """Half a close is a whole one: who sends a FIN has left."""
    if rudely:
        client.transport.abortConnection()
    else:
        client.transport.loseWriteConnection()


async def gone(daemon: Daemon, hostile: HostileServer) -> None:
    await until(lambda: not hostile.open and slots(daemon) == (0, 0), SOON)


@GO
@STREAM
@DIALECT
@pytest.mark.parametrize("fault", ["never_answer", "half_header", "stall_at_head", "stall_mid"])
async def test_before_the_first_delta(
    hostile: HostileServer, start: Start, fault: str, dialect: str, stream: bool, rudely: bool
) -> None:
    """Waiting for the head, in the head, behind the head, in a record."""
    daemon = start(**settings_of(hostile.url))
    client = await ask(daemon, dialect, f"{fault}.first", stream)
    await until(lambda: bool(hostile.chats))
    leave(client, rudely)
    await gone(daemon, hostile)
    await client.lost


@GO
@DIALECT
@pytest.mark.parametrize("fault", ["stall_at_head", "stall_mid", "endless_text"])
async def test_in_the_stream(
    hostile: HostileServer, start: Start, fault: str, dialect: str, rudely: bool
) -> None:
    """The upstream is silent after the first delta, or goes on."""
    daemon = start(**settings_of(hostile.url))
    client = await ask(daemon, dialect, f"{fault}.later", stream=True)
    await until(lambda: SAID.encode() in client.received)
    hostile.let_go(f"{fault}.later")
    leave(client, rudely)
    await gone(daemon, hostile)
    await client.lost


@DIALECT
async def test_while_nothing_is_read(hostile: HostileServer, start: Start, dialect: str) -> None:
    """The client's socket is full, and the upstream's too; only a RST can be seen then, or the write deadline."""
    daemon = start(**settings_of(hostile.url))
    client = await ask(daemon, dialect, "endless_text.later", stream=True)
    await until(lambda: SAID.encode() in client.received)
    client.transport.pauseProducing()
    hostile.let_go("endless_text.later")
    sent = -1
    while sent != hostile.sent:
        sent = hostile.sent
        await pause(0.2)
    assert hostile.sent < 16 * 1024 * 1024
    leave(client, rudely=True)
    await gone(daemon, hostile)


@GO
@STREAM
async def test_in_the_queue(hostile: HostileServer, start: Start, stream: bool, rudely: bool) -> None:
    daemon = start(**settings_of(hostile.url, max_concurrency=1))
    first = await ask(daemon, "openai-chat", "never_answer.first", stream)
    await until(lambda: len(hostile.chats) == 1)
    second = await ask(daemon, "openai-chat", "never_answer.first", stream)
    await until(lambda: slots(daemon) == (1, 1))
    leave(second, rudely)
    await until(lambda: slots(daemon) == (1, 0), SOON)
    leave(first, rudely)
    await gone(daemon, hostile)
    assert len(hostile.chats) == 1


@GO
@STREAM
async def test_before_another_try(
    hostile: HostileServer, start: Start, monkeypatch: pytest.MonkeyPatch, stream: bool, rudely: bool
) -> None:
    monkeypatch.setattr(
        "chatmock.service.Backoff", lambda chance: Backoff(lambda: 1.0, first=60.0, longest=60.0)
    )
    daemon = start(**settings_of(hostile.url))
    client = await ask(daemon, "openai-chat", "status_503.first", stream)
    await until(lambda: len(hostile.chats) == 1)
    await pause(0.1)
    assert slots(daemon) == (1, 0)
    leave(client, rudely)
    await until(lambda: slots(daemon) == (0, 0), SOON)
    assert len(hostile.chats) == 1


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes no more connections and refuses none: its backlog is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@GO
@STREAM
async def test_while_connecting(silent_port: int, start: Start, stream: bool, rudely: bool) -> None:
    daemon = start(**settings_of(f"http://127.0.0.1:{silent_port}/v1", compatible_models=("m",)))
    await until(lambda: len(_connecting(silent_port)) == 1)  # for the list of models
    others = _connecting(silent_port)
    client = await ask(daemon, "openai-chat", "m", stream)
    await until(lambda: slots(daemon) == (1, 0) and bool(_connecting(silent_port) - others))
    leave(client, rudely)
    await until(lambda: slots(daemon) == (0, 0) and not _connecting(silent_port) - others, SOON)


def _connecting(port: int) -> set[Any]:
    """The sockets that are being connected to *port*."""
    return {each for each in reactor.getWriters() if getattr(each, "addr", (None, None))[1] == port}


@implementer(IHostnameResolver)
class _Silent:
    """Looks names up for ever."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        self.asked.append(hostName)
        return resolutionReceiver


@GO
async def test_while_the_name_is_looked_up(start: Start, rudely: bool) -> None:
    silent = _Silent()
    usual = reactor.installNameResolver(silent)
    try:
        daemon = start(**settings_of("https://upstream.invalid/v1", compatible_models=("m",)))
        client = await ask(daemon, "openai-chat", "m", stream=True)
        await until(lambda: slots(daemon) == (1, 0) and silent.asked.count("upstream.invalid") == 2)
        leave(client, rudely)
        await until(lambda: slots(daemon) == (0, 0), SOON)
        await daemon.service.stopService()
    finally:
        reactor.installNameResolver(usual)
