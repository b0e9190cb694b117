"""What becomes of every fault of an upstream (spec security.md, 4), and how a client meets one.

Where two outcomes stand in a cell the specification allows both: which one it is depends on whether the upstream is asked
for a stream.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

from chatmock.settings import Secret
from tests.security.verdicts import CLEAN, IN_BAND, Listener, Told, Verdict, told
from tests.upstreams.hostile import FAULTS, SAID, HostileServer

KEY = "sk-canary-8Zk3h9Qw2LmN8pR7sT4vX6yB1"
"""The upstream's, which nobody is told."""
GONE = 3.0
"""Seconds in which a connection is closed that is not kept; a kept one would stay for 15."""


def settings_of(url: str, **more: Any) -> dict[str, Any]:
    """The settings of a daemon whose only upstream is at *url*."""
    return {
        "provider": "compatible",
        "compatible_base_url": url,
        "compatible_api_key": Secret(KEY),
        "max_concurrency": 4,
        **more,
    }


async def answer(url: str, server: HostileServer, asking: bytes, model: str) -> tuple[Told, bytes]:
    """Ask the daemon at *url*, wait for the whole answer, and read it.

    Fails unless there is one: a whole answer is what every fault ends in.
    """
    heard = Listener(SAID.encode(), lambda: server.let_go(model))
    port = int(url.rpartition(":")[2])
    client = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), heard)
    client.transport.write(asking)
    await client.answered
    client.transport.abortConnection()
    await client.lost
    received = bytes(client.received)
    answered = told(received)
    assert answered is not None, received[-2000:]
    return answered, received


@attrs.frozen
class Row:
    """What becomes of a fault."""

    whole: tuple[Verdict, ...]
    first: tuple[Verdict, ...] | None
    """In a stream, before the first delta; None where the fault has no such moment."""
    later: tuple[Verdict, ...] | None = None
    """In a stream, after the first delta."""
    settings: dict[str, float] = attrs.field(factory=dict)
    kept: bool = False
    """Whether the connection may be kept for the next request."""
    asked: int | None = None
    """How often the upstream was asked, where that is fixed."""


def row(whole: Any, first: Any = None, later: Any = None, **more: Any) -> Row:
    def cell(value: Any) -> Any:
        return value if value is None or isinstance(value, tuple) else (value,)

    return Row(cell(whole), cell(first), cell(later), **more)


FIRST_BYTE = {"first_byte_timeout": 0.3}
SILENT = {"idle_timeout": 0.3}
EITHER = (CLEAN, 502)
LATER = (CLEAN, IN_BAND)

TABLE = {
    # No answer.
    "close_at_once": row(502, 502),
    "reset_at_once": row(502, 502),
    "never_answer": row(504, 504, settings=FIRST_BYTE, asked=1),
    "half_header": row(504, 504, settings=FIRST_BYTE, asked=1),
    "half_header_cut": row(502, 502),
    "garbage_status": row(502, 502, asked=1),
    "endless_headers": row(502, 502, asked=1),
    "endless_continue": row(502, 502, asked=1),
    "huge_header": row(502, 502, asked=1),
    "cl_te": row(502, 502, asked=1),
    # An answer that is none.
    "status_400": row(400, 400, kept=True, asked=1),
    "status_404": row(404, 404, kept=True, asked=1),
    # An upstream's own 401 and 403 about the key or the request are told as such by every key provider (upstreams.md,
    # B4, C2, D4), with a message that names the upstream; a page in their place is not.
    "status_401": row(401, 401, kept=True, asked=1),
    "status_403": row(403, 403, kept=True, asked=1),
    "status_429": row(429, 429, kept=True, asked=3),
    "status_429_sane": row(429, 429, kept=True, asked=1),
    "status_429_insane": row(429, 429, kept=True),
    "status_429_negative": row(429, 429, kept=True, asked=3),
    "status_500": row(502, 502, kept=True, asked=3),
    "status_503": row(503, 503, kept=True, asked=3),
    "redirect_302": row(502, 502, kept=True, asked=1),
    "redirect_303": row(502, 502, kept=True, asked=1),
    "redirect_307": row(502, 502, kept=True, asked=1),
    "page_200": row(502, 502, kept=True, asked=1),
    "page_400": row(502, 502, kept=True),
    "page_401": row(502, 502, kept=True),
    "page_403": row(502, 502, kept=True),
    "page_404": row(502, 502, kept=True),
    "page_500": row(502, 502, kept=True, asked=3),
    "wrong_type": row(502, 502, kept=True, asked=1),
    "endless_error": row((400, 502), (400, 502)),
    "gzip_bomb": row(502, 502, asked=1),
    # An answer that is cut short.
    "cut_mid": row(502, 502, IN_BAND),
    "reset_mid": row(502, 502, IN_BAND),
    "bad_chunk": row(502, 502, IN_BAND),
    "endless_chunk_line": row(502, 502, IN_BAND),
    "no_finish": row(502, 502, IN_BAND, kept=True),
    "empty": row(502, 502, IN_BAND, kept=True),
    "until_close": row(502, 502, IN_BAND),
    "short_body": row(502, 502, IN_BAND),
    "stall_mid": row(504, 504, IN_BAND, settings=SILENT, asked=1),
    "stall_at_head": row(504, 504, IN_BAND, settings=SILENT, asked=1),
    # An answer without end.
    "endless_text": row(502, None, IN_BAND, asked=1),
    "endless_line": row(502, 502, IN_BAND, asked=1),
    "endless_comments": row(502, 502, IN_BAND, asked=1),
    "endless_silent_records": row(502, 502, IN_BAND, asked=1),
    # Records that are none.
    **{
        name: row(EITHER, EITHER, LATER, kept=True)
        for name in FAULTS
        if name.startswith(
            ("bad_json", "bad_utf8", "bad_log", "lone_", "not_", "long_", "large_", "deep_", "wrong_")
        )
        and name != "wrong_type"
    },
    "line_breaks": row(CLEAN, CLEAN, CLEAN, kept=True, asked=1),
    "error_record": row(502, 502, IN_BAND, kept=True),
    "error_event": row(502, 502, IN_BAND, kept=True),
    # More than there should be.
    "fine": row(CLEAN, CLEAN, CLEAN, kept=True, asked=1),
    "set_cookie": row(CLEAN, CLEAN, CLEAN, kept=True, asked=1),
    "data_after_end": row(CLEAN, CLEAN, CLEAN, asked=1),
    "data_after_length": row(CLEAN, CLEAN, CLEAN, asked=1),
    "second_response": row(CLEAN, CLEAN, CLEAN, asked=1),
    "endless_after_end": row(CLEAN, CLEAN, CLEAN, asked=1),
}
