"""The token bucket."""

from __future__ import annotations

import pytest

from chatmock.admission.rates import Rates
from chatmock.errors import Refusal


def test_a_burst_then_a_steady_rate() -> None:
    rates = Rates(rps=2, burst=3)
    for _ in range(3):
        rates.spend("a", 100.0)
    with pytest.raises(Refusal) as caught:
        rates.spend("a", 100.0)
    assert caught.value.retry_after == 1
    rates.spend("b", 100.0)
    with pytest.raises(Refusal):
        rates.spend("a", 100.4)
    rates.spend("a", 100.5)
    with pytest.raises(Refusal):
        rates.spend("a", 100.9)


def test_waiting_never_gives_more_than_a_burst() -> None:
    rates = Rates(rps=10, burst=2)
    rates.spend("a", 0.0)
    for _ in range(2):
        rates.spend("a", 1000.0)
    with pytest.raises(Refusal):
        rates.spend("a", 1000.0)


def test_a_slow_rate_says_how_long() -> None:
    rates = Rates(rps=0.1, burst=1)
    rates.spend("a", 0.0)
    with pytest.raises(Refusal) as caught:
        rates.spend("a", 3.0)
    assert caught.value.retry_after == 7


def test_the_table_is_bounded() -> None:
    rates = Rates(rps=1, burst=1)
    for number in range(10_000):
        rates.spend(str(number), 0.0)
    assert len(rates._buckets) == 4096
    with pytest.raises(Refusal):
        rates.spend("9999", 0.0)
