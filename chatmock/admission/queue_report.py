"""How the queue stands, as one client may know it: nothing by which it would know another. Pure."""

from __future__ import annotations

import attrs

from chatmock import jsontext


@attrs.frozen
class Count:
    """Requests of one client, or of several."""

    held: int
    """That are being answered."""
    waiting: int


@attrs.frozen
class QueueReport:
    """The permits and the queue for them."""

    permits: int
    """Requests that are answered at the same time, at most."""
    limit: int
    """Requests that may wait."""
    mean_hold: float | None
    """Seconds that an answer has taken lately; None while none has ended in order."""
    name: str
    """Of the client that asks."""
    own: Count
    others: Count
    other_clients: int
    """How many they are."""


def queue_body(report: QueueReport) -> bytes:
    """*report* as JSON, as ``GET /api/queue`` answers it."""
    own, others = report.own, report.others
    return jsontext.dumps(
        {
            "permits": report.permits,
            "held": own.held + others.held,
            "waiting": own.waiting + others.waiting,
            "limit": report.limit,
            "mean_hold_seconds": None if report.mean_hold is None else round(report.mean_hold, 3),
            "you": {"name": report.name, "held": own.held, "waiting": own.waiting},
            "others": {"clients": report.other_clients, "held": others.held, "waiting": others.waiting},
        }
    )
