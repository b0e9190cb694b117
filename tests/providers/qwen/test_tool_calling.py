"""Text turned into prose and calls, as events."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.conversation import Tool, ToolChoice
from chatmock.errors import Kind, truncated
from chatmock.events import (
    Annotation,
    Event,
    EventOrder,
    Failed,
    Finished,
    Opened,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from chatmock.providers.output_limits import LimitedDecoder
from chatmock.providers.qwen import tool_calling
from chatmock.providers.qwen.tool_calling import ToolCallingDecoder
from tests.providers.qwen.asking import WEATHER, texts

WEATHER_TOOL, CLOCK = Tool("weather", "", WEATHER), Tool("clock", "", {})
STRICT = attrs.evolve(WEATHER_TOOL, strict=True)
ROME = '<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>'
NOW = '<tool_call>{"name": "clock", "arguments": {}}</tool_call>'
WRONG = '<tool_call>{"name": "weather", "arguments": {"city": 5}}</tool_call>'
TAGGED = "<tool_call>\n<function=weather>\n<parameter=city>\nRome\n</parameter>\n</function>\n</tool_call>"
COMMA = '<tool_call>{"name": "weather", "arguments": {"city": "Rome",}}</tool_call>'
HALF = '<tool_call>{"name": "weather", "arguments": {"city": "Ro'
UNKNOWN = '<tool_call>{"name": "shell", "arguments": {}}</tool_call>'
AUTO, REQUIRED, NAMED = ToolChoice(), ToolChoice("required"), ToolChoice("named", "weather")
USED, STOP = Usage(1, 2), Finished(("stop",))


class Played:
    """A decoder that gives one event for each byte it is fed."""

    records = 0

    def __init__(self, events: Sequence[Event], usage: Usage | None = None) -> None:
        self._events = list(events)
        self.usage = usage

    def feed(self, data: bytes) -> list[Event]:
        taken, self._events = self._events[: len(data)], self._events[len(data) :]
        return taken

    def close(self) -> list[Event]:
        return []


def run(
    events: Sequence[Event],
    choice: ToolChoice = AUTO,
    parallel: bool = True,
    tools: Sequence[Tool] = (WEATHER_TOOL, CLOCK),
    used: Usage | None = None,
    streamed: bool = True,
) -> list[Event]:
    decoder = ToolCallingDecoder(Played(events, used), tools, choice, parallel, "call_x_", streamed)
    out: list[Event] = []
    for _ in range(len(events) + 1):
        out.extend(decoder.feed(b"x"))
    out.extend(decoder.close())
    EventOrder().check(out)
    return out


def answer(text: str, size: int = 7) -> list[Event]:
    pieces = [TextDelta(text[start : start + size]) for start in range(0, len(text), size)]
    return [Opened(), *pieces, USED, STOP]


def told(events: Sequence[Event]) -> list[Any]:
    """Prose as strings put together, calls as index, name and arguments, and how it ended."""
    out: list[Any] = []
    for event in events:
        match event:
            case TextDelta(text):
                if out and isinstance(out[-1], str):
                    out[-1] += text
                else:
                    out.append(text)
            case ToolCallDelta(index, id, name, arguments):
                assert id == f"call_x_{index}"
                out.append((index, name, json.loads(arguments)))
            case Finished(reasons, cut):
                out.append((*reasons, cut))
            case Failed(refusal):
                assert refusal.kind is Kind.UPSTREAM_FAILED
                out.append(refusal.code)
    return out


CALLED, DONE, CUT = ("tool_calls", False), ("stop", False), ("tool_calls", True)
A_ROME: Any = (0, "weather", {"city": "Rome"})
B_NOW: Any = (1, "clock", {})
NO_CALL, INVALID = "upstream_no_tool_call", "upstream_invalid_tool_call"


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", [DONE]),
        (" \n", [" \n", DONE]),
        ("\n Hello <tool_call> there", ["\n Hello <tool_call> there", DONE]),
        (ROME, [A_ROME, CALLED]),
        (f"\n\n{ROME}\n \n{NOW}\n", [A_ROME, B_NOW, CALLED]),
        (f"Let me look. {ROME}\nand {NOW}", ["Let me look. ", A_ROME, "\nand ", B_NOW, CALLED]),
        (TAGGED, [A_ROME, CALLED]),
        (TAGGED.removesuffix("</tool_call>"), [A_ROME, CALLED]),
        (ROME.replace("weather", "Weather"), [A_ROME, CALLED]),
        (TAGGED.replace("weather", "WEATHER"), [A_ROME, CALLED]),
        (ROME.removesuffix("</tool_call>"), [A_ROME, CALLED]),
        (f'{ROME}\n<tool_response id="x">\nSunny\n</tool_response>\nIt is sunny.', [A_ROME, CUT]),
        (f"{ROME}\n<tool_resp", [A_ROME, "\n<tool_resp", CALLED]),
        (f"{ROME}\n<tool_respite", [A_ROME, "\n<tool_respite", CALLED]),
        ("<tool_response> is a tag", ["<tool_response> is a tag", DONE]),
    ],
)
def test_auto(text: str, wanted: list[Any], size: int) -> None:
    assert told(run(answer(text, size))) == wanted


@pytest.mark.parametrize("choice", [REQUIRED, NAMED])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (ROME, [A_ROME, CALLED]),
        (f"Sure: {ROME}", [A_ROME, CALLED]),
        (f"Sure: {ROME} Done.", [A_ROME, " Done.", CALLED]),
        ("I will not.", [NO_CALL]),
        ("", [NO_CALL]),
        (f"Sure: {TAGGED}", [A_ROME, CALLED]),
        (f"{UNKNOWN} {ROME}", [NO_CALL]),
        (f"{ROME} {UNKNOWN}", [A_ROME, INVALID]),
        (UNKNOWN, [NO_CALL]),
        (COMMA, [NO_CALL]),
        (f"Hm. {HALF}", [NO_CALL]),
        (f"{ROME} {COMMA}", [A_ROME, INVALID]),
        (f"Hm. {WRONG}", [NO_CALL]),
        (f"{ROME}{WRONG}", [A_ROME, (1, "weather", {"city": 5}), CALLED]),
    ],
)
def test_forced(text: str, wanted: list[Any], choice: ToolChoice) -> None:
    assert told(run(answer(text), choice)) == wanted


def test_only_the_named_tool_counts() -> None:
    assert told(run(answer(NOW), NAMED)) == [NO_CALL]
    assert told(run(answer(f"{ROME}{NOW}"), NAMED)) == [A_ROME, INVALID]


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"Let me look. {UNKNOWN}", ["Let me look. ", INVALID]),
        (f"Let me look. {UNKNOWN} Then: {ROME}", ["Let me look. ", INVALID]),
        (f"{ROME} {UNKNOWN}", [A_ROME, INVALID]),
        (f"So: ``` not a fence ``` {UNKNOWN}", ["So: ``` not a fence ``` ", INVALID]),
        (f"It is\n```\n{UNKNOWN}\n```\nOk?", [f"It is\n```\n{UNKNOWN}\n```\nOk?", DONE]),
        (f"```xml\n{UNKNOWN}\n```\n{UNKNOWN}", [f"```xml\n{UNKNOWN}\n```\n", INVALID]),
        (f"Write `{UNKNOWN}` for it.", [f"Write `{UNKNOWN}` for it.", DONE]),
        (f"```\n{ROME}\n```", ["```\n", A_ROME, "\n```", CALLED]),
        (f"```\n{TAGGED}\n```", ["```\n", A_ROME, "\n```", CALLED]),
        (f"I look. {COMMA}", ["I look. ", INVALID]),
        (f"I look. {HALF}", ["I look. ", INVALID]),
        (f"{ROME}\n{HALF}", [A_ROME, INVALID]),
        ("I look. <tool_call><function=weather>city: Rome</tool_call>", ["I look. ", INVALID]),
        (f"Write `{COMMA}` for it.", [f"Write `{COMMA}` for it.", DONE]),
        (f"As in\n```\n{HALF}...\n```\n", [f"As in\n```\n{HALF}...\n```\n", DONE]),
        (f"`{HALF}", [f"`{HALF}", DONE]),
        ('`<tool_call><function=f` or `{"name": "f"`', ['`<tool_call><function=f` or `{"name": "f"`', DONE]),
    ],
)
def test_markup_is_shown_in_code_alone(text: str, wanted: list[Any], size: int) -> None:
    assert told(run(answer(text, size))) == wanted


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (UNKNOWN, "there is no tool 'shell'"),
        (f"\n\n{UNKNOWN}\n{ROME}", "there is no tool 'shell'"),
        (TAGGED.replace("weather", "shell"), "there is no tool 'shell'"),
        (COMMA, "it is not strict JSON"),
        (HALF, "it ends half-way"),
        ("<tool_call><function=weather", "it ends half-way"),
        (WRONG, "$.city: does not fit 'type': \"string\""),
        (ROME.replace("city", "town"), "$: 'city' is required and missing"),
        (TAGGED.replace("city", "town"), "$: 'city' is required and missing"),
    ],
)
def test_before_anything_is_given_a_call_that_cannot_be_used_can_be_asked_for_again(
    text: str, fault: str, size: int
) -> None:
    (failed,) = run(answer(text, size))
    assert isinstance(failed, Failed)
    assert failed.refusal.code == INVALID
    assert failed.refusal.more == {tool_calling.FAULT: fault}
    assert fault in failed.refusal.message


@pytest.mark.parametrize("before", [TextDelta("Look. "), ReasoningDelta("hm"), TextDelta(ROME)])
def test_arguments_are_not_checked_where_it_would_change_nothing(
    before: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    monkeypatch.setattr(tool_calling, "fault", lambda *call: checked.append(call))
    out = run([Opened(), before, TextDelta(WRONG), STOP])
    assert told(out)[-2:] == [(before == TextDelta(ROME), "weather", {"city": 5}), CALLED]
    assert len(checked) == (before == TextDelta(ROME))


@pytest.mark.parametrize("wrong", [WRONG, COMMA, UNKNOWN, HALF])
def test_for_a_client_that_waits_for_all_of_it_every_call_is_checked(wrong: str) -> None:
    out = run([Opened(), ReasoningDelta("hm"), *answer(f"Look. {ROME}{wrong}")[1:]], streamed=False)
    assert isinstance(out[-1], Failed)
    assert out[-1].refusal.code == INVALID


def test_a_name_in_other_letters_must_be_the_only_one() -> None:
    tools = [WEATHER_TOOL, attrs.evolve(CLOCK, name="Weather")]
    assert told(run(answer(ROME.replace("weather", "Weather")), tools=tools)) == [
        (0, "Weather", {"city": "Rome"}),
        CALLED,
    ]
    assert told(run(answer(ROME), tools=tools)) == [A_ROME, CALLED]
    assert told(run(answer(ROME.replace("weather", "WEATHER")), tools=tools)) == [INVALID]


def test_a_made_up_name_is_told_in_few_words() -> None:
    long = json.dumps({"name": "x" * 5000, "arguments": {}})
    (failed,) = run(answer(f"<tool_call>{long}</tool_call>", 1000))
    assert isinstance(failed, Failed)
    assert len(failed.refusal.message) < 500


def test_thinking_and_a_made_up_call_are_no_answer() -> None:
    thought = ReasoningDelta("I shall use the shell.")
    out = run([Opened(), thought, TextDelta(f"{UNKNOWN} Done."), USED, STOP])
    assert out[:2] == [Opened(), thought]
    assert told(out) == [INVALID]


def test_a_forced_call_that_is_made_up_is_told() -> None:
    (failed,) = run(answer(UNKNOWN), REQUIRED)
    assert isinstance(failed, Failed)
    assert "there is no tool 'shell'" in failed.refusal.message


def test_nothing_of_a_forced_answer_is_given_before_its_call() -> None:
    out = run(answer("Why should I call anything?"), REQUIRED)
    assert not any(isinstance(event, TextDelta) for event in out)


def test_prose_before_a_forced_call_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_calling, "_WITHHELD_LIMIT", 20)
    assert told(run(answer("la " * 10 + ROME), REQUIRED)) == [NO_CALL]


@pytest.mark.parametrize("choice", [AUTO, REQUIRED])
def test_a_strict_tool_gets_no_wrong_arguments(choice: ToolChoice) -> None:
    code = INVALID if choice is AUTO else NO_CALL
    decoder = ToolCallingDecoder(Played(answer(WRONG)), [STRICT], choice, True, "call_x_")
    out = decoder.feed(b"x" * 100)
    assert told(out) == [code]
    assert decoder.fault == "$.city: does not fit 'type': \"string\""
    assert decoder.feed(b"x") == ()
    assert told(run(answer(ROME + WRONG), choice, tools=[STRICT])) == [A_ROME, INVALID]


@pytest.mark.parametrize("choice", [AUTO, REQUIRED])
def test_one_call_only(choice: ToolChoice) -> None:
    for more in (NOW, f"\n{NOW} bye", "\nDone.", UNKNOWN, "<tool_call>"):
        out = run(answer(f"Look: {ROME}{more}"), choice, parallel=False)
        assert told(out) == [*(["Look: "] if choice is AUTO else []), A_ROME, CUT]
        assert USED not in out


@pytest.mark.parametrize(("stop", "most"), [(["END"], None), ((), 1)])
def test_neither_a_stop_sequence_nor_a_limit_takes_a_forced_call(
    stop: Sequence[str], most: int | None
) -> None:
    inner = ToolCallingDecoder(
        Played(answer(f"I have to call, END of it. {NOW}")), [CLOCK], REQUIRED, True, "call_x_"
    )
    limited = LimitedDecoder(inner, stop, most)
    assert told(limited.feed(b"x" * 100)) == [(0, "clock", {}), CALLED]


def test_an_answer_that_is_cut_has_the_counts_so_far() -> None:
    for text in (f"{ROME}{NOW}", f'{ROME}<tool_response id="1">'):
        out = run(answer(text), parallel=False, used=Usage(5, 6))
        assert out[-2:] == [Usage(5, 6), Finished(("tool_calls",), cut=True)]


@pytest.mark.parametrize("choice", [AUTO, REQUIRED])
def test_one_call_that_nothing_follows_is_not_cut(choice: ToolChoice) -> None:
    out = run(answer(f"{ROME}\n "), choice, parallel=False)
    assert told(out) == [A_ROME, CALLED]
    assert USED in out


def test_a_call_that_is_too_large_fails() -> None:
    out = run(answer('<tool_call>{"name": "clock", "arguments": {"a": "' + "x" * (1 << 20), 1 << 16))
    assert told(out) == [INVALID]


def test_thinking_and_citations_pass_as_they_are() -> None:
    thought, cited = ReasoningDelta(ROME), Annotation({"a": 1})
    out = run([Opened(), thought, TextDelta("<tool_c"), cited, TextDelta("ake>"), USED, STOP])
    assert out == [Opened(), thought, cited, TextDelta("<tool_cake>"), USED, STOP]


def test_held_text_comes_before_the_counts() -> None:
    assert run(answer("a <tool"))[-3:] == [TextDelta("<tool"), USED, STOP]


def test_another_reason_stays() -> None:
    out = run([Opened(), TextDelta(ROME), Finished(("length",), cut=True)])
    assert told(out) == [A_ROME, ("length", True)]


@pytest.mark.parametrize("choice", [AUTO, REQUIRED])
def test_a_failure_passes_and_half_a_call_is_not_made_whole(choice: ToolChoice) -> None:
    failed = Failed(truncated("x"))
    out = run([Opened(), TextDelta(ROME.removesuffix("</tool_call>")), failed], choice)
    assert out == [failed]


def test_before_a_forced_call_nothing_is_given_not_even_the_thinking() -> None:
    before: list[Event] = [Opened(), ReasoningDelta("hm"), Annotation({"a": 1}), TextDelta("I look. ")]
    end: list[Event] = [Usage(1, 1), Finished(("stop",))]
    assert [type(event) for event in run([*before, *end], REQUIRED)] == [Failed]
    called = run([*before, TextDelta(ROME), *end], REQUIRED)
    assert called[:3] == before[:3]
    assert isinstance(called[-3], ToolCallDelta)


GOOD = [ROME, NOW, TAGGED, ROME.replace("weather", "Weather")]
BAD = [
    UNKNOWN,
    COMMA,
    TAGGED.replace("</function>", "</func>"),
    '<tool_call>{"arguments": {"a": {"b": "}"}]}',
]
MEANT = re.compile(r'<tool_call>[ \t\r\n]*(?:\{[ \t\r\n]*"(?:name|arguments)"|<function=)')
"""How what a model means as a call begins."""


@settings(max_examples=80)
@given(
    st.lists(st.tuples(texts, st.sampled_from(GOOD)), max_size=3),
    texts,
    st.none() | st.sampled_from(BAD),
    st.integers(1, 30),
)
def test_no_call_and_no_prose_is_lost_and_no_markup_shown(
    turns: list[tuple[str, str]], last: str, bad: str | None, size: int
) -> None:
    clean = [(f"{_plain(said)}.", call) for said, call in turns]
    last = f"{_plain(last)}."
    out = told(run(answer("".join(said + call for said, call in clean) + last + (bad or ""), size)))
    prose = "".join(each for each in out if isinstance(each, str) and each != INVALID)
    assert prose == "".join(said for said, _ in clean) + last
    assert [each[1] for each in out if isinstance(each, tuple) and len(each) == 3] == [
        "clock" if call is NOW else "weather" for _, call in clean
    ]
    assert (out[-1] == INVALID) == (bad is not None)


@settings(max_examples=150)
@given(texts, st.sampled_from(["", ROME, TAGGED]), texts, st.integers(1, 30))
def test_whatever_the_text_no_call_is_shown_and_an_answer_that_ends_well_is_whole(
    before: str, call: str, after: str, size: int
) -> None:
    text = re.sub("[`~]", "", before + call + after)
    out = run(answer(text, size))
    shown = [each for each in told(out) if isinstance(each, str)]
    assert not any(MEANT.search(each) for each in shown)
    if isinstance(out[-1], Finished) and not out[-1].cut:
        calls = sum(isinstance(event, ToolCallDelta) for event in out)
        assert "".join(shown) == text or calls


def _plain(text: str) -> str:
    """*text* with neither calls nor code."""
    return text.replace("tool_", "tool-").replace("`", "'").replace("~", "-")
