"""A token bucket for each client, over a bounded table. Pure."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TypeVar

import attrs

from chatmock.admission.client import Client
from chatmock.errors import Kind, Refusal

T = TypeVar("T")
_MOST_CLIENTS = 4096
_MINUTE = 60.0


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
    """So many requests a second for each client, with bursts, and in no minute more than its key allows.

    :param rps: tokens a second; *burst*: tokens at most.
    """

    def __init__(self, rps: float, burst: int) -> None:
        self._rps = rps
        self._burst = float(burst)
        self._seconds: OrderedDict[str, _Bucket] = OrderedDict()
        self._minutes: OrderedDict[str, deque[float]] = OrderedDict()
        """When the latest requests of each key came, as many as it has in a minute."""

    def spend(self, client: Client, now: float) -> None:
        """Take one token of *client*; none where one of its limits is reached.

        :param now: monotonic seconds.
        :raises Refusal: rate limited, with the seconds until there is a token.
        """
        second = _kept(self._seconds, client.name, lambda: _Bucket(self._burst, now))
        wait = second.fill(self._rps, self._burst, now)
        if wait:
            whose = "from this address" if client.key is None else "with this key"
            raise _limited(f"Too many requests {whose} (CHATMOCK_RATE_LIMIT_RPS={self._rps:g})", wait)
        rpm = None if client.key is None else client.key.rpm
        if rpm is not None:
            minute = _kept(self._minutes, client.name, deque)
            while len(minute) >= rpm and now - minute[0] >= _MINUTE:
                minute.popleft()
            if len(minute) >= rpm:
                raise _limited(f"This key allows {rpm} requests a minute", _MINUTE - (now - minute[0]))
            minute.append(now)
        second.tokens -= 1.0


def _kept(table: OrderedDict[str, T], name: str, fresh: Callable[[], T]) -> T:
    found = table.get(name)
    if found is None:
        found = table[name] = fresh()
        if len(table) > _MOST_CLIENTS:
            table.popitem(last=False)
    else:
        # Who is refused is seen too: forgotten, it would begin anew.
        table.move_to_end(name)
    return found


def _limited(why: str, wait: float) -> Refusal:
    seconds = max(math.ceil(wait), 1)
    return Refusal(
        Kind.RATE_LIMITED,
        f"{why}. Try again in {seconds} s.",
        code="rate_limit_exceeded",
        retry_after=seconds,
    )
