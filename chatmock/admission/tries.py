"""Asks an upstream again, where that makes sense and the client has not been answered anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from chatmock.admission.backoff import Backoff
from chatmock.errors import Refusal

T = TypeVar("T")


def _as_it_is(refusal: Refusal) -> bool:
    """A refused request stays as it is."""
    return False


async def tried(
    once: Callable[[], Awaitable[T]],
    backoff: Backoff,
    clock: IReactorTime,
    amend: Callable[[Refusal], bool] = _as_it_is,
) -> T:
    """What *once* brings: it is called again after a passing fault, when *backoff* says so, and at once where *amend* has
    changed the request.

    Cancelling ends the wait, or the try under way.

    :raises Refusal: the last one.
    """
    sent = 0
    while True:
        sent += 1
        try:
            return await once()
        except Refusal as refusal:
            if amend(refusal):
                continue
            wait = backoff.wait(sent, refusal)
            if wait is None:
                raise
        await deferLater(clock, wait)
