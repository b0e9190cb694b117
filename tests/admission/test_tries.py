"""An upstream is asked again after what may pass, and at once with a changed request."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from chatmock.admission.backoff import Backoff
from chatmock.admission.tries import tried
from chatmock.errors import Kind, Refusal
from tests.conftest import fired

BACKOFF = Backoff(lambda: 0.5)
PASSING = Refusal(Kind.OVERLOADED, "later", retryable=True)
LASTING = Refusal(Kind.BAD_REQUEST, "no", code="c")


def asking(clock: Clock, outcomes: list[Refusal | str], amend: Callable[[Refusal], bool]) -> Deferred[str]:
    """What comes of a request that meets *outcomes*, one a try; they are taken out."""

    async def once() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    return Deferred.fromCoroutine(tried(once, BACKOFF, clock, amend))


def never(refusal: Refusal) -> bool:
    return False


def test_a_passing_fault_is_waited_out() -> None:
    clock = Clock()
    outcomes: list[Refusal | str] = [PASSING, PASSING, "answer"]
    done = asking(clock, outcomes, never)
    clock.advance(0.24)
    assert len(outcomes) == 2
    clock.advance(0.01)
    assert len(outcomes) == 1
    clock.advance(0.5)
    assert fired(done) == "answer"
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize(("outcomes", "left"), [([LASTING, "answer"], 1), ([PASSING] * 4, 1)])
def test_the_last_refusal_is_told(outcomes: list[Refusal | str], left: int) -> None:
    clock = Clock()
    expected = outcomes[-2]
    done = asking(clock, outcomes, never)
    clock.pump([10.0] * 5)
    with pytest.raises(Refusal) as caught:
        fired(done)
    assert caught.value is expected
    assert len(outcomes) == left


def test_a_changed_request_goes_at_once() -> None:
    seen: list[Refusal] = []

    def amend(refusal: Refusal) -> bool:
        seen.append(refusal)
        return len(seen) == 1

    assert fired(asking(Clock(), [LASTING, "answer"], amend)) == "answer"
    with pytest.raises(Refusal):
        fired(asking(Clock(), [LASTING, "answer"], amend))
    assert seen == [LASTING, LASTING]


def test_leaving_ends_the_wait() -> None:
    clock = Clock()
    outcomes: list[Refusal | str] = [PASSING, "answer"]
    done = asking(clock, outcomes, never)
    done.cancel()
    with pytest.raises(CancelledError):
        fired(done)
    assert outcomes == ["answer"]
    assert not clock.getDelayedCalls()
