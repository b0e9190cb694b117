"""P23: a request has one end. Whatever could be read in two ways is refused, and nothing in a body is a request."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from tests.conftest import Daemon, Start, until
from tests.security.external.smuggling import CASES, Case
from tests.security.saying import reach

VICTIM = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: victim\r\nConnection: close\r\n\r\n"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The access log."""
    found: list[str] = []

    def observe(event: dict[str, object]) -> None:
        if event.get("log_namespace") == "chatmock.access":
            found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


async def _exchange(daemon: Daemon, *pieces: bytes) -> bytes:
    """Send *pieces*, and read until the daemon closes."""
    client = await reach(daemon)
    for piece in pieces:
        client.transport.write(piece)
    await until(lambda: client.lost.called, 5)
    return client.received


def _statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


def _check(case: Case, received: bytes, lines: list[str]) -> None:
    expected = [*case.answers] if case.closes else [*case.answers, 200]
    assert _statuses(received.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")) == expected, received
    assert not any("/smuggled" in line for line in lines), lines
    assert len(lines) == len(expected), lines
    if not case.closes:
        assert b"\r\nX-Request-Id: victim\r\n" in received.rpartition(b"HTTP/1.1 200 ")[2]
        assert " GET /health 200 " in lines[-1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_nothing_is_smuggled(start: Start, lines: list[str], case: Case) -> None:
    daemon = start()
    _check(case, await _exchange(daemon, case.data + VICTIM), lines)
    lines.clear()
    _check(case, await _exchange(daemon, *[bytes([byte]) for byte in case.data], VICTIM), lines)
