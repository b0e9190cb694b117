"""How many connections there may be, what may wait on one, and that its end is noticed (P26; security.md §0, 7)."""

from __future__ import annotations

import ipaddress
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from chatmock.connection_counts import ConnectionCounts
from chatmock.settings import Settings
from tests.conftest import Start, until
from tests.security.channel import HELD, answer, connect, request, say, serving

BOTH = pytest.mark.parametrize("tls", [False, True])


@BOTH
@pytest.mark.parametrize(("most", "of_one"), [(3, 100), (100, 3)])
async def test_no_more_than_so_many(tls: bool, most: int, of_one: int) -> None:
    async with serving(tls, connections=ConnectionCounts(most, of_one)) as served:
        wires = [await connect(served) for _ in range(5)]
        await until(lambda: sum(wire.gone for wire in wires) == 2)
        kept = [wire for wire in wires if not wire.gone]
        assert sum("CHATMOCK_MAX_CONNECTIONS" in line for line in served.lines) == 2
        kept[0].transport.write(request())
        await until(lambda: kept[0].statuses == [200])
        kept[1].transport.abortConnection()
        await until(lambda: served.site.connections.open == 2)
        assert (await answer(served, request(close=True))).statuses == [200]
        for wire in kept:
            if not wire.gone:
                wire.transport.abortConnection()


async def test_one_address_leaves_room_for_others() -> None:
    async with serving(connections=ConnectionCounts(100, 2)) as served:
        wires = [await connect(served) for _ in range(4)]
        await until(lambda: sum(wire.gone for wire in wires) == 2)
        other = await connect(served, source="127.0.0.2")
        other.transport.write(request(close=True))
        await other.ended()
        assert other.statuses == [200]
        for wire in wires:
            if not wire.gone:
                wire.transport.abortConnection()


def test_an_ipv6_household_is_one_address() -> None:
    counts = ConnectionCounts(100, 2)
    assert counts.enter("fd00:0:0:1:a::1") is None
    assert counts.enter("fd00:0:0:1:b::2%eth0") is None
    assert counts.enter("fd00:0:0:1:c::3") is not None
    assert counts.enter("fd00:0:0:2::1") is None


def test_a_proxy_stands_for_many() -> None:
    counts = ConnectionCounts(4, 1, [ipaddress.ip_network("10.0.0.0/24")])
    assert [counts.enter("10.0.0.7") for _ in range(3)] == [None] * 3
    assert counts.enter("10.0.1.7") is None
    assert counts.enter("10.0.0.7") is not None
    for host in ("10.0.0.7", "10.0.0.7", "10.0.0.7", "10.0.1.7"):
        counts.leave(host)
    assert counts.open == 0


@pytest.mark.parametrize(("files", "most"), [(1000, 512), (300, 236), (65, 1), (10, 1), (-1, 512)])
def test_files_are_spared(monkeypatch: pytest.MonkeyPatch, files: int, most: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (files, files))
    counts = ConnectionCounts.of(Settings(max_connections_per_address=10_000))
    assert [counts.enter("10.0.0.1") is None for _ in range(600)].count(True) == most


@BOTH
async def test_who_sends_on_behind_its_request_is_dropped(tls: bool) -> None:
    async with serving(tls) as served:
        wire = await say(served, request(b"GET", HELD))
        await until(lambda: len(served.pages.held) == 1)
        wire.transport.write(request() * 100)  # some 4 KB wait
        await until(lambda: len(served.pages.seen) == 1)
        wire.transport.write(request() * 200)
        await wire.ended()
        assert wire.received == b""
        await until(lambda: len(served.pages.left) == 1)
        assert "more while its request was answered" in "".join(served.lines)


@BOTH
@pytest.mark.parametrize("rudely", [False, True])
@pytest.mark.parametrize("waiting", [0, 150])
async def test_leaving_is_noticed_behind_a_backlog(tls: bool, rudely: bool, waiting: int) -> None:
    async with serving(tls) as served:
        wire = await say(served, request(b"GET", HELD) + request() * waiting)
        await until(lambda: len(served.pages.held) == 1)
        wire.transport.abortConnection() if rudely else wire.transport.loseConnection()
        await until(lambda: len(served.pages.left) == 1)
        assert [line.split()[3] for line in served.lines] == ["499"]
        assert served.pages.seen == [b"GET /held"]


async def test_the_daemon_has_these_bounds(start: Start) -> None:
    daemon = start(max_connections=5, max_connections_per_address=4, stall_timeout=7.0)
    site: Any = next(
        reader.factory for reader in reactor.getReaders() if type(getattr(reader, "factory", 0)).__name__ == "BoundedSite"
    )  # fmt: skip
    assert site.bounds.stall_seconds == 7.0
    assert [site.connections.enter("10.0.0.1") is None for _ in range(5)] == [True] * 4 + [False]
    assert [site.connections.enter(f"10.0.1.{n}") is None for n in range(2)] == [True, False]
    assert daemon.url


EXHAUSTED = """
import resource, socket, sys, threading, time
resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
from twisted.internet import reactor
from twisted.web.resource import Resource
from chatmock.connection_counts import ConnectionCounts
from chatmock.listening import BoundedSite
from chatmock.settings import Settings

class Page(Resource):
    isLeaf = True
    def render(self, request):
        return b"here"

counts = ConnectionCounts.of(Settings()) if sys.argv[1] == "spared" else ConnectionCounts(1000, 1000)
port = reactor.listenTCP(0, BoundedSite(Page(), reactor, 1000, connections=counts), interface="127.0.0.1")
print(port.getHost().port, flush=True)
def ask():
    line = sys.stdin.readline()
    while line:
        print(time.process_time(), flush=True)
        line = sys.stdin.readline()
    reactor.callFromThread(reactor.stop)
reactor.callWhenRunning(lambda: threading.Thread(target=ask).start())
reactor.run()
"""


@pytest.mark.parametrize("files", ["spared", "used up"])
async def test_running_out_of_files_is_survived(files: str) -> None:
    """With the connections bounded below the limit of files, and even where they are not."""

    def run() -> tuple[float, bytes]:
        command = [sys.executable, "-c", EXHAUSTED, files]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None

            def used() -> float:
                process.stdin.write("\n")
                process.stdin.flush()
                return float(process.stdout.readline())

            address = ("127.0.0.1", int(process.stdout.readline()))
            crowd = [socket.socket() for _ in range(200)]
            for sock in crowd:
                sock.connect_ex(address)
            time.sleep(0.3)
            before = used()
            time.sleep(1.0)
            spent = used() - before
            for sock in crowd:
                sock.close()
            time.sleep(0.3)
            with socket.create_connection(address, 5) as sock:
                sock.sendall(request(close=True))
                said = b""
                while piece := sock.recv(1000):
                    said += piece
            process.stdin.close()
            process.wait(10)
            return spent, said

    spent, said = await deferToThread(run)
    assert b"here" in said
    assert spent < 0.5  # CPU seconds in one second: a loop that spins takes all of it
