"""What is logged of requests: one line each, few of those refused, never a traceback (P27, P42, P43, P44)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher

from chatmock.access_log import AccessLog, LineBudget
from chatmock.admission.client import Client, Key
from chatmock.errors import Kind, Refusal
from tests.conftest import Start, until
from tests.security.channel import answer, connect, request, say, serving
from tests.test_lifetimes import RawClient
from tests.test_lifetimes import connect as connect_to


@pytest.fixture
def everything() -> Iterator[list[Any]]:
    """Every event that is logged, by whomever."""
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


BAD = [
    request(b"GET", b"/v1/models%ff"),
    request(b"TRACE"),
    request(b"GET", b"/", b"a: \xff"),
    request(b"GET", b"/", b"Content-Length: " + b"9" * 5000),
    request(b"GET", b"/", b"Host: two"),
    b"nonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: " + b"a" * 100 + b"\r\n\r\n",
]


@pytest.mark.parametrize("data", BAD)
async def test_one_line_for_a_bad_request(start: Start, data: bytes, everything: list[Any]) -> None:
    daemon = start()
    del everything[:]
    client: RawClient = await connect_to(daemon)
    assert client.transport is not None
    client.transport.write(data)
    await client.lost
    assert client.received.startswith(b"HTTP/1.1 4")
    logged = [event for event in everything if event["log_namespace"].startswith("chatmock")]
    assert len(logged) == 1
    assert not any("log_failure" in event for event in everything)
    assert "\n" not in (formatEvent(logged[0]) or "")


async def test_a_flood_of_bad_requests_is_few_lines() -> None:
    async with serving() as served:
        for _ in range(60):
            await answer(served, request(b"TRACE"))
        assert 10 <= len(served.lines) <= 30
        good = len(served.lines)
        for _ in range(20):
            await answer(served, request(close=True))
        assert len(served.lines) == good + 20


def test_a_budget_of_lines() -> None:
    clock = Clock()
    budget = LineBudget(clock, 2)
    assert [budget.take() for _ in range(5)] == ["", "", None, None, None]
    clock.advance(0.9)
    assert budget.take() is None
    clock.advance(0.2)
    assert budget.take() == " (4 such lines before it left out)"
    assert [budget.take() for _ in range(2)] == ["", None]


class Named:
    """Admits everybody under one name."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        self.refusal = refusal

    def admit(self, asking: Any) -> Refusal | None:
        asking.client = Client("10.0.0.1", Key("laptop"))
        return self.refusal


@pytest.mark.parametrize("given", [b"abc_DEF-123", b"x" * 64])
async def test_the_line(given: bytes) -> None:
    async with serving(admission=Named()) as served:
        fields = [b"X-Request-Id: " + given, b"Authorization: Bearer s3cret"]
        await answer(served, request(b"POST", b"/v1/x?key=s3cret", *fields, body=b"s3cret", close=True))
        line = served.lines[0]
        assert line.startswith(f"laptop POST - 200 12 bytes {given.decode()} ")
        assert line.endswith(" ms")
        assert "s3cret" not in line


async def test_the_line_of_who_is_refused() -> None:
    async with serving(admission=Named(Refusal(Kind.FORBIDDEN, "no"))) as served:
        wire = await answer(served, request(b"GET", b"/v1/x?key=s3cret"))
        size = len(wire.received.partition(b"\r\n\r\n")[2])
        assert served.lines[0].startswith(f"laptop GET - 403 {size} bytes req_")


@pytest.mark.parametrize(
    "fields",
    [[], [b"X-Request-Id: "], [b"X-Request-Id: " + b"x" * 65], [b"X-Request-Id: a b"],
     [b"X-Request-Id: a;b"], [b"X-Request-Id: a", b"X-Request-Id: b"]],
)  # fmt: skip
async def test_an_id_of_our_own(fields: list[bytes]) -> None:
    async with serving() as served:
        wires = [await answer(served, request(b"GET", b"/", *fields, close=True)) for _ in range(2)]
        told = [wire.received.partition(b"X-Request-Id: ")[2].partition(b"\r\n")[0] for wire in wires]
        assert told[0] != told[1]
        assert all(each.startswith(b"req_") and len(each) == 28 for each in told)
        assert [line.split()[6].encode() for line in served.lines] == told


def test_control_characters_are_escaped() -> None:
    lines: list[str] = []

    class Asked:
        client = Client("10.0.0.1")
        method, path, code, sentLength, request_id, arrived, refused = (
            b"G\n\x1b[2J\xff",
            b"/",
            200,
            0,
            "r",
            0.0,
            False,
        )

    def observe(event: Any) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    AccessLog(Clock()).answered(Asked())
    globalLogPublisher.removeObserver(observe)
    assert "G\\n\\x1b[2J" in lines[0]


@pytest.mark.parametrize("data", [request(close=True), request(b"TRACE"), b"nonsense\r\n\r\n"])
async def test_every_answer_says_little_and_is_kept_by_nobody(data: bytes) -> None:
    async with serving() as served:
        head = (await answer(served, data)).received.partition(b"\r\n\r\n")[0] + b"\r\n"
        for field in (b"Server: chatmock", b"X-Content-Type-Options: nosniff", b"Cache-Control: no-store", b"Connection: close"):  # fmt: skip
            assert head.count(field + b"\r\n") == 1, field
        for name in (b"Date", b"X-Request-Id"):
            assert head.count(name + b": ") == 1, name
        assert b"Twisted" not in head


async def test_a_crowd_is_few_lines() -> None:
    from chatmock.connection_counts import ConnectionCounts

    async with serving(connections=ConnectionCounts(1, 1)) as served:
        kept = await connect(served)
        for _ in range(50):
            await (await say(served, request())).ended()
        assert len(served.lines) <= 30
        kept.transport.abortConnection()
        await until(lambda: served.site.connections.open == 0)
