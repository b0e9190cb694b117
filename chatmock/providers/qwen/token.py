"""How long the owner's token is good for (spec upstreams.md, A1.2): 15 minutes to 30 days, by what has been seen."""

from __future__ import annotations

from chatmock.durations import distance
from chatmock.providers import jwt
from chatmock.settings import Secret


def token_expiry(token: Secret) -> float | None:
    """When *token* ends, in Unix seconds; None where it does not say."""
    return jwt.expiry(token)


def expiry_note(token: Secret, now: float) -> str:
    """What to say of *token* after "the token": ``expires in 3d4h``, ``expired 2h ago``, ``expires at an unknown time``.

    :param now: Unix time in seconds.
    """
    at = token_expiry(token)
    if at is None:
        return "expires at an unknown time"
    return f"{'expires' if at > now else 'expired'} {distance(at, now)}"
