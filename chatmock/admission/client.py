"""Who asks: what limits, fairness and the log know a client by. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Protocol

import attrs

from chatmock.errors import Kind, Refusal


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
    id: str = attrs.field(default="", eq=False, repr=False)
    """What tells it from an earlier key of the same name, which was revoked."""


@attrs.frozen
class Client:
    """One client: the holder of a key, else whoever comes from an address."""

    address: str
    """An IP address, or the /64 network of a global IPv6 one; behind trusted proxies too."""
    key: Key | None = None

    @property
    def name(self) -> str:
        """What its limits and its turn in the queue are counted by."""
        return self.address if self.key is None else self.key.name


class Keys(Protocol):
    """The client keys that are valid now."""

    @property
    def any(self) -> bool:
        """Whether there is one."""

    def find(self, token: bytes) -> Key | None:
        """The key whose secret is *token*, compared in constant time; None for an unknown or an expired one."""


def may_use(key: Key | None, model: str) -> bool:
    """Whether the holder of *key* may ask *model*, named as its upstream knows it; capitals count."""
    return key is None or not key.models or any(fnmatchcase(model, pattern) for pattern in key.models)


def model_forbidden(model: str) -> Refusal:
    """The refusal for a model that the client's key does not allow."""
    return Refusal(
        Kind.FORBIDDEN,
        f"This key does not allow the model {model[:100]!r}. Its owner can change that: chatmock keys.",
        code="model_not_allowed",
        param="model",
    )
