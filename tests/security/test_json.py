"""P24: one JSON text has one reading, whoever reads it; anything else is refused in few words that repeat nothing of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.dialects import DIALECTS
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import MOST_DEPTH, MOST_VALUES, JSONError, loads_strictly

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**19), 10**19)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def nested(levels: int) -> bytes:
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def side_by_side(openings: int, item: bytes = b"1") -> bytes:
    """An object that holds an array, with so many commas that the two and they are *openings*."""
    return b'{"a":[' + (item + b",") * (openings - 2) + item + b"]}"


REFUSED = {
    "nothing": b"",
    "blank": b"  ",
    "an array": b"[]",
    "a string": b'"a"',
    "null": b"null",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16-le"),
    "Latin-1": b'{"a":"\xe9"}',
    "an overlong slash": b'{"a":"\xc0\xaf"}',
    "a raw surrogate": b'{"a":"\xed\xa0\x80"}',
    "half a pair": b'{"a":"\\ud800"}',
    "the other half": b'{"a":"\\uDFFF"}',
    "a pair the wrong way round": b'{"a":"\\udc00\\ud800"}',
    "half a pair as a key": b'{"\\ud800":1}',
    "equal keys": b'{"a":1,"a":1}',
    "equal keys, escaped": b'{"a":1,"\\u0061":2}',
    "equal keys inside": b'{"x":[{"a":1,"a":2}]}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "a float too large": b'{"a":1e999}',
    "an integer too long": b'{"a":' + b"1" * 21 + b"}",
    "a negative integer too long": b'{"a":-' + b"1" * 21 + b"}",
    "an endless integer": b'{"a":' + b"9" * 100_000 + b"}",
    "too deep": nested(MOST_DEPTH + 1),
    "much too deep": b'{"a":' + b"[" * 200_000,
    "too deep, closed in strings": b'{"a":' + b'["]",' * 70 + b"1" + b"]" * 70 + b"}",
    "too deep after many strings": b'{"a":[' + b'"",' * 70_000 + b"[" * 63 + b"]" * 64 + b"}",
    "too deep after a backslash": b'{"a":["\\\\",' + b"[" * 63 + b"]" * 64 + b"}",
    "too deep after quotes in a string": b'{"a":["' + b'\\\\\\"' * 70 + b'",' + b"[" * 63 + b"]" * 64 + b"}",
    "too many numbers": side_by_side(MOST_VALUES),
    "too many strings": side_by_side(MOST_VALUES, b'""'),
    "far too many strings": side_by_side(20 * MOST_VALUES, b'""'),
    "too many empty arrays": side_by_side(MOST_VALUES // 2 + 1, b"[]"),
    "too many keys": b'{"a":{' + b",".join(b'"%d":1' % i for i in range(MOST_VALUES)) + b"}}",
    "a million empty arrays": side_by_side(1_000_000, b"[]"),
    "more closed than opened": b'{"a":[' + b"[]," * 70 + b"[]]}" + b"]" * 100_000,
    "quotes that nothing closes": b'{"a":' + b'"[\\' * 1_000_000,
    "a comma too many": b'{"a":1,}',
    "a comment": b'{"a":1/**/}',
    "single quotes": b"{'a':1}",
    "a line feed in a string": b'{"a":"\n"}',
    "a NUL": b'{"a":"\x00"}',
    "a bad escape": b'{"a":"\\x41"}',
    "a leading zero": b'{"a":01}',
    "a plus": b'{"a":+1}',
    "hexadecimal": b'{"a":0x1}',
    "a bare point": b'{"a":.5}',
    "two values": b"{}{}",
    "cut": b'{"a":"b',
    "capitals": b'{"a":True}',
}
TAKEN: dict[str, tuple[bytes, Any]] = {
    "deep": (nested(MOST_DEPTH), None),
    "brackets in strings": (b'{"a":"' + b"[{" * 100 + b'"}', {"a": "[{" * 100}),
    "quotes and brackets in strings": (b'{"a":"\\"' + b"[" * 100 + b'\\\\"}', {"a": '"' + "[" * 100 + "\\"}),
    "many side by side": (b'{"a":[' + b"[]," * 200 + b"[]]}", {"a": [[]] * 201}),
    "brackets and commas in a long string": (b'{"a":"' + b"[,{" * MOST_VALUES + b'"}', None),
    "the same between escapes": (b'{"a":"' + b'[,\\"{\\\\\\n' * MOST_VALUES + b'\\\\"}', None),
    "many values": (side_by_side(MOST_VALUES - 1), None),
    "many strings": (side_by_side(MOST_VALUES - 1, b'","'), None),
    "many empty arrays": (side_by_side(MOST_VALUES // 2, b"[]"), None),
    "a pair": (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
    "twenty digits": (b'{"a":' + b"1" * 20 + b"}", {"a": int("1" * 20)}),
    "digits in a string": (b'{"a":"' + b"1" * 30 + b'"}', {"a": "1" * 30}),
    "equal keys in two objects": (b'{"a":{"b":1},"c":{"b":1}}', {"a": {"b": 1}, "c": {"b": 1}}),
    "blanks": (b' \r\n\t{ "a" : 1 } \n', {"a": 1}),
}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_refused(dialect: Any, body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        dialect.parse(body)
    assert caught.value.kind is Kind.BAD_REQUEST
    assert len(dialect.refuse(caught.value)) < 1000


@pytest.mark.parametrize(
    "name", [name for name in REFUSED if name.startswith(("too many", "far too", "a million"))]
)
def test_many_values_are_refused_before_anything_is_made_of_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatmock.jsontext._strict", None)
    with pytest.raises(JSONError, match=f"more than {MOST_VALUES} values"):
        loads_strictly(REFUSED[name])


@pytest.mark.parametrize("name", [name for name in REFUSED if name.startswith("too deep")])
def test_depth_is_refused_before_anything_is_made_of_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatmock.jsontext._strict", None)
    with pytest.raises(JSONError, match=f"more than {MOST_DEPTH} levels"):
        loads_strictly(REFUSED[name])


@pytest.mark.parametrize(("body", "value"), TAKEN.values(), ids=TAKEN.keys())
def test_taken(body: bytes, value: Any) -> None:
    assert loads_strictly(body) == (json.loads(body) if value is None else value)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=4), st.booleans())
def test_what_others_write_is_read(value: dict[str, Any], ascii_only: bool) -> None:
    for written in (value, {"a": [value, [[]] * MOST_DEPTH]}):
        assert loads_strictly(json.dumps(written, ensure_ascii=ascii_only).encode()) == written


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(data: bytes) -> None:
    said = ""
    try:
        value = loads_strictly(b'{"a":' + data)
    except JSONError as error:
        value, said = {}, str(error)
    assert isinstance(value, dict)
    assert len(said) < 200
