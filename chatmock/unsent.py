"""How much of what was written a peer has not taken yet."""

from __future__ import annotations

import sys
from contextlib import suppress
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.protocols.policies import ProtocolWrapper


def unsent_bytes(transport: Any) -> int:
    """Bytes that the peer of *transport* has not taken yet: here, below TLS where there is TLS, and in the system's buffer.

    The latter counts because it may hold megabytes, which a slow client takes for minutes.
    """
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    if not isinstance(transport, FileDescriptor):
        return 0
    here = len(transport.dataBuffer) - transport.offset + transport._tempDataLen  # noqa: SLF001  # no other way
    with suppress(OSError, ValueError):  # a socket of another kind, or closed: nothing is known of it
        here += int.from_bytes(ioctl(transport.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)
    return here
