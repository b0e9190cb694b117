"""Where a JSON object ends, and where text cannot be one any more."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.providers.qwen.object_scanner import MOST_DEPTH, MOST_SCALAR_CHARS, ObjectScanner
from tests.providers.qwen.asking import objects


def scan(text: str, step: int = 1000) -> tuple[str, int]:
    """The state after *text* and how much of it was read."""
    scanner, read = ObjectScanner(), 0
    for start in range(0, len(text), step):
        read += scanner.feed(text[start : start + step])
        if scanner.state != "open":
            break
    return scanner.state, read


@pytest.mark.parametrize("step", [1, 2, 1000])
@pytest.mark.parametrize(
    ("text", "state", "read"),
    [
        ("", "open", 0),
        (" \n", "open", 2),
        ("{}", "complete", 2),
        ("{ } }", "complete", 3),
        ('{"a":1}x', "complete", 7),
        ('{"a":[1,-2.5E+3,true,null,{"b":"}"}]}', "complete", 37),
        ('{"\\u00e9\\"":"\\\\"}', "complete", 17),
        ("[1]", "broken", 0),
        ("x", "broken", 0),
        ("{x", "broken", 1),
        ("{1:2}", "broken", 1),
        ("{,}", "broken", 1),
        ('{"a" 1}', "broken", 5),
        ('{"a":1,}', "broken", 7),
        ('{"a":[1,]}', "broken", 8),
        ('{"a":[1}', "broken", 7),
        ('{"a":tru}', "broken", 8),
        ('{"a":01}', "broken", 7),
        ('{"a":"\\x"}', "broken", 7),
        ('{"a":"\\u00g"}', "broken", 10),
        ('{"a":"line\nbreak"}', "broken", 10),
        ('{"a":.5}', "broken", 7),
        ('{"a":"b" "c"}', "broken", 9),
    ],
)
def test_where_it_ends(text: str, state: str, read: int, step: int) -> None:
    assert scan(text, step) == (state, read)


def test_nesting_and_numbers_are_bounded() -> None:
    inner = MOST_DEPTH - 1
    assert scan('{"a":' + "[" * inner + "]" * inner + "}")[0] == "complete"
    assert scan('{"a":' + "[" * (inner + 1))[0] == "broken"
    assert scan('{"a":' + "1" * MOST_SCALAR_CHARS + "}", 7)[0] == "complete"
    assert scan('{"a":' + "1" * (MOST_SCALAR_CHARS + 1), 7)[0] == "broken"


@settings(max_examples=100)
@given(objects, st.sampled_from(["", "}", "</tool_call>", "x"]), st.booleans(), st.integers(1, 9))
def test_any_object_ends_where_its_text_does(value: object, rest: str, ascii: bool, step: int) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    assert scan(text + rest, step) == ("complete", len(text))
    assert scan(text[:-1], step)[0] == "open"


@settings(max_examples=100)
@given(st.text('{}[]":,\\ un10e-.tl\n', max_size=12), st.integers(1, 5))
def test_agrees_with_a_parser(inner: str, step: int) -> None:
    text = "{" + inner
    try:
        _, end = json.JSONDecoder(strict=True).raw_decode(text)
        wanted: tuple[str, int] | None = ("complete", end)
    except ValueError:
        wanted = None
    found = scan(text, step)
    assert found == wanted if wanted else found[0] != "complete"
