"""Who may change the running daemon: whoever sits at its machine, and the holders of admin keys."""

from __future__ import annotations

from typing import Any, Final

from chatmock.admission.client import Key
from chatmock.admission.proxies import Proxies, parsed
from chatmock.errors import Kind, Refusal

OWNER: Final = Key("(owner)", admin=True)
"""What the daemon's own key of the run stands for; no key that is given out can have its name."""
_FORWARDED = (b"x-forwarded-for", b"x-forwarded-proto", b"x-real-ip", b"forwarded", b"via")
"""What a proxy adds: then it is not known who sits where, whether or not the proxy is trusted."""


def check_owner(request: Any, proxies: Proxies) -> None:
    """See that *request*, which the guard has admitted, comes from this machine or shows an admin key.

    :raises Refusal: forbidden.
    """
    client = getattr(request, "client", None)
    key = None if client is None else client.key
    if (key is not None and key.admin) or _is_local(request, proxies):
        return
    raise Refusal(
        Kind.FORBIDDEN,
        "This changes the daemon: ask on its own machine, or with an admin key (chatmock keys add NAME --admin).",
        code="owner_only",
    )


def _is_local(request: Any, proxies: Proxies) -> bool:
    """Whether *request* comes straight from this machine: over the loopback, or from the address that it came to.

    Not where a trusted proxy is: it need not say whom it brings.
    """
    if any(request.requestHeaders.hasHeader(name) for name in _FORWARDED):
        return False
    peer = getattr(request.getClientAddress(), "host", None)
    own = getattr(request.getHost(), "host", None)
    if not isinstance(peer, str):
        return False
    address = parsed(peer)
    if address is None or proxies.trusts(address):
        return False
    return address.is_loopback or peer == own
