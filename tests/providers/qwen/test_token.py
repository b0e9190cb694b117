"""How long the owner's token is good for."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock import jsontext
from chatmock.providers.jwt import claims, expiry
from chatmock.providers.qwen.token import expiry_note, token_expiry
from chatmock.settings import Secret

NOW = 1_790_000_000.0
HOUR = 3600


def jwt(payload: Any) -> Secret:
    parts = [{"alg": "HS256", "typ": "JWT", "kid": "legacy"}, payload]
    head, middle = (base64.urlsafe_b64encode(jsontext.dumps(part)).decode().rstrip("=") for part in parts)
    return Secret(f"{head}.{middle}.c2ln")


@pytest.mark.parametrize(
    ("seconds", "note"),
    [
        (76 * HOUR, "expires in 3d4h"),
        (15 * 60, "expires in 15m"),
        (20, "expires in under 1m"),
        (-2 * HOUR, "expired 2h ago"),
        (0, "expired 0m ago"),
    ],
)
def test_notes(seconds: float, note: str) -> None:
    token = jwt({"id": "u", "last_password_change": 1, "exp": NOW + seconds})
    assert token_expiry(token) == NOW + seconds
    assert expiry_note(token, NOW) == note


@pytest.mark.parametrize("exp", [None, "soon", True, 0, -1, NOW * 1000, 10**30, 1e300, [NOW]])
def test_an_end_that_is_no_time(exp: Any) -> None:
    assert token_expiry(jwt({"exp": exp})) is None
    assert expiry_note(jwt({"exp": exp}), NOW) == "expires at an unknown time"


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c", "....", "a.é.c", f"a.{'A' * 5}.c", "eyJ.bnVsbA.c"])
def test_what_is_no_jwt(text: str) -> None:
    assert claims(Secret(text)) == {}
    assert expiry_note(Secret(text), NOW) == "expires at an unknown time"


def test_claims() -> None:
    assert claims(jwt({"id": "ü🙂", "exp": 1})) == {"id": "ü🙂", "exp": 1}
    assert claims(jwt([1])) == {}


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    assert expiry(Secret(text)) is None
