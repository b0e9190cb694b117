"""By which names clients may call this machine (spec security.md, P10). Pure.

A page in a browser on the LAN can have its own name resolve to this machine ("rebinding"); then every answer is
same-origin for it. What gives it away is the name it calls. It cannot pretend an IP address or ``localhost``:
for those no name of its own was looked up.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from chatmock.admission.head import Head
from chatmock.errors import Kind, Refusal

_AUTHORITY = re.compile(
    rb"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)


def check_host(head: Head, allowed: frozenset[str]) -> bytes:
    """The ``host[:port]`` that *head* calls, in lower case.

    There must be one ``Host`` field; a target in absolute form is judged by its own authority (RFC 9112, 3.2.2).

    :param allowed: names in lower case, besides IP addresses and ``localhost``.
    :raises Refusal: misdirected.
    """
    fields = head.fields(b"host")
    called = fields[0] if len(fields) == 1 else b""
    if called and head.authority is not None:
        called = head.authority
    called = called.strip(b" \t").lower()
    if not is_own(called, allowed):
        raise Refusal(
            Kind.MISDIRECTED,
            "The request calls this server by a name that it does not go by. Use its IP address, or let its owner"
            " add the name to CHATMOCK_ALLOWED_HOSTS.",
            code="host_not_allowed",
        )
    return called


@lru_cache(maxsize=1024)
def is_own(called: bytes, allowed: frozenset[str]) -> bool:
    """Whether ``host[:port]`` names an IP address, ``localhost`` or one of *allowed*, and a port there can be."""
    match = _AUTHORITY.fullmatch(called)
    if match is None or not 1 <= int(match["port"] or 80) <= 65535:
        return False
    if match["six"] is not None:
        return _is_address(IPv6Address, match["six"])
    host = match["host"].decode("ascii").lower()
    return host == "localhost" or host in allowed or _is_address(IPv4Address, match["host"])


def _is_address(kind: type[IPv4Address | IPv6Address], written: bytes) -> bool:
    try:
        kind(written.decode("ascii"))
    except ValueError:
        return False
    return True
