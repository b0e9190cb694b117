"""One line of log a request: what and how it went, never a query, a header or content."""

from __future__ import annotations

from typing import Any

from twisted.logger import formatEvent, globalLogPublisher

from tests.conftest import Start
from tests.test_admitting import http
from tests.test_lifetimes import connect


async def test_the_line(start: Start) -> None:
    lines: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace") == "chatmock.access":
            lines.append(formatEvent(event))

    daemon = start()
    globalLogPublisher.addObserver(observe)
    try:
        await http(daemon, "GET", "/v1/models?key=s3cret", Authorization="Bearer s3cret")
        client = await connect(daemon)
        assert client.transport is not None
        client.transport.write(b"GET /v1/{x} HTTP/1.0\r\nHost: localhost\r\n\r\n")
        await client.lost
    finally:
        globalLogPublisher.removeObserver(observe)
    assert lines[0].startswith("127.0.0.1 GET /v1/models 200 ")
    assert lines[0].endswith(" ms")
    assert "s3cret" not in "".join(lines)
    assert len(lines) == 2
    assert " GET - 404 " in lines[1]
