"""The plan's limits: out of headers as ChatGPT sends them, and through the file that keeps them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock import jsontext
from chatmock.jsontext import JSONError
from chatmock.providers.chatgpt.usage_windows import (
    Credits,
    Snapshot,
    UsageWindows,
    Window,
    from_json,
    merge,
    read_windows,
    tells_usage,
    to_json,
)

NOW = 1_785_060_000.0
PLUS = {
    "content-type": "text/event-stream",
    "x-codex-primary-used-percent": "12.5",
    "x-codex-primary-window-minutes": "300",
    "x-codex-primary-reset-after-seconds": "18000.0",
    "x-codex-secondary-used-percent": "80",
    "x-codex-secondary-window-minutes": "10080",
    "x-codex-secondary-reset-at": "1785400000",
}
EVERYTHING = {
    **PLUS,
    "x-codex-active-limit": "premium",
    "x-codex-plan-type": "plus",
    "x-codex-credits-has-credits": "True",
    "x-codex-credits-balance": "12.50",
    "x-codex-credits-unlimited": "false",
    "x-codex-primary-over-secondary-limit-percent": "33.3",
    "x-codex-bengalfox-limit-name": "Spark",
    "x-codex-bengalfox-primary-used-percent": "0",
    "x-codex-bengalfox-primary-window-minutes": "10080",
    "x-codex-two-words-secondary-used-percent": "101",
}


def told(headers: dict[str, str]) -> UsageWindows:
    windows = read_windows(headers)
    assert windows is not None
    return windows


def snapshot(*windows: Window, at: float = NOW, **more: Any) -> Snapshot:
    return Snapshot(UsageWindows(windows, **more), at)


def test_both_windows_are_read_and_a_float_is_an_integer_too() -> None:
    assert told(PLUS) == UsageWindows(
        (
            Window("", "primary", 12.5, 300, 18000, None),
            Window("", "secondary", 80.0, 10080, None, 1785400000.0),
        )
    )


def test_everything_else_is_read_and_unknown_families_keep_their_names() -> None:
    windows = told(EVERYTHING)
    assert windows.windows[2:] == (
        Window("bengalfox", "primary", 0.0, 10080),
        Window("two-words", "secondary", 101.0),
    )
    assert (windows.plan, windows.active_limit) == ("plus", "premium")
    assert windows.credits == Credits(True, "12.50", False)
    assert windows.primary_over_secondary_limit_percent == 33.3
    assert windows.names == {"bengalfox": "Spark"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/event-stream"},
        {"x-codex-plan-type": "plus", "x-codex-primary-window-minutes": "300"},
        *(
            {"x-codex-primary-used-percent": text}
            for text in ["nan", "inf", "-1", "", "half", "1e3", "1_0", "１２", "9" * 400, "0x10"]
        ),
    ],
)
def test_no_window_is_told_without_a_percentage(headers: dict[str, str]) -> None:
    assert read_windows(headers) is None


@pytest.mark.parametrize("text", ["nan", "inf", "-5", "soon", "", "9" * 30])
def test_nonsense_beside_a_percentage_is_left_out(text: str) -> None:
    headers = {
        f"x-codex-primary-{name}": text for name in ["window-minutes", "reset-after-seconds", "reset-at"]
    }
    assert told({**headers, "x-codex-primary-used-percent": "5"}).windows == (Window("", "primary", 5.0),)


def test_milliseconds_are_no_reset_time() -> None:
    headers = {"x-codex-primary-used-percent": "5", "x-codex-primary-reset-at": "1785400000000"}
    assert told(headers).windows == (Window("", "primary", 5.0),)


def test_a_limit_that_the_plan_does_not_have_is_left_out() -> None:
    none = {"used-percent": "0", "window-minutes": "0", "reset-after-seconds": "0", "reset-at": "0"}
    headers = {**PLUS, **{f"x-codex-secondary-{name}": text for name, text in none.items()}}
    assert [window.position for window in told(headers).windows] == ["primary"]


def test_a_balance_that_is_no_number_is_left_out() -> None:
    windows = told({**EVERYTHING, "x-codex-credits-balance": "lots", "x-codex-credits-unlimited": "maybe"})
    assert windows.credits == Credits(True, None, None)


def test_an_upstream_that_invents_families_does_not_fill_the_memory() -> None:
    def invented(start: int) -> Snapshot:
        names = [f"x-codex-f{i}-primary-used-percent" for i in range(start, start + 50)]
        return Snapshot(told(dict.fromkeys(names, "1")), NOW)

    assert len(invented(0).windows.windows) == 32
    assert len(merge(invented(0), invented(100)).windows.windows) == 32


def test_headers_of_others_tell_nothing() -> None:
    assert not tells_usage({"content-type": "x", "x-ratelimit-remaining": "1"})
    assert tells_usage(PLUS)


def test_the_reset_is_told_or_counted_from_the_snapshot() -> None:
    both = Window("", "primary", 1.0, None, 10, NOW + 99)
    counted, neither = Window("", "primary", 1.0, None, 10), Window("", "primary", 1.0)
    found = snapshot(both)
    assert [found.resets_at(each) for each in (both, counted, neither)] == [NOW + 99, NOW + 10, None]


def test_merging_keeps_what_the_newer_answer_does_not_tell() -> None:
    before = Snapshot(told(EVERYTHING), NOW)
    now = snapshot(Window("", "primary", 50.0, 300), Window("two-words", "primary", 1.0), at=NOW + 60)
    merged = merge(before, now)
    assert merged.captured_at == NOW + 60
    assert merged.windows.windows == (
        Window("", "primary", 50.0, 300),
        Window("bengalfox", "primary", 0.0, 10080),
        Window("two-words", "primary", 1.0),
    )
    assert (merged.windows.plan, merged.windows.credits) == ("plus", Credits(True, "12.50", False))
    assert merged.windows.names == {"bengalfox": "Spark"}


def test_what_is_kept_still_resets_when_it_did() -> None:
    before = snapshot(Window("spark", "primary", 9.0, 300, 100), Window("old", "primary", 9.0, None, 10))
    now = snapshot(Window("", "primary", 1.0), at=NOW + 60)
    windows = merge(before, now).windows.windows
    assert windows[1:] == (
        Window("old", "primary", 9.0, None, 0, NOW + 10),
        Window("spark", "primary", 9.0, 300, 40, NOW + 100),
    )


def test_another_plan_has_other_limits() -> None:
    before = Snapshot(told(EVERYTHING), NOW)
    now = snapshot(Window("", "primary", 1.0), plan="pro")
    assert merge(before, now) == now
    assert merge(None, now) == now


def test_the_file_has_the_shape_that_users_know() -> None:
    body = jsontext.loads_object(to_json(Snapshot(told(EVERYTHING), NOW, "account-1")))
    assert body["captured_at"] == "2026-07-26T10:00:00+00:00"
    assert body["primary"] == {
        "used_percent": 12.5,
        "window_minutes": 300,
        "resets_in_seconds": 18000,
        "resets_at": None,
    }
    assert body["secondary"]["used_percent"] == 80.0
    assert body["families"]["bengalfox"]["limit_name"] == "Spark"
    assert body["plan"] == "plus"


def test_the_old_file_is_read() -> None:
    old = b"""{"captured_at": "2026-07-26T10:00:00.250000+00:00", "primary":
        {"used_percent": 7, "window_minutes": 300, "resets_in_seconds": null}, "secondary": null, "more": [1]}"""
    assert from_json(old) == snapshot(Window("", "primary", 7.0, 300), at=NOW + 0.25)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"{}",
        b'{"captured_at": "2026-07-26T10:00:00Z"}',
        b'{"captured_at": "2026-07-26T10:00:00Z", "primary": null, "families": {}}',
        b'{"captured_at": "yesterday", "primary": {"used_percent": 1}}',
        b'{"captured_at": "0001-01-01T00:00:00Z", "primary": {"used_percent": 1}}',
        b'{"captured_at": 5, "primary": {"used_percent": 1}}',
        b'{"captured_at": "2026-07-26T10:00:00Z", "primary": {"used_percent": "1"}}',
        b'{"captured_at": "2026-07-26T10:00:00Z", "primary": {"used_percent": -1}}',
        b'{"captured_at": "2026-07-26T10:00:00Z", "primary": 5}',
        b'{"captured_at": "2026-07-26T10:00:00Z", "families": {"x": {"primary": {}}}}',
        b"[" * 10_000,
    ],
)
def test_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(JSONError):
        from_json(data)


NUMBERS = st.integers(0, 5_000_000)
WINDOWS = st.builds(
    Window,
    st.sampled_from(["", "bengalfox", "x-y"]),
    st.sampled_from(["primary", "secondary"]),
    st.floats(0, 10_000),
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    st.none() | st.floats(0, 4e9),
)
USAGE = st.builds(
    UsageWindows,
    st.lists(WINDOWS, min_size=1, unique_by=lambda each: (each.family, each.position)).map(
        lambda found: tuple(sorted(found, key=lambda each: (each.family, each.position)))
    ),
    st.none() | st.sampled_from(["plus", "ü"]),
    st.none() | st.just("premium"),
    st.none() | st.builds(Credits, st.none() | st.booleans(), st.none() | st.just("1.5"), st.just(True)),
    st.none() | st.floats(0, 100),
)


@settings(max_examples=100)
@given(USAGE, st.integers(0, 4_000_000_000))
def test_what_is_written_is_read_again(windows: UsageWindows, at: int) -> None:
    assert from_json(to_json(Snapshot(windows, float(at), "a"))) == Snapshot(windows, float(at), "a")


@settings(max_examples=100)
@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.text(max_size=3),
       lambda inner: st.dictionaries(st.sampled_from(["captured_at", "primary", "families", "used_percent"]), inner),
       max_leaves=8).map(jsontext.dumps))  # fmt: skip
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = from_json(data)
    except JSONError:
        return
    assert found.windows.windows


@settings(max_examples=100)
@given(
    st.dictionaries(
        st.sampled_from(sorted(EVERYTHING)),
        st.text(max_size=8) | st.floats().map(str) | st.integers().map(str),
    )
)
def test_whatever_headers_say_can_be_kept(headers: dict[str, str]) -> None:
    windows = read_windows(headers)
    if windows is not None:
        assert from_json(to_json(Snapshot(windows, NOW))) == Snapshot(windows, NOW)
