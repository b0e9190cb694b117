"""Vectors in either form, made into the other."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.jsontext import JSONError, Raw
from chatmock.vectors import EmbeddingRequest, as_base64, as_numbers

NUMBERS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20)


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


@settings(max_examples=100, deadline=None)
@given(NUMBERS)
def test_from_one_form_to_the_other_and_back(numbers: list[float]) -> None:
    packed = as_base64(raw(numbers))
    assert base64.b64decode(json.loads(bytes(packed))) == struct.pack(f"<{len(numbers)}f", *numbers)
    assert json.loads(bytes(as_numbers(packed))) == numbers


def test_a_vector_that_has_the_form_stays_as_it_is() -> None:
    numbers = Raw(b"[ 0.10,1e-3 ]")
    assert as_numbers(numbers) is numbers
    packed = raw(base64.b64encode(struct.pack("<f", 0.5)).decode())
    assert as_base64(packed) is packed


@pytest.mark.parametrize(
    "value", [None, 5, {}, [None], ["1"], [[1]], [True], "AAA", "AAAA", "!", "ÄÄÄÄ", "AAAA\nAA=="]
)
@pytest.mark.parametrize("into", [as_numbers, as_base64])
def test_what_is_no_vector(value: Any, into: Any) -> None:
    with pytest.raises(JSONError):
        into(raw(value))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite(number: float) -> None:
    packed = raw(base64.b64encode(struct.pack("<2f", 1.0, number)).decode())
    for into in (as_numbers, as_base64):
        with pytest.raises(JSONError):
            into(packed)


def test_numbers_that_32_bits_do_not_hold() -> None:
    assert as_numbers(raw([1e300]))
    with pytest.raises(JSONError):
        as_base64(raw([1e300]))


def test_what_is_asked_is_not_in_its_repr() -> None:
    asked = EmbeddingRequest("m", ("my diary",), extras={"user": "me, myself"})
    assert "diary" not in repr(asked)
    assert "myself" not in repr(asked)
