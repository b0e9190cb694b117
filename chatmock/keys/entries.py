"""A client key as it is kept: its name and limits, and a digest in place of its token. Pure."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Callable
from typing import Final

import attrs

from chatmock.admission.client import Key
from chatmock.settings import Secret

PREFIX: Final = "sk-chatmock-"
"""Of every token: people and secret scanners know by it what they have found."""
PRIORITIES: Final = {"low": -1, "normal": 0, "high": 1}
_TOKEN_BYTES: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED: Final = ("access-token",)
"""What people would take for ``CHATMOCK_ACCESS_TOKEN``."""


@attrs.frozen
class Entry:
    """A key that was given out. Times are Unix seconds."""

    key: Key
    digest: bytes = attrs.field(repr=False)
    """SHA-256 of the token."""
    created: float
    expires: float | None = None
    """From then on it does not count; None for never."""
    revoked: float | None = None

    def state(self, now: float) -> str:
        """``active``, ``expired`` or ``revoked``."""
        if self.revoked is not None:
            return "revoked"
        return "active" if self.expires is None or now < self.expires else "expired"


def new_token(random: Callable[[int], bytes]) -> Secret:
    """A token that nobody can guess: ``sk-chatmock-`` and 256 bits as base64url.

    :param random: gives so many bytes, as :func:`os.urandom` does.
    """
    return Secret(PREFIX + base64.urlsafe_b64encode(random(_TOKEN_BYTES)).rstrip(b"=").decode())


def digest_of(token: bytes) -> bytes:
    """What is kept of a *token*."""
    return hashlib.sha256(token).digest()


def name_fault(name: str) -> str:
    """What is wrong with *name* as the name of a key; empty for nothing."""
    if not _NAME.fullmatch(name):
        return (
            "a name starts with a letter or digit, and has at most 64 letters, digits, dots, dashes and underscores"
            " (such as laptop)"
        )
    if name.lower() in _RESERVED:
        return "it stands for the holder of CHATMOCK_ACCESS_TOKEN; choose another name"
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return ""
    return "clients without a key are counted by their addresses; choose a name that is none"
