"""The grammar of calls against text that is nearly markup: nothing leaks, nothing is lost, at any split."""

from __future__ import annotations

import json
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.providers.qwen.tool_markup import CLOSE, OPEN, Call, CallTooLarge, Piece, Prose, ToolMarkup
from tests.providers.qwen.asking import objects, texts

CALL = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'


def read(text: str, sizes: Sequence[int] = (), limit: int = 1 << 20) -> list[Piece]:
    """The pieces of *text*, fed in pieces of *sizes* over and over; whole without any."""
    return joined([piece for step in steps(text, sizes, limit) for piece in step])


def steps(text: str, sizes: Sequence[int] = (), limit: int = 1 << 20) -> list[list[Piece]]:
    """What each piece of *text* brings, and its end."""
    markup, out, start = ToolMarkup(limit), [], 0
    for size in [*sizes, *([sizes[-1]] * len(text) if sizes else [len(text)])]:
        out.append(markup.feed(text[start : start + size]))
        start += size
    return [*out, markup.close()]


def joined(pieces: Sequence[Piece]) -> list[Piece]:
    """*pieces* with neighbouring prose put together."""
    out: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Prose) and out and isinstance(out[-1], Prose):
            out[-1] = Prose(out[-1].text + piece.text)
        else:
            out.append(piece)
    return out


def written(pieces: Sequence[Piece]) -> str:
    """*pieces* as the model wrote them."""
    return "".join(piece.text if isinstance(piece, Prose) else piece.source for piece in pieces)


splits = st.lists(st.integers(1, 40), max_size=6)


@pytest.mark.parametrize("sizes", [(), (1,), (2,), (7, 1)])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("Hello.", [Prose("Hello.")]),
        (CALL, [Call("f", '{"a": 1}', CALL)]),
        (f"a {CALL}\n{CALL} b", [Prose("a "), Call("f", '{"a": 1}', CALL), Prose("\n"), Call("f", '{"a": 1}', CALL), Prose(" b")]),
        ('<tool_call>\n {"name":"f"}\n</tool_call>', [Call("f", "{}", '<tool_call>\n {"name":"f"}\n</tool_call>')]),
        ('<tool_call>{"id":7,"arguments":{},"name":"f"}</tool_call>', [Call("f", "{}", '<tool_call>{"id":7,"arguments":{},"name":"f"}</tool_call>')]),
        ('<tool_call>{"name":"f","arguments":"{\\"a\\":1}"}</tool_call>', [Call("f", '{"a":1}', '<tool_call>{"name":"f","arguments":"{\\"a\\":1}"}</tool_call>')]),
        ('<tool_call>{"name":"f","arguments":{"a":"</tool_call>}"}}</tool_call>', [Call("f", '{"a":"</tool_call>}"}', '<tool_call>{"name":"f","arguments":{"a":"</tool_call>}"}}</tool_call>')]),
        (f"<tool_call>{CALL}", [Prose("<tool_call>"), Call("f", '{"a": 1}', CALL)]),
        (f"Write `<tool_call>` like {CALL}", [Prose("Write `<tool_call>` like "), Call("f", '{"a": 1}', CALL)]),
        (f"<tool_call>{{{CALL}", [Prose("<tool_call>{"), Call("f", '{"a": 1}', CALL)]),
        ('<tool_call>{"a":"' + CALL, [Prose('<tool_call>{"a":"'), Call("f", '{"a": 1}', CALL)]),
    ],
)  # fmt: skip
def test_calls_and_prose(text: str, wanted: list[Piece], sizes: Sequence[int]) -> None:
    assert read(text, sizes) == wanted


@pytest.mark.parametrize("sizes", [(), (1,), (3,)])
@pytest.mark.parametrize(
    "text",
    [
        "<tool_call",
        "<tool_call>",
        "a < b <tool <tool_call",
        "</tool_call>",
        "```\n<tool_call>{...}</tool_call>\n```",
        '<tool_call>{"name": "f", "arguments": {...}}</tool_call>',
        "<tool_call >{}</tool_call>",
        "<TOOL_CALL>{}</TOOL_CALL>",
        "<tool_call>f(1)</tool_call>",
        "<tool_call>[]</tool_call>",
        "<tool_call>{}</tool_call>",
        '<tool_call>{"name":"","arguments":{}}</tool_call>',
        '<tool_call>{"name":1,"arguments":{}}</tool_call>',
        '<tool_call>{"name":"f","arguments":[]}</tool_call>',
        '<tool_call>{"name":"f","arguments":"no"}</tool_call>',
        '<tool_call>{"name":"f","arguments":{"a":"\\ud800"}}</tool_call>',
        "<tool_call>{'name':'f','arguments':{}}</tool_call>",
        '<tool_call>{"name":"f","arguments":{}}}</tool_call>',
        '<tool_call>{"name":"f","arguments":{}} then',
        '<tool_call>{"name":"f","arguments":{}}</tool_call',
        '<tool_call>{"name":"f","arguments":{"a":',
        '<tool_call>{"name":"f","arguments":{"a":"</tool_call>',
    ],
)
def test_what_is_no_call_comes_out_as_it_was_written(text: str, sizes: Sequence[int]) -> None:
    unterminated = text.endswith("</tool_call")
    pieces = read(text, sizes)
    assert written(pieces) == text
    assert any(isinstance(piece, Call) for piece in pieces) == unterminated


@pytest.mark.parametrize("end", ["", " ", "\n<", "</tool_call"])
def test_at_the_end_the_closing_tag_may_be_missing(end: str) -> None:
    text = '<tool_call>{"name":"f","arguments":{}}' + end
    assert read(text, (5,)) == [Call("f", "{}", text)]


def test_text_is_let_go_as_soon_as_it_is_no_call() -> None:
    assert steps("a <b <tool_c", (3, 3, 20))[:3] == [[Prose("a ")], [Prose("<b ")], []]
    assert joined(steps("<tool_call>` is", (11, 1))[1]) == [Prose("<tool_call>`")]


def test_a_call_is_bounded_but_prose_is_not() -> None:
    assert written(read("x" * 5000, (100,), limit=50)) == "x" * 5000
    large = '<tool_call>{"name":"f","arguments":{"a":"' + "x" * 50
    for sizes in ((), (1,)):
        with pytest.raises(CallTooLarge):
            read(large, sizes, limit=50)
    with pytest.raises(CallTooLarge):
        read(OPEN + " " * 60, (7,), limit=50)


@pytest.mark.parametrize(
    "start",
    ["<tool_call>x", "<tool_call>{", '<tool_call>{"k":"', '<tool_call>{"<tool_call>', "<tool_call> ", "<"],
)
def test_hostile_repetition_loses_nothing(start: str) -> None:
    text = start * (100_000 // len(start))
    for sizes in ((), (4,)):
        assert written(read(text, sizes)) == text


@settings(max_examples=150)
@given(texts, splits)
def test_any_text_is_told_whole_and_alike_at_any_split(text: str, sizes: list[int]) -> None:
    whole = read(text)
    assert written(whole) == text
    assert read(text, sizes) == whole


@settings(max_examples=100)
@given(texts, splits)
def test_text_without_a_whole_call_is_prose(text: str, sizes: list[int]) -> None:
    text = text.replace('"name"', '"nome"') + "."
    assert "".join(piece.text for piece in read(text, sizes) if isinstance(piece, Prose)) == text


@attrs.frozen
class Written:
    """A call as a model may write it."""

    name: str
    arguments: str
    source: str


@st.composite
def calls(draw: st.DrawFn) -> Written:
    name = draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8))
    ascii = draw(st.booleans())
    arguments = json.dumps(draw(objects), ensure_ascii=ascii, indent=draw(st.sampled_from([None, 1])))
    space = draw(st.sampled_from(["", " ", "\n", "\r\n\t"]))
    body = f'{{{space}"name":{space}{json.dumps(name, ensure_ascii=ascii)}, "arguments": {arguments}{space}}}'
    return Written(name, arguments, f"{OPEN}{space}{body}{space}{CLOSE}")


prose = st.lists(
    st.sampled_from(["a", "<", "<b>", "{}", '"', "```\n", "é", "</tool_call>", "<tool_", "\\"]), max_size=4
).map("".join)


@settings(max_examples=100)
@given(st.lists(st.tuples(prose, calls()), max_size=4), prose, splits)
def test_calls_in_prose_all_come_and_nothing_of_them_is_shown(
    turns: list[tuple[str, Written]], last: str, sizes: list[int]
) -> None:
    text = "".join(said + call.source for said, call in turns) + last
    shown, made = "", []
    marks = "".join(said for said, _ in turns) + last
    for step in steps(text, sizes):
        for piece in step:
            if isinstance(piece, Prose):
                shown += piece.text
            else:
                made.append(Written(piece.name, piece.arguments, piece.source))
        assert marks.startswith(shown)
    assert shown == marks
    assert made == [call for _, call in turns]
