"""What proxies say of the client behind them, and whose word counts (spec security.md, P2 and P3). Pure.

Anybody can send these headers. Only the proxies that the owner lists are believed, and of what they say only
what the nearest ones added: each appends to what it received.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

import attrs

from chatmock.admission.head import Head
from chatmock.settings.addresses import Network

LOOPBACK = "127.0.0.1"
"""Where whoever comes through a socket of this machine without an address is taken to come from."""


@attrs.frozen
class Proxies:
    """The proxies whose ``X-Forwarded-Proto`` and ``X-Forwarded-For`` count."""

    trusted: Collection[Network] = ()

    def secure(self, head: Head) -> bool:
        """Whether the client's bytes came over TLS, to this server or to the proxy before it; in doubt not."""
        if head.encrypted:
            return True
        peer = parsed(head.peer)
        if peer is None or not self.trusts(peer):
            return False
        hops = _hops(head, b"x-forwarded-proto")
        return bool(hops) and hops[-1].lower() == "https"

    def client_of(self, head: Head) -> str:
        """What counts as one client, see :func:`as_client`.

        From the last hop on, the first that is no trusted proxy is the client; the peer where a hop is no address.
        """
        peer = parsed(head.peer)
        if peer is None:
            return head.peer
        client = peer
        hops = _hops(head, b"x-forwarded-for") if self.trusted else []
        while hops and self.trusts(client):
            hop = parsed(hops.pop())
            if hop is None:
                return as_client(peer)
            client = hop
        return as_client(client)

    def trusts(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether *address* is a proxy's whose word counts."""
        return any(address in network for network in self.trusted)


@lru_cache(maxsize=4096)
def as_client(address: IPv4Address | IPv6Address) -> str:
    """The name of whoever has *address*.

    The devices of a home share one /64 of IPv6 and are told apart by their local addresses; of the whole Internet's
    addresses a stranger has a /64 to change about in, which is one client.
    """
    return network_of(address) if address.is_global else str(address)


@lru_cache(maxsize=4096)
def network_of(address: IPv4Address | IPv6Address) -> str:
    """What cannot be changed at will: an IPv4 address, or the /64 network of an IPv6 one."""
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


@lru_cache(maxsize=4096)
def parsed(text: str) -> IPv4Address | IPv6Address | None:
    """The address without its zone, an IPv4 one in its own form; None for what is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _hops(head: Head, name: bytes) -> list[str]:
    """The values of a list header, over all its lines, the nearest proxy's last."""
    joined = b",".join(head.fields(name)).decode("latin-1")
    return [hop.strip(" \t") for hop in joined.split(",")] if joined else []
