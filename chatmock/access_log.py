"""One line of log for each request: which route was asked and how it went, never its path, query, headers or content (P43).

Lines about refused requests and dropped connections are few a second (P27): whoever floods the daemon must not fill
its disk too.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatmock.openapi import template_of

_REFUSED_A_SECOND: Final = 10
_LEFT: Final = 499
"""The status for a client that left, as proxies log it."""
_log = Logger(namespace="chatmock.access")


class LineBudget:
    """So many lines a second."""

    def __init__(self, clock: IReactorTime, a_second: int = _REFUSED_A_SECOND) -> None:
        self._clock = clock
        self._a_second = a_second
        self._since = float("-inf")
        self._written = 0
        self._left_out = 0

    def take(self) -> str | None:
        """None for a line that is to be left out; else what is to be added to it about those that were."""
        now = self._clock.seconds()
        if now - self._since >= 1.0:
            self._since, self._written = now, 0
        if self._written >= self._a_second:
            self._left_out += 1
            return None
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return f" ({left_out} such lines before it left out)" if left_out else ""


class AccessLog:
    """Writes the lines."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._budget = LineBudget(clock)

    def answered(self, request: Any) -> None:
        """A :class:`~chatmock.http_request.BoundedRequest` has its whole answer."""
        note = self._budget.take() if request.refused or 400 <= request.code < 500 else ""
        if note is not None:
            self._write(self._line(request, request.code) + note)

    def left(self, request: Any) -> None:
        """Its client has left before it had the whole answer."""
        self._write(self._line(request, _LEFT))

    def dropped(self, host: str, why: str) -> None:
        """The connection of *host* was closed by the daemon without an answer."""
        note = self._budget.take()
        if note is not None:
            self._write(f"{host} was dropped: {why}{note}")

    def _line(self, request: Any, status: int) -> str:
        milliseconds = (self._clock.seconds() - request.arrived) * 1000
        return (
            f"{request.client.name} {request.method.decode('latin-1')}"
            f" {template_of(request.path.decode('latin-1'))} {status} {request.sentLength} bytes"
            f" {request.request_id} {milliseconds:.0f} ms"
        )

    def _write(self, line: str) -> None:
        # One field, already whole: formatting several costs a small request a tenth of its time.
        _log.info("{line}", line=line if line.isprintable() else _escaped(line))


def _escaped(line: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
