"""The grammar of calls against text that is nearly markup: nothing leaks, nothing is lost, at any split."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.providers.qwen.object_scanner import ObjectScanner
from chatmock.providers.qwen.tool_markup import (
    CLOSE,
    OPEN,
    Broken,
    Call,
    CallTooLarge,
    Piece,
    Prose,
    ToolMarkup,
)
from chatmock.providers.qwen.tool_tags import TagScanner
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
    return "".join(piece.source if isinstance(piece, Call) else piece.text for piece in pieces)


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
        "<tool_call >{}</tool_call>",
        "<TOOL_CALL>{}</TOOL_CALL>",
        "<tool_call>f(1)</tool_call>",
        "<tool_call>[]</tool_call>",
        "<tool_call>{}</tool_call>",
        "<tool_call>{'name':'f','arguments':{}}</tool_call>",
        '<tool_call>{"a": [1,]}</tool_call>',
        "<tool_call><b>x</b></tool_call>",
        "<tool_call>\n<function>f</function></tool_call>",
    ],
)
def test_what_is_no_call_comes_out_as_it_was_written(text: str, sizes: Sequence[int]) -> None:
    assert read(text, sizes) == [Prose(text)]


NOT_JSON, HALF, NO_CALL = (
    "it is not strict JSON",
    "it ends half-way",
    'it needs a "name" and an object as its "arguments"',
)
NOT_CLOSED = "</tool_call> does not follow right behind it"
NOT_TAGS = "its tags are not as they should be"


@pytest.mark.parametrize("sizes", [(), (1,), (3,)])
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"name": "f", "arguments": {"a": 1,}}</tool_call>', NOT_JSON),
        ('{"name": "f", "arguments": {...}}</tool_call>', NOT_JSON),
        ('{"arguments": {"a": 1}, name: "f"}</tool_call>', NOT_JSON),
        ('{"name":"f","arguments":{}}}</tool_call>', NOT_CLOSED),
        ('{"name":"f","arguments":{}</tool_call>', NOT_JSON),
        ('{"name":"f","arguments":{}} then', NOT_CLOSED),
        ('{"name":"f","arguments":{}}<tool_call>', NOT_CLOSED),
        ('{"id":1,"name":"f","arguments":{"é":"\n"}}</tool_call>', NOT_JSON),
        ('{"name":"","arguments":{}}</tool_call>', NO_CALL),
        ('{"name":1,"arguments":{}}</tool_call>', NO_CALL),
        ('{"name":"f","arguments":[]}</tool_call>', NO_CALL),
        ('{"name":"f","arguments":"no"}</tool_call>', NO_CALL),
        ('{"name":"f","arguments":{"a":"\\ud800"}}</tool_call>', NO_CALL),
        ('{"name":"f","arguments":{"a":', HALF),
        ('{"name":"f","arguments":{"a":"</tool_call>', HALF),
        ('{"na', HALF),
        (' { "', HALF),
        ("{", HALF),
        ("\n<func", HALF),
        ("<function=f", HALF),
        ("<function=f><parameter=a>\nx</parameter>", HALF),
        ("<function=f><parameter=a>\n</tool_call>", HALF),
        ("<function=>x</tool_call>", NOT_TAGS),
        ("<function=f\n></tool_call>", NOT_TAGS),
        ("<function=f>x</function></tool_call>", NOT_TAGS),
        ("<function=f><parameter=a<b>x</parameter></function></tool_call>", NOT_TAGS),
        ("<function=f></function> then", NOT_CLOSED),
        (f"<function={'f' * 257}></function></tool_call>", NOT_TAGS),
    ],
)
def test_a_call_that_was_meant_and_is_none(text: str, fault: str, sizes: Sequence[int]) -> None:
    pieces = read(f"Look: {OPEN}{text}", sizes)
    assert written(pieces) == f"Look: {OPEN}{text}"
    assert pieces[0] == Prose("Look: ")
    assert isinstance(pieces[1], Broken)
    assert pieces[1].fault == fault


@pytest.mark.parametrize("sizes", [(), (1,), (4, 9)])
@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("<function=f></function>", []),
        ("\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n", [("a", "1")]),
        ("<function=f><parameter=a>1</parameter><parameter=b> 2 </parameter></function>", [("a", "1"), ("b", " 2 ")]),
        ("<function=f><parameter=a>\r\nx\r\ny\r\n</parameter></function>", [("a", "x\r\ny")]),
        ("<function=f><parameter=a>\n\n</parameter></function>", [("a", "")]),
        ("<function=f><parameter=a></parameter></function>", [("a", "")]),
        ("<function= f ><parameter= a b >é<</</parameter></function>", [("a b", "é<</")]),
        ("<function=f><parameter=a>x</parameter></parameter> <b></parameter>\n </function>", [("a", "x</parameter></parameter> <b>")]),
        ("<function=f><parameter=a></function></tool_call></parameter></function>", [("a", "</function></tool_call>")]),
        ("<function=f><parameter=a></parameter</parameter></function>", [("a", "</parameter")]),
    ],
)  # fmt: skip
def test_the_form_with_tags(text: str, parameters: list[tuple[str, str]], sizes: Sequence[int]) -> None:
    source = f"{OPEN}{text}{CLOSE}"
    assert read(f"a{source}b", sizes) == [Prose("a"), Call("f", parameters, source), Prose("b")]
    assert read(source[: -len(CLOSE)], sizes) == [Call("f", parameters, source[: -len(CLOSE)])]


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


class Read:
    """How many characters have been read by scanners."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.chars = 0
        for scanner in (ObjectScanner, TagScanner):
            patch.setattr(scanner, "feed", self._counting(scanner.feed))

    def _counting(self, feed: Callable[[Any, str, int], int]) -> Callable[[Any, str, int], int]:
        def counted(scanner: Any, text: str, start: int = 0) -> int:
            end = feed(scanner, text, start)
            self.chars += end - start
            return end

        return counted


@pytest.mark.parametrize(
    "start",
    [
        "<tool_call>x",
        "<tool_call>{",
        '<tool_call>{"k":"',
        '<tool_call>{"<tool_call>',
        '<tool_call>{"name":"',
        "<tool_call> ",
        "<tool_call><function=f><parameter=a>",
        "<tool_call><function=f></function>",
        "</parameter></fun",
        "<",
    ],
)
def test_hostile_repetition_loses_nothing_and_is_read_twice_at_most(
    start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_by_scanners = Read(monkeypatch)
    text = start * (100_000 // len(start))
    for end in ("", "</parameter></function>x"):
        for sizes in ((), (4,)):
            read_by_scanners.chars = 0
            assert written(read(text + end, sizes)) == text + end
            assert read_by_scanners.chars <= 2 * len(text + end)


@settings(max_examples=150)
@given(texts, splits)
def test_any_text_is_told_whole_and_alike_at_any_split(text: str, sizes: list[int]) -> None:
    whole = read(text)
    assert written(whole) == text
    assert read(text, sizes) == whole


MEANT = re.compile(r'<tool_call>[ \t\r\n]*(?:\{[ \t\r\n]*"(?:name|arguments)"|<function=)')
"""How what a model means as a call begins."""


@settings(max_examples=200)
@given(texts, splits)
def test_no_prose_holds_what_was_meant_as_a_call(text: str, sizes: list[int]) -> None:
    shown = "".join(piece.text if isinstance(piece, Prose) else "\0" for piece in read(text, sizes))
    assert not MEANT.search(shown)


@settings(max_examples=100)
@given(texts, splits)
def test_text_that_means_no_call_is_prose(text: str, sizes: list[int]) -> None:
    text = text.replace('"name', '"nome').replace('"arg', '"org').replace("<func", "<fonc") + "."
    assert read(text, sizes) == [Prose(text)]


@attrs.frozen
class Written:
    """A call as a model may write it."""

    name: str
    arguments: Any
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


@st.composite
def tagged(draw: st.DrawFn) -> Written:
    names = st.text(st.characters(codec="utf-8", exclude_characters="<>\r\n"), min_size=1, max_size=8)
    name = draw(names.filter(str.strip))
    ends = re.compile(r"</parameter>[ \t\r\n]*(<parameter=|</function>|\Z)")
    said = texts.filter(lambda text: not ends.search(text) and text == text.strip("\r\n"))
    parameters = draw(st.lists(st.tuples(names.filter(str.strip), said), max_size=3))
    space, line = draw(st.sampled_from(["", " ", "\n", "\r\n\t"])), draw(st.sampled_from(["", "\n", "\r\n"]))
    inner = "".join(f"<parameter={key}>{line}{text}{line}</parameter>{space}" for key, text in parameters)
    source = f"{OPEN}{space}<function={name}>{space}{inner}</function>{space}{CLOSE}"
    return Written(name.strip(), [(key.strip(), text) for key, text in parameters], source)


broken = st.builds(
    lambda call, at, more: call.source[: -len(CLOSE)][: -at or None] + more + CLOSE,
    calls() | tagged(),
    st.integers(0, 3),
    st.sampled_from(["}", ",", "<", "x", '"', "]"]),
).filter(
    lambda text: any(isinstance(piece, Broken) for piece in read(text)) and MEANT.match(text) is not None
)
"""Calls with something wrong at their end."""


@settings(max_examples=100)
@given(st.lists(st.tuples(prose, calls() | tagged()), max_size=4), prose, splits)
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


@settings(max_examples=100)
@given(prose, broken, prose, splits)
def test_nothing_of_a_broken_call_is_taken_for_prose_before_it_is_told(
    before: str, wrong: str, after: str, sizes: list[int]
) -> None:
    pieces = read(before + wrong + after, sizes)
    assert written(pieces) == before + wrong + after
    first = next(piece for piece in pieces if not isinstance(piece, Prose))
    assert isinstance(first, Broken)
    assert "".join(piece.text for piece in pieces[: pieces.index(first)]) == before
