"""How many connections clients may have, all of them and each (spec security.md, P26)."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Collection
from typing import Final

from chatmock.admission.proxies import network_of, parsed
from chatmock.settings import Settings
from chatmock.settings.addresses import Network

_SPARED_FILES: Final = 64
"""Files that the process keeps for itself: upstreams, logs, databases, the listening ports."""


class ConnectionCounts:
    """Counts the open connections.

    :param most: in all. *most_of_one*: of one client address, where an IPv6 /64 network counts as one.
    :param proxies: networks that stand for many clients and are bound by *most* alone.
    """

    def __init__(self, most: int, most_of_one: int, proxies: Collection[Network] = ()) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._proxies = proxies
        self._open = 0
        self._of: Counter[str] = Counter()

    @classmethod
    def of(cls, settings: Settings) -> ConnectionCounts:
        """Those of *settings*, and below what the system lets this process open."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = settings.max_connections
        if files != resource.RLIM_INFINITY:
            most = max(min(most, files - _SPARED_FILES), 1)
        return cls(most, settings.max_connections_per_address, settings.trusted_proxies)

    @property
    def open(self) -> int:
        """Connections that have entered and not left."""
        return self._open

    def enter(self, host: str) -> str | None:
        """Count one more of the address *host*, unless there are too many: then why not, and nothing is counted."""
        if self._open >= self._most:
            return f"all {self._most} connections are taken (CHATMOCK_MAX_CONNECTIONS, or the limit of open files)"
        name = self._name(host)
        if name is not None and self._of[name] >= self._most_of_one:
            return f"it has {self._most_of_one} connections already (CHATMOCK_MAX_CONNECTIONS_PER_ADDRESS)"
        self._open += 1
        if name is not None:
            self._of[name] += 1
        return None

    def leave(self, host: str) -> None:
        """One that has entered is closed."""
        self._open -= 1
        name = self._name(host)
        if name is None:
            return
        self._of[name] -= 1
        if not self._of[name]:
            del self._of[name]

    def _name(self, host: str) -> str | None:
        """Whose connection it is; None for those that count for nobody: proxies, and sockets without an address."""
        address = parsed(host)
        if address is None or any(address in network for network in self._proxies):
            return None
        return network_of(address)
