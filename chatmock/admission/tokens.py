"""Which key a request shows (spec security.md, P12). Pure."""

from __future__ import annotations

import base64
import binascii

from chatmock.admission.head import Head


def token_of(head: Head) -> bytes | None:
    """The key in ``Authorization`` (``Bearer``, or ``Basic`` with the key for a password) or ``x-api-key``.

    None where there is none, and in doubt: a field twice, an unknown scheme, two fields that differ. Two readers
    of one request could each take another one for the key.
    """
    authorizations, keys = head.fields(b"authorization"), head.fields(b"x-api-key")
    if len(authorizations) > 1 or len(keys) > 1:
        return None
    shown = {_credential(value) for value in authorizations} | {value.strip(b" \t") for value in keys}
    # A set finds out whether two things that the client sent are the same; neither is a secret of ours.
    return (shown.pop() or None) if len(shown) == 1 else None


def _credential(authorization: bytes) -> bytes:
    """The key in an ``Authorization`` value; empty where there is none."""
    scheme, _, given = authorization.strip(b" \t").partition(b" ")
    given = given.strip(b" \t")
    match scheme.lower():
        case b"bearer":
            return given
        case b"basic":
            return _password(given)
        case _:
            return b""


def _password(given: bytes) -> bytes:
    try:
        decoded = base64.b64decode(given, validate=True)
    except binascii.Error:
        return b""
    return decoded.partition(b":")[2]
