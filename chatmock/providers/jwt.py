"""What a JSON Web Token says of itself (RFC 7519).

Signatures are not checked: the tokens are the owner's own, and what counts is whether their issuer takes them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from chatmock import jsontext
from chatmock.durations import LATEST
from chatmock.jsontext import JSONError
from chatmock.settings import Secret


def claims(token: Secret) -> Mapping[str, Any]:
    """The claims of a JWT; empty for what is none."""
    try:
        middle = token.reveal().split(".")[1]
        return jsontext.loads_object(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (IndexError, ValueError, binascii.Error, JSONError):
        return {}


def expiry(token: Secret) -> float | None:
    """When a JWT ends, in Unix seconds by its ``exp``; None where it does not say, or says no time of ours."""
    exp = claims(token).get("exp")
    if isinstance(exp, int | float) and not isinstance(exp, bool) and 0 < exp < LATEST:
        return float(exp)
    return None
