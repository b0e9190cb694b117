"""Whoever floods the daemon with requests that are wrong does not fill its disk (spec security.md, P27)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from tests.conftest import Start
from tests.test_lifetimes import connect

MANY = 60


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What the daemon logs; the clients of the test are only heard when they complain."""
    told: list[str] = []

    def observe(event: Any) -> None:
        if event["log_namespace"].startswith("chatmock") or event["log_level"] >= LogLevel.warn:
            told.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield told
    globalLogPublisher.removeObserver(observe)


def ask(body: bytes, path: str = "/v1/chat/completions") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(ask(b"{"), 400, id="no JSON"),
        pytest.param(
            ask(json.dumps({"messages": [{"role": "user", "content": "x" * 20_000}]}).encode()),
            400,
            id="limit",
        ),
        pytest.param(
            ask(b'{"model": "no", "messages": [{"role": "user", "content": "Hello"}]}'), 404, id="no model"
        ),
        pytest.param(ask(b"", "/nowhere"), 404, id="no path"),
        pytest.param(ask(b"", "/v1/models"), 405, id="no method"),
        pytest.param(ask(b"").replace(b"localhost", b"elsewhere.example.com"), 421, id="no host"),
        pytest.param(
            ask(b"").replace(b"Content", b"Origin: https://evil.example.com\r\nContent"), 403, id="no origin"
        ),
    ],
)
async def test_a_flood_of_wrong_requests_is_few_lines(
    start: Start, lines: list[str], data: bytes, status: int
) -> None:
    daemon = start(provider="demo")
    lines.clear()
    for _ in range(MANY):
        client = await connect(daemon)
        client.transport.write(data)
        await client.lost
        assert client.received.startswith(b"HTTP/1.1 %d " % status), client.received
    wrong = [line for line in lines if f" {status} " in line]
    assert len(wrong) == len(lines), "one line for a request, and no traceback"
    assert 10 <= len(wrong) <= 40


async def test_what_is_answered_is_always_logged(start: Start, lines: list[str]) -> None:
    daemon = start(provider="demo")
    for data in (ask(b"{"), b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):
        for _ in range(MANY):
            client = await connect(daemon)
            client.transport.write(data)
            await client.lost
    assert len([line for line in lines if " GET /health 200 " in line]) == MANY
