"""Names and tokens of client keys."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.admission.client import Key
from chatmock.keys.entries import Entry, digest_of, name_fault, new_token


def test_a_token_is_256_random_bits_and_masked() -> None:
    token = new_token(os.urandom)
    assert re.fullmatch(r"sk-chatmock-[A-Za-z0-9_-]{43}", token.reveal())
    assert token != new_token(os.urandom)
    assert "sk-" not in f"{token} {token!r}"
    asked: list[int] = []
    assert new_token(lambda count: asked.append(count) or b"\xff" * count).reveal() == (
        "sk-chatmock-" + "_" * 42 + "8"
    )
    assert asked == [32]


@pytest.mark.parametrize(
    "name", ["a", "7", "Laptop-2.home_x", "a" * 64, "access-token-2", "127.0.0.1.x", "10"]
)
def test_names(name: str) -> None:
    assert name_fault(name) == ""


@pytest.mark.parametrize(
    "name",
    ["", "-a", ".a", "_a", "a" * 65, "a b", "a\n", "ä", "a/b", "access-token", "Access-Token", "10.0.0.1"],
)
def test_no_names(name: str) -> None:
    assert name_fault(name)


@given(st.text(max_size=70))
@settings(max_examples=100, deadline=None)
def test_a_name_is_fit_for_logs_headers_and_metrics(name: str) -> None:
    assert name_fault(name) or re.fullmatch(r"[!-~]{1,64}", name)


def test_the_state_of_a_key() -> None:
    entry = Entry(Key("a"), digest_of(b"t"), created=0.0, expires=10.0)
    assert [entry.state(now) for now in (0.0, 9.9, 10.0, 11.0)] == ["active", "active", "expired", "expired"]
    assert Entry(Key("a"), digest_of(b"t"), 0.0).state(1e12) == "active"
    assert Entry(Key("a"), digest_of(b"t"), 0.0, revoked=1.0).state(0.0) == "revoked"
    assert "digest" not in repr(entry)
