"""What this machine is called in its network: its host name and its addresses. Asks the system, nobody else."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from chatmock.settings.addresses import Host
from chatmock.tls.authority import Address, Name, is_local

_SIOCGIFADDR: Final = 0x8915
"""Linux's request for an interface's IPv4 address."""
_TEMPORARY: Final = 0x01
"""Linux's flag of a temporary IPv6 address."""
_IFREQ: Final = struct.Struct("16s24s")
_ELSEWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses that are nobody's (RFC 5737, RFC 3849): no packet is sent by asking for the way there."""


def read_name(text: str) -> Name:
    """A host name or address as people write it.

    :raises ValueError: when it is neither.
    """
    shown = Host().read(text)
    try:
        return ipaddress.ip_address(shown)
    except ValueError:
        return shown


def host_name() -> str:
    """What the machine is called, without its domain; ``localhost`` where it has no name that could stand in a URL."""
    try:
        name = read_name(socket.gethostname())
    except (OSError, ValueError):
        return "localhost"
    return name.partition(".")[0] if isinstance(name, str) else "localhost"


def own_names() -> Sequence[Name]:
    """What clients in the network may call this machine by, the host name first.

    That is the host name, alone, with its domain, and as home networks complete it; ``localhost``; and every address
    of the local kind. Public addresses are not among them: the provider gives others tomorrow; nor are temporary
    IPv6 addresses, which this machine only asks from (RFC 8981).
    """
    host = host_name()
    names: list[Name] = [] if host == "localhost" else [host]
    with suppress(OSError, ValueError):
        names.append(read_name(socket.gethostname()))
    if host != "localhost":
        names += [f"{host}.local", f"{host}.lan"]
    names += ["localhost", ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    lasting, passing = six(_six_table())
    seen = {*_addresses(), *lasting}.difference(passing)
    found = {each for each in seen if is_local(each) and not each.is_link_local}
    addresses: list[Address] = sorted(found, key=lambda each: (each.version, int(each)))
    return tuple(dict.fromkeys((*names, *addresses)))


def _addresses() -> Iterator[Address]:
    for family, other in _ELSEWHERE:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((other, 9))
            yield ipaddress.ip_address(asking.getsockname()[0].partition("%")[0])
    if sys.platform == "linux":
        yield from _interfaces()


def _interfaces() -> Iterator[Address]:
    """The IPv4 address of each interface."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # one without an address
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, _IFREQ.pack(name.encode()[:15], b""))
                yield ipaddress.IPv4Address(answer[20:24])


def _six_table() -> str:
    """Linux's table of its IPv6 addresses; empty elsewhere."""
    with suppress(OSError, ValueError):
        return Path("/proc/net/if_inet6").read_text("ascii")
    return ""


def six(table: str) -> tuple[Sequence[Address], Sequence[Address]]:
    """The IPv6 addresses in the *table*, those that last and the temporary ones.

    A line is the address in hexadecimal digits, the interface's number, length of the prefix, scope, flags and name.
    """
    lasting: list[Address] = []
    passing: list[Address] = []
    for line in table.splitlines():
        digits, _, _, _, flags, *_ = line.split()
        to = passing if int(flags, 16) & _TEMPORARY else lasting
        to.append(ipaddress.IPv6Address(bytes.fromhex(digits)))
    return lasting, passing
