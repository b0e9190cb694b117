"""The sockets of an SDK's HTTP client, so that a test can have it leave while it waits."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any


class Door:
    """Remembers the connections of one client, and shuts them."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    @property
    def hooks(self) -> Mapping[str, list[Callable[..., Any]]]:
        """The ``event_hooks`` that the HTTP client is made with."""
        return {"request": [self._watch]}

    def shut(self) -> None:
        """Close every connection; who reads from one is told at once."""
        for each in self._sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is closed already
                continue

    def _watch(self, request: Any) -> None:
        request.extensions["trace"] = self._see

    def _see(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._sockets.append(info["return_value"].get_extra_info("socket"))
