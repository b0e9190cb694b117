"""A token bucket for each client address, over a bounded table."""

from __future__ import annotations

import math
from collections import OrderedDict

from chatmock.errors import Kind, Refusal

_MOST_CLIENTS = 4096


class Rates:
    """So many requests a second for each client, with bursts.

    :param rps: tokens a second; *burst*: tokens at most.
    """

    def __init__(self, rps: float, burst: int) -> None:
        self._rps = rps
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, client: str, now: float) -> None:
        """Take one token of *client*.

        :param now: monotonic seconds.
        :raises Refusal: rate limited, with the seconds until there is a token.
        """
        tokens, at = self._buckets.get(client, (self._burst, now))
        tokens = min(tokens + (now - at) * self._rps, self._burst)
        if tokens < 1.0:
            wait = max(math.ceil((1.0 - tokens) / self._rps), 1)
            raise Refusal(
                Kind.RATE_LIMITED,
                f"Too many requests from this address (CHATMOCK_RATE_LIMIT_RPS={self._rps:g}). Try again in {wait} s.",
                code="rate_limit_exceeded",
                retry_after=wait,
            )
        self._buckets[client] = (tokens - 1.0, now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
