"""The head of a request, as those read it who decide on it before its body. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import attrs

Fields = Callable[[bytes], Sequence[bytes]]
"""The values of a header field by its lower-case name, in the order received; empty where it is absent."""

HEALTH = frozenset({b"/health", b"/healthz"})
"""Paths that tell only that the process answers."""
CA = frozenset({b"/ca", b"/ca.pem"})
"""How to trust the certificate of this server: read before TLS can be trusted."""
_OPEN = HEALTH | CA | {b"/"}
_ABSOLUTE = (b"http://", b"https://")


@attrs.frozen
class Head:
    """What a request says of itself, and where it comes from."""

    method: bytes
    target: bytes = attrs.field(repr=False)
    """The request target as received: ``/path?query``, or in absolute form, with an authority (RFC 9112, 3.2.2)."""
    path: bytes
    """The path that is routed, as received, without the query."""
    fields: Fields = attrs.field(repr=False)
    peer: str
    """The address at the other end of the connection; the loopback one for a socket of this machine."""
    encrypted: bool
    """Whether the connection itself is TLS."""

    @property
    def authority(self) -> bytes | None:
        """``host[:port]`` out of a target in absolute form; None for the usual ``/path``."""
        if not self.target.lower().startswith(_ABSOLUTE):
            return None
        return re.split(rb"[/?#]", self.target.partition(b"//")[2], maxsplit=1)[0]

    @property
    def reads(self) -> bool:
        """Whether the method is one that changes and asks nothing."""
        return self.method in (b"GET", b"HEAD")

    @property
    def is_open(self) -> bool:
        """Whether everybody may have the answer: health, how to trust this server, and the preflight that browsers
        send without a key."""
        return self.method == b"OPTIONS" or (self.reads and self.path in _OPEN)
