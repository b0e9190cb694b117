"""What names an answer and tells how long it takes: chance and clocks, which the pure core does not have."""

from __future__ import annotations

import secrets
import time

from chatmock.conversation import Identity


def new_identity() -> Identity:
    """The identity of the answer to a request that comes now."""
    began = time.monotonic_ns()
    now = time.time_ns()
    return Identity(
        secrets.token_hex(12), now // 1_000_000_000, lambda: time.monotonic_ns() - began, created_ns=now
    )
