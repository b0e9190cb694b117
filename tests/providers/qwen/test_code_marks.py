"""Where code is in prose, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmock.providers.qwen.code_marks import CodeMarks


def inside(*pieces: str) -> bool:
    marks = CodeMarks()
    for piece in pieces:
        marks.feed(piece)
    return marks.inside


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", False),
        ("a ", False),
        ("a `", True),
        ("a `b` ", False),
        ("a ``b` ", True),
        ("a `b\n", False),
        ("a ~", False),
        ("```\n", True),
        ("a\n  ```xml\nb `c`\n", True),
        ("```\na\n```\n", False),
        ("```\na\n`````\n", False),
        ("````\na\n```\n", True),
        ("~~~\na\n```\n", True),
        ("~~~\na\n~~~\n", False),
        ("a ```b``` ", False),
        ("a ```\n", False),
        ("```\na ```\n", True),
    ],
)
def test_what_is_code(text: str, code: bool) -> None:
    assert inside(text) is code
    assert inside(*text) is code


@given(st.lists(st.sampled_from(["`", "```", "~~~", "a", " ", "\n"]), max_size=12), st.integers(0, 12))
def test_a_cut_changes_nothing(pieces: list[str], at: int) -> None:
    text = "".join(pieces)
    assert inside(text) == inside(text[:at], text[at:]) == inside(*text)
