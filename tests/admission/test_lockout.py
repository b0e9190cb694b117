"""So many wrong keys a minute."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.admission.lockout import Lockout


def test_five_a_minute() -> None:
    lockout = Lockout()
    assert [lockout.count("a", 100.0 + second) for second in range(5)] == [None] * 5
    assert lockout.count("a", 105.0) == 55.0
    assert lockout.count("b", 105.0) is None
    assert lockout.count("a", 159.5) == 0.5
    assert lockout.count("a", 160.0) is None
    assert lockout.count("a", 160.0) == 1.0


def test_tries_while_locked_out_do_not_make_it_longer() -> None:
    lockout = Lockout()
    for _ in range(5):
        lockout.count("a", 0.0)
    for tenth in range(600):
        assert lockout.count("a", tenth / 10) is not None
    assert lockout.count("a", 60.0) is None


def test_the_table_is_bounded_and_forgets_whom_it_has_not_seen_longest() -> None:
    lockout = Lockout()
    for _ in range(5):
        lockout.count("guesser", 0.0)
    for number in range(20_000):
        if number % 4000 == 0:
            assert lockout.count("guesser", 1.0) is not None
        lockout.count(str(number), 1.0)
    assert len(lockout._wrong) == 4096
    assert lockout.count("guesser", 1.0) is not None
    for number in range(4096):
        lockout.count(str(number), 1.0)
    assert lockout.count("guesser", 1.0) is None


@given(st.lists(st.floats(0, 30), max_size=60))
@settings(max_examples=100, deadline=None)
def test_never_more_than_five_in_any_minute(pauses: list[float]) -> None:
    lockout, now, told = Lockout(), 1000.0, []
    for pause in pauses:
        now += pause
        wait = lockout.count("a", now)
        if wait is None:
            told.append(now)
        else:
            assert 0 < wait <= 60
    assert all(sixth - first >= 60 for first, sixth in zip(told, told[5:], strict=False))
