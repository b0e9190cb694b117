"""What proxies say of the client behind them, and whose word counts (spec security.md, P2 and P3). Pure.

Anybody can send these headers. Only the proxies that the owner lists are believed, and of what they say only
what the nearest ones added: each appends to what it received.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
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
        if peer is None or not self._trusts(peer):
            return False
        hops = _hops(head, b"x-forwarded-proto")
        return bool(hops) and hops[-1].lower() == "https"

    def client_of(self, head: Head) -> str:
        """What counts as one client: an IPv4 address, or the /64 network of an IPv6 one.

        From the last hop on, the first that is no trusted proxy is the client; the peer where a hop is no address.
        """
        peer = parsed(head.peer)
        if peer is None:
            return head.peer
        client = peer
        hops = _hops(head, b"x-forwarded-for") if self.trusted else []
        while hops and self._trusts(client):
            hop = parsed(hops.pop())
            if hop is None:
                return as_client(peer)
            client = hop
        return as_client(client)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.trusted)


def as_client(address: IPv4Address | IPv6Address) -> str:
    """The name of whoever has *address*: a household has a whole /64 of IPv6 addresses to change about in."""
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


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
