"""A token bucket for each client, over a bounded table. Pure."""

from __future__ import annotations

import math
from collections import OrderedDict

import attrs

from chatmock.admission.client import Client
from chatmock.errors import Kind, Refusal

_MOST_CLIENTS = 4096


@attrs.define
class _Bucket:
    """What a client has left, as of a moment in monotonic seconds."""

    tokens: float
    at: float

    def fill(self, rate: float, most: float, now: float) -> float:
        """Add what has come since; returns the seconds until there is a whole token, 0 for none."""
        self.tokens = min(self.tokens + (now - self.at) * rate, most)
        self.at = now
        # What rounding takes off a token must not cost a client that waited as long as it was told.
        return 0.0 if self.tokens >= 1.0 - 1e-9 else (1.0 - self.tokens) / rate


class Rates:
    """So many requests a second for each client, with bursts, and besides as many a minute as its key allows.

    :param rps: tokens a second; *burst*: tokens at most.
    """

    def __init__(self, rps: float, burst: int) -> None:
        self._rps = rps
        self._burst = float(burst)
        self._seconds: OrderedDict[str, _Bucket] = OrderedDict()
        self._minutes: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, client: Client, now: float) -> None:
        """Take one token of *client*; none where one of its limits is reached.

        :param now: monotonic seconds.
        :raises Refusal: rate limited, with the seconds until there is a token.
        """
        second = _bucket_of(self._seconds, client.name, self._burst, now)
        wait = second.fill(self._rps, self._burst, now)
        if wait:
            whose = "from this address" if client.key is None else "with this key"
            raise _limited(f"Too many requests {whose} (CHATMOCK_RATE_LIMIT_RPS={self._rps:g})", wait)
        rpm = None if client.key is None else client.key.rpm
        if rpm is not None:
            minute = _bucket_of(self._minutes, client.name, rpm, now)
            wait = minute.fill(rpm / 60.0, rpm, now)
            if wait:
                raise _limited(f"This key allows {rpm} requests a minute", wait)
            minute.tokens -= 1.0
        second.tokens -= 1.0


def _bucket_of(buckets: OrderedDict[str, _Bucket], name: str, most: float, now: float) -> _Bucket:
    bucket = buckets.get(name)
    if bucket is None:
        bucket = buckets[name] = _Bucket(most, now)
        if len(buckets) > _MOST_CLIENTS:
            buckets.popitem(last=False)
    else:
        # One that is refused is seen too: forgotten, it would have a full bucket again.
        buckets.move_to_end(name)
    return bucket


def _limited(why: str, wait: float) -> Refusal:
    seconds = max(math.ceil(wait), 1)
    return Refusal(
        Kind.RATE_LIMITED,
        f"{why}. Try again in {seconds} s.",
        code="rate_limit_exceeded",
        retry_after=seconds,
    )
