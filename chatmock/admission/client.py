"""Who asks: what limits, fairness and the log know a client by. Pure."""

from __future__ import annotations

import attrs


@attrs.frozen
class Key:
    """A client key that the owner has given out; limits that are None are those of everybody."""

    name: str
    """Unique, and fit for a log, a header and a metric."""
    rpm: int | None = None
    """Requests a minute."""
    concurrency: int | None = None
    """Requests answered at the same time."""
    models: tuple[str, ...] = ()
    """Patterns (``qwen*``) of the models it may name; empty for all."""
    priority: int = 0
    """Those of a higher class are served before those of a lower one."""
    admin: bool = False
    """Whether it may change the daemon."""


@attrs.frozen
class Client:
    """One client: the holder of a key, else whoever comes from an address."""

    address: str
    """An IPv4 address, or the /64 network of an IPv6 one, behind trusted proxies too."""
    key: Key | None = None

    @property
    def name(self) -> str:
        """What its limits and its turn in the queue are counted by."""
        return self.address if self.key is None else self.key.name
