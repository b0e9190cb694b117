"""When a request is sent again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmock.admission.backoff import Backoff
from chatmock.errors import Kind, Refusal


def passing(retry_after: float | None = None) -> Refusal:
    return Refusal(Kind.OVERLOADED, "busy", retry_after=retry_after, retryable=True)


def test_waits_double_up_to_a_cap() -> None:
    backoff = Backoff(lambda: 0.5, tries=9)
    assert [backoff.wait(sent, passing()) for sent in range(1, 9)] == [
        0.25,
        0.5,
        1.0,
        2.0,
        4.0,
        4.0,
        4.0,
        4.0,
    ]


@pytest.mark.parametrize(
    ("asked", "wait"), [(0.0, 0.0), (3.0, 3.0), (10.0, 10.0), (10.1, None), (600.0, None)]
)
def test_what_the_upstream_asks_for_is_honoured_up_to_a_cap(asked: float, wait: float | None) -> None:
    assert Backoff(lambda: 0.5).wait(1, passing(asked)) == wait


def test_not_for_ever_and_not_for_faults_that_stay() -> None:
    backoff = Backoff(lambda: 0.5)
    assert backoff.wait(2, passing()) is not None
    assert backoff.wait(3, passing()) is None
    assert backoff.wait(1, Refusal(Kind.USAGE_EXHAUSTED, "spent", retry_after=1)) is None


@given(chance=st.floats(0, 1, exclude_max=True), sent=st.integers(1, 50))
def test_jitter_stays_within_the_bounds(chance: float, sent: int) -> None:
    wait = Backoff(lambda: chance, tries=100).wait(sent, passing())
    assert wait is not None
    assert 0 <= wait <= 8.0
