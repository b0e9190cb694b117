"""When to ask an upstream again after a passing fault, before anything has been answered. Pure."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from chatmock.errors import Refusal


@attrs.frozen
class Backoff:
    """Exponential, with full jitter, and bounded.

    :ivar tries: how often one request is sent in all.
    :ivar first: the longest first wait in seconds; it doubles each time up to *longest*.
    :ivar longest_asked: the longest wait in seconds that an upstream's own ``Retry-After`` may ask for; a longer
        one is passed on to the client instead.
    """

    chance: Callable[[], float]
    """A number in [0, 1), fresh at each call."""
    tries: int = 3
    first: float = 0.5
    longest: float = 8.0
    longest_asked: float = 10.0

    def wait(self, sent: int, refusal: Refusal) -> float | None:
        """Seconds to wait before the request is sent again; None when it is not.

        :param sent: how often it has been sent so far.
        """
        if not refusal.retryable or sent >= self.tries:
            return None
        if refusal.retry_after is not None:
            return refusal.retry_after if refusal.retry_after <= self.longest_asked else None
        return self.chance() * min(self.first * 2.0 ** (sent - 1), self.longest)
