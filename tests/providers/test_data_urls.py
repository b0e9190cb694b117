"""Pictures in data URLs."""

from __future__ import annotations

import base64
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.providers.data_urls import cleaned

HEAD = "data:image/png;base64,"


@st.composite
def written(draw: st.DrawFn) -> tuple[bytes, str]:
    """Bytes, and base64 of them as some client may write it."""
    data = draw(st.binary(max_size=60))
    encode = draw(st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]))
    text = encode(data).decode()
    if draw(st.booleans()):
        text = text.rstrip("=")
    width = draw(st.integers(4, 80))
    text = draw(st.sampled_from(["", "\n", "\r\n"])).join(
        text[at : at + width] for at in range(0, len(text), width)
    )
    if draw(st.booleans()):
        text = urllib.parse.quote(text, safe=draw(st.sampled_from(["", "+/=", "+"])))
    return data, text


@settings(max_examples=100)
@given(written())
def test_base64_comes_out_as_the_same_bytes(given: tuple[bytes, str]) -> None:
    data, text = given
    url = cleaned(HEAD + text)
    assert url.startswith(HEAD)
    assert base64.b64decode(url.removeprefix(HEAD), validate=True) == data
    assert cleaned(url) is url


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("++//", "++//"),
        ("%2B+%2F/", "++//"),
        ("-_-_", "+/+/"),
        ("QUI%3D", "QUI="),
        ("QQ", "QQ=="),
        ("QQ=", "QQ=="),
        ("QUJ", "QUJ="),
        ("QQ===", "QQ=="),
        ("QU\r\r\r\rJD", "QUJD"),
        ("QU\r\nI=\n", "QUI="),
    ],
)
def test_what_is_put_right(text: str, clean: str) -> None:
    assert cleaned(HEAD + text) == HEAD + clean


@pytest.mark.parametrize(
    "url",
    [
        HEAD + "A",
        HEAD + "not base64!",
        HEAD + "====",
        HEAD,
        "data:image/png," + "%41",
        "data:text/plain;base64,QQ",
        "data:image/svg+xml,%3Csvg%3E",
        "https://example.org/a-b_c.png?d=%2B",
    ],
)
def test_the_rest_stays(url: str) -> None:
    assert cleaned(url) == url


def test_a_well_formed_picture_is_not_copied() -> None:
    url = HEAD + "QUJD" * 100_000
    assert cleaned(url) is url
