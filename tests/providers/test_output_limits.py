"""Stop sequences and the output limit, cut out of any stream of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.conversation import ChatRequest, Message, Text
from chatmock.events import (
    Event,
    EventOrder,
    Failed,
    Finished,
    FinishReason,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from chatmock.providers.openai_decoder import ChatDecoder
from chatmock.providers.openai_differences import Differences
from chatmock.providers.output_limits import (
    BYTES_PER_TOKEN,
    LimitedDecoder,
    kept_to,
    limit_notes,
    limited,
    stop_notes,
)
from chatmock.providers.responses_decoder import ResponsesDecoder
from chatmock.providers.token_count import count_tokens
from tests.chunks import chunk, record


class Played:
    """A decoder that gives one event for each byte it is fed."""

    def __init__(self, events: Sequence[Event], usage: Usage | None = None) -> None:
        self._events = list(events)
        self.usage = usage

    records = 0

    def feed(self, data: bytes) -> list[Event]:
        self.records += len(data)
        taken, self._events = self._events[: len(data)], self._events[len(data) :]
        return taken

    def close(self) -> list[Event]:
        return []


def run(
    events: Sequence[Event],
    stop: Sequence[str] = (),
    max_tokens: int | None = None,
    step: int = 1,
    usage: Usage | None = None,
) -> list[Event]:
    decoder = LimitedDecoder(Played(events, usage), stop, max_tokens)
    out: list[Event] = []
    for _ in range(0, len(events) + step, step):
        out.extend(decoder.feed(b"x" * step))
    out.extend(decoder.close())
    EventOrder().check(out)
    return out


def answer(*texts: str) -> list[Event]:
    return [Opened(), *map(TextDelta, texts), Usage(1, 2), Finished(("stop",))]


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_nothing_to_enforce_changes_nothing() -> None:
    events = answer("one", " two")
    assert run(events) == events


@pytest.mark.parametrize("texts", [("one END two",), ("one E", "ND two"), ("one ", "E", "N", "D", "x")])
def test_the_text_ends_before_a_stop_sequence(texts: Sequence[str]) -> None:
    out = run(answer(*texts), ["END"])
    assert text(out) == "one "
    assert out[-1] == Finished(("stop",), cut=True, stop="END")
    assert not any(isinstance(event, Usage) for event in out)


@pytest.mark.parametrize(("stop", "most", "reason"), [(["END"], None, "stop"), ((), 1, "length")])
def test_a_cut_answer_has_the_counts_so_far(
    stop: Sequence[str], most: int | None, reason: FinishReason
) -> None:
    out = run(answer("one END two"), stop, most, usage=Usage(7, 8))
    assert out[-2:] == [Usage(7, 8), Finished((reason,), cut=True, stop="END" if stop else None)]
    whole = run(answer("one"), stop, most, usage=Usage(7, 8))
    assert whole[-2:] == [Usage(1, 2), Finished(("stop",))]


@pytest.mark.parametrize(
    ("stop", "most", "told"), [(["END"], None, 1), (["two"], None, 2), ((), 2, 2), (["é"], None, 3)]
)
def test_a_cut_answer_without_counts_has_estimates(stop: Sequence[str], most: int | None, told: int) -> None:
    chat = ChatRequest("m", (Message("user", (Text("a" * 400),)),), stop=tuple(stop))
    decoder = limited(Played(answer("one END two ", "é")), chat, most)
    out = list(decoder.feed(b"x" * 9))
    assert out[-2] == Usage(count_tokens(chat), told)
    assert limited(Played([], Usage(7, 8)), chat, most).usage == Usage(7, 8)
    whole = list(limited(Played(answer("one")), chat, most).feed(b"x" * 9))
    assert whole[-2] == Usage(1, 2)


def test_arguments_are_in_the_estimate() -> None:
    chat = ChatRequest("m", (), stop=("END",))
    out = list(limited(Played([Opened(), BEGUN, GOES_ON, TextDelta("END")]), chat, None).feed(b"x" * 9))
    assert out[-2] == Usage(0, 3)


def test_what_is_kept_to_here_is_told() -> None:
    chat = ChatRequest("m", (), stop=("a",), max_tokens=3)
    estimate = {"X-Chatmock-Estimate": "usage, where a stop sequence ends the answer"}
    assert stop_notes(chat) == estimate
    assert limit_notes(chat) == {**estimate, "x-chatmock-max-tokens": kept_to(3)}
    assert limit_notes(ChatRequest("m", ())) == {}
    played = Played([])
    assert limited(played, ChatRequest("m", ()), None) is played


def test_what_only_began_like_one_is_not_lost() -> None:
    out = run(answer("one EN", "OUGH", " EN"), ["END"])
    assert text(out) == "one ENOUGH EN"
    assert out[-2:] == [Usage(1, 2), Finished(("stop",))]


def test_held_text_comes_before_a_tool_call() -> None:
    call = ToolCallDelta(0, "id", "name", "{}")
    out = run([Opened(), TextDelta("a E"), call, Finished(("tool_calls",))], ["END"])
    assert out[-3:] == [TextDelta("E"), call, Finished(("tool_calls",))]


def test_reasoning_is_neither_searched_nor_counted() -> None:
    events = [Opened(), ReasoningDelta("END" * 100), TextDelta("ok"), Finished(("stop",))]
    assert run(events, ["END"], 1) == events


def test_the_output_limit_cuts_text_at_a_character() -> None:
    out = run(answer("aé" * 10), max_tokens=1)
    assert text(out) == "aéa"
    assert out[-1] == Finished(("length",), cut=True)


def test_an_answer_that_just_fits_is_whole() -> None:
    events = answer("x" * BYTES_PER_TOKEN * 3)
    assert run(events, max_tokens=3) == events


BEGUN = ToolCallDelta(0, "i", "n")
GOES_ON = ToolCallDelta(0, arguments="x" * 9)
CALLED = Finished(("tool_calls",))


def test_arguments_are_never_cut() -> None:
    events = [Opened(), BEGUN, GOES_ON, GOES_ON, CALLED]
    assert run(events, max_tokens=2) == events


@pytest.mark.parametrize("then", [ToolCallDelta(1, "j", "n"), TextDelta("a"), RefusalDelta("a")])
def test_arguments_count_and_the_cut_comes_before_what_follows(then: Event) -> None:
    out = run([Opened(), BEGUN, GOES_ON, GOES_ON, then, CALLED], max_tokens=2)
    assert out == [Opened(), BEGUN, GOES_ON, GOES_ON, Finished(("length",), cut=True)]


def test_what_has_room_after_a_call_is_told() -> None:
    events = [Opened(), BEGUN, GOES_ON, TextDelta("abc"), CALLED]
    assert run(events, max_tokens=3) == events


def test_a_refusal_is_counted_and_cut_but_not_searched() -> None:
    events = [Opened(), TextDelta("a E"), RefusalDelta("END of it"), Finished(("stop",))]
    assert run(events, ["END"]) == [Opened(), TextDelta("a "), TextDelta("E"), *events[2:]]
    cut = [RefusalDelta("END o"), Finished(("length",), cut=True)]
    assert run(events, ["END"], 2) == [Opened(), TextDelta("a "), TextDelta("E"), *cut]


def test_the_records_are_those_of_the_decoder_within() -> None:
    decoder = LimitedDecoder(Played(answer("a")), ["x"], None)
    decoder.feed(b"123")
    assert decoder.records == 3
    assert LimitedDecoder(Played([], Usage(1, 2)), ["x"], None).usage == Usage(1, 2)


def test_a_failure_passes() -> None:
    from chatmock.errors import truncated

    failed = Failed(truncated("x"))
    assert run([Opened(), TextDelta("E"), failed], ["END"]) == [Opened(), TextDelta("E"), failed]


@settings(max_examples=150)
@given(
    st.lists(st.text("abé", max_size=4), max_size=12),
    st.lists(st.text("abé", min_size=1, max_size=3), max_size=3),
    st.one_of(st.none(), st.integers(1, 8)),
    st.integers(1, 20),
)
def test_the_cut_is_where_the_whole_text_says(
    texts: list[str], stop: list[str], max_tokens: int | None, step: int
) -> None:
    whole = "".join(texts)
    places = [(whole.find(each) + len(each), whole.find(each), each) for each in stop if each in whole]
    _, cut, met = min(places, default=(0, len(whole), None))
    wanted = whole[:cut]
    out = run(answer(*texts), stop, max_tokens, step)
    if max_tokens is not None and len(wanted.encode()) > max_tokens * BYTES_PER_TOKEN:
        wanted = wanted.encode()[: max_tokens * BYTES_PER_TOKEN].decode(errors="ignore")
        assert out[-1] == Finished(("length",), cut=True)
    else:
        assert out[-1] == Finished(("stop",), cut=bool(places), stop=met)
    assert text(out) == wanted


def test_decoders_tell_the_counts_that_they_have() -> None:
    chat = ChatDecoder("x", Differences("x", "KEY"), 1 << 20)
    counts = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    chat.feed(chunk({"content": "a"}))
    assert chat.usage is None
    chat.feed(chunk({"content": "b"}, usage=counts))
    assert chat.usage == Usage(3, 4)
    responses = ResponsesDecoder("x", 1 << 20)
    assert responses.usage is None
    told: Any = {
        "type": "response.completed",
        "response": {"id": "r", "output": [], "usage": {"input_tokens": 3, "output_tokens": 4}},
    }
    responses.feed(record({"type": "response.output_text.delta", "delta": "a"}) + record(told))
    assert responses.usage == Usage(3, 4)
