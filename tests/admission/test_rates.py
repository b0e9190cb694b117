"""The token buckets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.admission.client import Client, Key
from chatmock.admission.rates import Rates
from chatmock.errors import Refusal

A, B = Client("10.0.0.1"), Client("10.0.0.2")


def test_a_burst_then_a_steady_rate() -> None:
    rates = Rates(rps=2, burst=3)
    for _ in range(3):
        rates.spend(A, 100.0)
    with pytest.raises(Refusal, match="from this address") as caught:
        rates.spend(A, 100.0)
    assert caught.value.retry_after == 1
    rates.spend(B, 100.0)
    with pytest.raises(Refusal):
        rates.spend(A, 100.4)
    rates.spend(A, 100.5)
    with pytest.raises(Refusal):
        rates.spend(A, 100.9)


def test_waiting_never_gives_more_than_a_burst() -> None:
    rates = Rates(rps=10, burst=2)
    rates.spend(A, 0.0)
    for _ in range(2):
        rates.spend(A, 1000.0)
    with pytest.raises(Refusal):
        rates.spend(A, 1000.0)


def test_a_slow_rate_says_how_long() -> None:
    rates = Rates(rps=0.1, burst=1)
    rates.spend(A, 0.0)
    with pytest.raises(Refusal) as caught:
        rates.spend(A, 3.0)
    assert caught.value.retry_after == 7


def test_the_table_is_bounded_and_who_is_refused_is_not_forgotten_for_it() -> None:
    rates = Rates(rps=1, burst=1)
    rates.spend(A, 0.0)
    for number in range(10_000):
        rates.spend(Client(str(number)), 0.0)
        if number % 4000 == 0:
            with pytest.raises(Refusal):
                rates.spend(A, 0.0)
    assert len(rates._seconds) == 4096
    for seen in (A, Client("9999")):
        with pytest.raises(Refusal):
            rates.spend(seen, 0.0)


def test_a_key_has_its_own_bucket_wherever_it_is_used_from() -> None:
    rates = Rates(rps=1, burst=2)
    key = Key("laptop")
    rates.spend(Client("10.0.0.1", key), 0.0)
    rates.spend(Client("10.0.0.2", key), 0.0)
    with pytest.raises(Refusal, match="with this key"):
        rates.spend(Client("10.0.0.3", key), 0.0)
    rates.spend(A, 0.0)


def test_a_key_may_have_less_a_minute() -> None:
    rates = Rates(rps=100, burst=100)
    client = Client("10.0.0.1", Key("kids", rpm=2))
    rates.spend(client, 0.0)
    rates.spend(client, 0.0)
    with pytest.raises(Refusal, match="2 requests a minute") as caught:
        rates.spend(client, 0.5)
    assert caught.value.retry_after == 60
    rates.spend(client, 60.0)
    rates.spend(client, 61.0)
    with pytest.raises(Refusal):
        rates.spend(client, 119.0)


def test_what_is_refused_costs_nothing() -> None:
    rates = Rates(rps=0.001, burst=2)
    client = Client("10.0.0.1", Key("kids", rpm=1))
    rates.spend(client, 0.0)
    for _ in range(5):
        with pytest.raises(Refusal, match="a minute"):
            rates.spend(client, 1.0)
    rates.spend(client, 60.0)
    with pytest.raises(Refusal, match="CHATMOCK_RATE_LIMIT_RPS"):
        rates.spend(client, 121.0)


def test_a_key_that_is_given_less_has_less_at_once() -> None:
    rates = Rates(rps=100, burst=100)
    for _ in range(3):
        rates.spend(Client("x", Key("kids", rpm=60)), 0.0)
    with pytest.raises(Refusal):
        rates.spend(Client("x", Key("kids", rpm=1)), 0.0)


@given(st.floats(0.01, 1000), st.integers(1, 20), st.lists(st.floats(0, 10), max_size=50))
@settings(max_examples=100, deadline=None)
def test_who_waits_as_long_as_told_is_let_in(rps: float, burst: int, pauses: list[float]) -> None:
    rates, now = Rates(rps, burst), 1000.0
    for let_in, pause in enumerate(pauses, 1):
        now += pause
        wait = refused_for(rates, now)
        if wait is not None:
            assert wait >= 1
            now += wait
            rates.spend(A, now)
        assert let_in <= burst + (now - 1000.0) * rps + 1e-6


def refused_for(rates: Rates, now: float) -> float | None:
    try:
        rates.spend(A, now)
    except Refusal as refusal:
        return refusal.retry_after
    return None
