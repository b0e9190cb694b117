"""The kinds of settings that are addresses: hosts, base URLs of upstreams, origins of web pages, networks.

Plain `http://` is for machines one owns: an API key sent over it can be read on the way. So a base URL
over http must point at this machine, and only where the setting says so may it stand in the local network.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, TypeAlias

import attrs

from chatmock.settings.secrets import MASK
from chatmock.settings.values import Kind, shown, text_of

__all__ = ["BaseUrl", "Host", "Network", "NetworkKind", "Origin", "is_this_machine_at", "loopback_port"]

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_LABEL: Final = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
# A name that ends so is taken for an IPv4 number by resolvers: 127.1, 2130706433, 0x7f000001.
_NUMBER: Final = r"(.*\.)?([0-9]+|0x[0-9a-f]*)"
_LAN_SUFFIXES: Final = (".local", ".lan", ".home.arpa", ".internal")
# Written out because what ipaddress calls private includes public documentation ranges, differs between
# Pythons, and holds for every IPv4 address in its IPv6 form.
_LOOPBACK_NETWORKS: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_LAN_NETWORKS: Final = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")
)


def _parsed(text: str) -> Address | str:
    """An IP address, or a host name in lower case; raises `ValueError` for what is neither."""
    if ":" in text:
        return IPv6Address(text)
    name = text.lower()
    if re.fullmatch(_NUMBER, name):
        return IPv4Address(name)
    if not text.isascii() or len(name) > 253 or re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", name) is None:
        raise ValueError(f"{shown(text)} is not a host")
    return name


def _is_loopback(host: Address | str) -> bool:
    if isinstance(host, str):
        return host == "localhost"
    return any(host in network for network in _LOOPBACK_NETWORKS)


def _is_local(host: Address | str) -> bool:
    """Whether a host is in the local network, by its address or by how such names are built."""
    if isinstance(host, str):
        return "." not in host or host.endswith(_LAN_SUFFIXES)
    return any(host in network for network in _LAN_NETWORKS)


def _written(host: Address | str) -> str:
    return f"[{host}]" if isinstance(host, IPv6Address) else str(host)


@attrs.frozen
class Host(Kind[str]):
    """An IP address or a host name to listen on, without brackets and port."""

    allowed: str = "an IP address or a host name"

    def read(self, raw: object) -> str:
        """Read an address in its shortest form, a name in lower case."""
        return str(_parsed(text_of(raw)))


_AUTHORITY: Final = r"(\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^\s/:@\[\]?#\\]+))(:(?P<port>[0-9]{1,5}))?"
_URL: Final = re.compile(
    rf"(?P<scheme>https?)://{_AUTHORITY}(?P<path>(/[A-Za-z0-9._~!$&'()*+,;=:%@-]*)*)",
    re.IGNORECASE | re.ASCII,
)
_ORIGIN: Final = re.compile(rf"(?P<scheme>[a-z][a-z0-9+.-]*)://{_AUTHORITY}", re.IGNORECASE | re.ASCII)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def _authority(match: re.Match[str]) -> tuple[str, Address | str, int | None]:
    """Scheme, host and port of a match of `_URL` or `_ORIGIN`."""
    port = None if match["port"] is None else int(match["port"])
    if port is not None and not 1 <= port <= 65535:
        raise ValueError("ports go from 1 to 65535")
    host = IPv6Address(match["six"]) if match["six"] else _parsed(match["host"])
    return match["scheme"].lower(), host, port


@attrs.frozen
class BaseUrl(Kind[str]):
    """The URL an upstream's paths are appended to; becomes lower-case scheme and host, without a last slash.

    `lan` allows plain http towards the local network besides this machine.
    """

    lan: bool = False

    @property
    def allowed(self) -> str:
        """What a URL must have, and where http may go."""
        where = "this machine or the local network" if self.lan else "this machine"
        return f"an https:// URL without user, query and fragment (http:// only towards {where})"

    def read(self, raw: object) -> str:
        """Read the URL in its normal form."""
        match = _URL.fullmatch(text_of(raw))
        if match is None:
            raise ValueError
        scheme, host, port = _authority(match)
        if scheme == "http" and not _is_loopback(host) and not (self.lan and _is_local(host)):
            raise ValueError("http:// would send the credential unprotected")
        end = "" if port is None else f":{port}"
        return f"{scheme}://{_written(host)}{end}{match['path'].rstrip('/')}"

    def shown(self, raw: object) -> str:
        """Hide what stands before an @ or after a ?: it is often a password or a key."""
        text = re.sub("^(https?://)?.*@", rf"\1{MASK}@", str(raw), flags=re.DOTALL | re.IGNORECASE)
        return shown(re.sub(r"[?#].*", f"?{MASK}", text, flags=re.DOTALL))


def is_this_machine_at(url: str, ports: Collection[int | None]) -> bool:
    """Whether *url*, in the normal form of :class:`BaseUrl`, leads to the loopback at one of *ports*."""
    match = _URL.fullmatch(url)
    if match is None:
        return False
    scheme, host, port = _authority(match)
    return _is_loopback(host) and (_DEFAULT_PORTS[scheme] if port is None else port) in ports


_TCP_ENDPOINT: Final = re.compile(r"(?:tls:)?(?:tcp[46]?|ssl):(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_BETWEEN: Final = re.compile(r"(?<!\\):")
"""The colons of an endpoint description that are no part of a value."""
_EVERYWHERE: Final = frozenset(["", "0.0.0.0", "::"])  # noqa: S104  # only compared


def loopback_port(endpoint: str) -> int | None:
    """The port that a Twisted server *endpoint* description has the loopback's clients find, such as ``tcp:8000``.

    None for one that other addresses have, for what is no TCP, and where the port is found by the system.
    """
    match = _TCP_ENDPOINT.fullmatch(endpoint.strip())
    if match is None:
        return None
    first, *rest = _BETWEEN.split(match["rest"])
    given = dict(each.partition("=")[::2] for each in ("port=" + first.removeprefix("port="), *rest))
    port, interface = given.get("port", ""), given.get("interface", "").replace("\\", "")
    try:
        reached = interface in _EVERYWHERE or _is_loopback(_parsed(interface))
    except ValueError:
        return None
    return int(port) if reached and port.isdecimal() and int(port) else None


@attrs.frozen
class Origin(Kind[str]):
    """A web page's origin as browsers write it, in lower case, without default port; or `*` for all."""

    allowed: str = "scheme://host[:port] or *"

    def read(self, raw: object) -> str:
        """Read the origin in its normal form."""
        text = text_of(raw)
        if text == "*":
            return text
        match = _ORIGIN.fullmatch(text)
        if match is None:
            raise ValueError
        scheme, host, port = _authority(match)
        end = "" if port in (None, _DEFAULT_PORTS.get(scheme)) else f":{port}"
        return f"{scheme}://{_written(host)}{end}"


@attrs.frozen
class NetworkKind(Kind[Network]):
    """An IP address or a network such as 192.168.0.0/16, without bits set behind the mask."""

    allowed: str = "an IP address or a network such as 10.0.0.0/8"

    def read(self, raw: object) -> Network:
        """Read a network; an address is a network of one."""
        if isinstance(raw, (IPv4Network, IPv6Network)):
            return raw
        return ip_network(text_of(raw))  # which by itself would take the number 5 for 0.0.0.5
