"""JSON as it is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.jsontext import JSONError
from chatmock.kept_answers.packing import FROM_BYTES, packed, unpacked


@given(value=st.lists(st.text(max_size=50)), times=st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_what_is_packed_comes_back(value: list[str], times: int) -> None:
    text = json.dumps(value * times).encode()
    kept = packed(text)
    assert unpacked(kept) == text
    assert packed(kept) == kept
    assert len(kept) <= len(text)


def test_the_short_stay_as_they_are() -> None:
    text = b"[" + b" " * (FROM_BYTES - 2) + b"]"
    assert packed(text) == text
    assert len(packed(text + b" ")) < 100


@pytest.mark.parametrize("change", [lambda kept: kept[:-3], lambda kept: kept[:5] + b"!" + kept[6:]])
def test_what_is_damaged_is_no_json(change: Any) -> None:
    with pytest.raises(JSONError):
        unpacked(change(packed(b"[" + b"1," * 5000 + b"1]")))
