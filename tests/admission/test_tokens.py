"""Which key a request shows."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.admission.tokens import token_of
from tests.admission.heads import head

AUTH, KEY = "Authorization", "x-api-key"


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("fields", "token"),
    [
        ([(AUTH, "Bearer k")], b"k"),
        ([(AUTH, "bEARER  k ")], b"k"),
        ([(AUTH, basic("anybody:k"))], b"k"),
        ([(AUTH, basic(":k"))], b"k"),
        ([(AUTH, basic("a:k:l"))], b"k:l"),
        ([(AUTH, basic("a:k").replace("Basic", "BASIC"))], b"k"),
        ([(KEY, "k")], b"k"),
        ([(KEY, " k\t")], b"k"),
        ([(AUTH, "Bearer k"), (KEY, "k")], b"k"),
        ([(AUTH, basic("a:k")), (KEY, "k")], b"k"),
        ([(AUTH, "Bearer \xe4")], b"\xe4"),
        ([], None),
        ([(AUTH, "Bearer")], None),
        ([(AUTH, "Bearer ")], None),
        ([(AUTH, "k")], None),
        ([(AUTH, "Token k")], None),
        ([(AUTH, "Bearer\tk")], None),
        ([(AUTH, "Bearer, k")], None),
        ([(AUTH, "Basic k")], None),
        ([(AUTH, basic("k"))], None),
        ([(AUTH, basic("k:"))], None),
        ([(AUTH, basic("a:k") + "!")], None),
        ([(KEY, "")], None),
        ([(AUTH, "Bearer k"), (AUTH, "Bearer k")], None),
        ([(KEY, "k"), (KEY, "k")], None),
        ([(AUTH, "Bearer k"), (AUTH, "Bearer other"), (KEY, "k")], None),
        ([(AUTH, "Bearer k"), (KEY, "other")], None),
        ([(AUTH, "Bearer other"), (KEY, "k")], None),
        ([(AUTH, "Digest k"), (KEY, "k")], None),
        ([(AUTH, "Bearer k"), (KEY, "")], None),
    ],
)
def test_tokens(fields: list[tuple[str, str]], token: bytes | None) -> None:
    assert token_of(head(*fields)) == token


def test_a_query_shows_no_key() -> None:
    assert token_of(head(target="/v1/models?api_key=k&key=k&access_token=k")) is None


@given(
    st.lists(
        st.tuples(st.sampled_from([AUTH, KEY]), st.text("\x09 !~\xffBearbasic:=", max_size=12)), max_size=4
    )
)
@settings(max_examples=100, deadline=None)
def test_whatever_is_sent_shows_one_key_or_none(fields: list[tuple[str, str]]) -> None:
    token = token_of(head(*fields))
    assert token is None or token
    if len({name for name, _ in fields}) < len(fields):
        assert token is None
