"""Ollama's answers: a line for each thing said, one at the end, the same whole as in a stream."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.answer import Answer
from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects import OllamaChat, OllamaGenerate
from chatmock.dialects.ollama_json import timestamp
from chatmock.errors import Kind, Refusal
from chatmock.events import (
    Annotation,
    Event,
    EventOrder,
    Failed,
    Finished,
    Opened,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)

ASKED = ChatRequest("upstream-name", (), asked_model="m:latest", stream=True)
END: list[Event] = [Usage(3, 2), Finished(("stop",))]


class Clock:
    """Tells more each time it is asked."""

    def __init__(self, *times: int) -> None:
        self._times = iter(times)
        self._last = 0

    def __call__(self) -> int:
        self._last = next(self._times, self._last)
        return self._last


def identity(*times: int) -> Identity:
    return Identity("abc", 1_700_000_000, Clock(*times), created_ns=1_700_000_000_120_000_000)


def stream(events: Iterable[Event], dialect: Any = None, **asked: Any) -> list[dict[str, Any]]:
    encoder = (dialect or OllamaChat()).encoder(attrs.evolve(ASKED, **asked), identity())
    return [json.loads(line) for line in encoder.encode([Opened(), *events]).splitlines()]


def whole(events: Iterable[Event], dialect: Any = None, **asked: Any) -> dict[str, Any]:
    answer = Answer()
    answer.fold([Opened(), *events])
    body = (dialect or OllamaChat()).complete(attrs.evolve(ASKED, **asked), identity(), answer)
    told: dict[str, Any] = json.loads(body)
    return told


def test_a_stream_line_by_line() -> None:
    encoder = OllamaChat().encoder(ASKED, identity(1_000, 5_000, 9_000, 20_000, 30_000))
    assert encoder.encode([Opened()]) == b""
    assert encoder.encode([ReasoningDelta("Hm"), TextDelta("a")]) == (
        b'{"model":"m:latest","created_at":"2023-11-14T22:13:20.120009Z","message":{"role":"assistant","content":"",'
        b'"thinking":"Hm"},"done":false}\n'
        b'{"model":"m:latest","created_at":"2023-11-14T22:13:20.120009Z","message":{"role":"assistant","content":"a"},'
        b'"done":false}\n'
    )
    assert encoder.encode(END) == (
        b'{"model":"m:latest","created_at":"2023-11-14T22:13:20.12002Z","message":{"role":"assistant","content":""},'
        b'"done":true,"done_reason":"stop","total_duration":30000,"load_duration":1000,"prompt_eval_count":3,'
        b'"prompt_eval_duration":8000,"eval_count":2,"eval_duration":21000}\n'
    )


def test_generate_says_the_same_in_its_own_fields() -> None:
    encoder = OllamaGenerate().encoder(ASKED, identity(1))
    assert encoder.encode([Opened(), ReasoningDelta("Hm"), TextDelta("a")]) == (
        b'{"model":"m:latest","created_at":"2023-11-14T22:13:20.120000001Z","response":"","thinking":"Hm","done":false}\n'
        b'{"model":"m:latest","created_at":"2023-11-14T22:13:20.120000001Z","response":"a","done":false}\n'
    )
    last = stream(END, OllamaGenerate())[-1]
    assert list(last)[:5] == ["model", "created_at", "response", "done", "done_reason"]


def test_characters_are_escaped_as_go_does() -> None:
    said = "<b> & 'c' \u2028\u2029 \u201c \U0001f600"
    for dialect in (OllamaChat(), OllamaGenerate()):
        asked = attrs.evolve(ASKED, asked_model="<m>")
        out = dialect.encoder(asked, identity()).encode(
            [Opened(), TextDelta(said), ReasoningDelta(said), *END]
        )
        answer = Answer()
        answer.fold([Opened(), TextDelta(said), *END])
        out += dialect.complete(asked, identity(), answer)
        assert rb"\u003cb\u003e \u0026 'c' \u2028\u2029" in out
        assert not set(b"<>&") & set(out)
        assert "\u2028".encode() not in out
        assert "\u201c \U0001f600".encode() in out


def test_reasons() -> None:
    given = {"stop": "stop", "length": "length", "tool_calls": "stop", "content_filter": "stop"}
    for reason, told in given.items():
        finished: Any = Finished((reason,))
        for last in (stream([finished])[-1], whole([finished])):
            assert (last["done"], last["done_reason"]) == (True, told)


def test_counts_that_are_not_known_are_left_out() -> None:
    for last in (stream([Finished(("stop",))])[-1], whole([Finished(("stop",))])):
        assert not {"prompt_eval_count", "eval_count"} & set(last)


def test_whole_durations() -> None:
    answer = Answer(opened_after=10)
    answer.fold([Opened(), TextDelta("a"), *END])
    answer.spoke_after = 30
    told = json.loads(OllamaChat().complete(ASKED, identity(100), answer))
    assert (told["total_duration"], told["load_duration"]) == (100, 10)
    assert (told["prompt_eval_duration"], told["eval_duration"]) == (20, 70)


CALLS: list[Event] = [
    ToolCallDelta(0, "call_a", "f", '{"a": '),
    ToolCallDelta(0, arguments="9223372036854775808}"),
    ToolCallDelta(1, "odd id!", "g", ""),
]


def test_calls_are_objects_with_ids_and_indices_one_a_line() -> None:
    lines = stream([TextDelta("So."), *CALLS, Finished(("tool_calls",))])
    told = [line["message"]["tool_calls"] for line in lines if "tool_calls" in line["message"]]
    assert [len(calls) for calls in told] == [1, 1]
    first, second = (calls[0] for calls in told)
    assert first == {"id": "call_a", "function": {"index": 0, "name": "f", "arguments": {"a": 2**63}}}
    assert list(first["function"]) == ["index", "name", "arguments"]
    assert re.fullmatch("call_[0-9a-z]{8}", second["id"])
    assert second["function"] == {"index": 1, "name": "g", "arguments": {}}
    assert [line["done"] for line in lines] == [False, False, False, True]
    message = whole([TextDelta("So."), *CALLS, Finished(("tool_calls",))])["message"]
    assert message == {"role": "assistant", "content": "So.", "tool_calls": [first, second]}


def test_a_call_is_told_as_soon_as_it_is_certain() -> None:
    encoder = OllamaChat().encoder(ASKED, identity())
    assert encoder.encode([Opened(), *CALLS[:2]]) == b""
    assert b"call_a" in encoder.encode([CALLS[2]])
    text = encoder.encode([TextDelta("and")])
    assert b"and" in text
    assert b'"g"' not in text
    assert b'"g"' in encoder.encode([Finished(("tool_calls",))])


def test_a_call_comes_before_what_is_thought_and_said_after_it() -> None:
    whole_call = ToolCallDelta(0, "a", "f", "{}")
    for after in (ReasoningDelta("b"), TextDelta("b"), RefusalDelta("b")):
        first, second, _ = stream([whole_call, after, Finished(("stop",))])
        assert "tool_calls" in first["message"]
        assert "b" in second["message"].values()


def test_half_a_call_is_looked_at_once_whatever_comes_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking takes as long as it is."""
    looked: list[str] = []

    def look(text: str, *, complete: bool) -> object | None:
        looked.append(text)
        return {} if complete else None

    monkeypatch.setattr("chatmock.dialects.ollama_answer.arguments_of", look)
    more = [
        event for index in range(1, 50) for event in (ToolCallDelta(index, "b", "g", "{}"), TextDelta("x"))
    ]
    stream([ToolCallDelta(0, "a", "f", "{"), *more])
    assert looked == ["{"]


def test_calls_that_come_mixed() -> None:
    events = [
        ToolCallDelta(0, "a", "f", '{"x"'),
        ToolCallDelta(1, "b", "g", '{"y"'),
        ToolCallDelta(0, arguments=":1}"),
        ToolCallDelta(1, arguments=":2}"),
        Finished(("tool_calls",)),
    ]
    calls = [
        line["message"]["tool_calls"][0]["function"]
        for line in stream(events)
        if "tool_calls" in line["message"]
    ]
    assert [(call["index"], call["arguments"]) for call in calls] == [(0, {"x": 1}), (1, {"y": 2})]


@pytest.mark.parametrize(
    "text", ["[1]", '"a"', '{"a"', "a tool for you", "{}{}", '{"a":' + "[" * 100 + "]" * 100 + "}"]
)
def test_arguments_that_are_no_object_are_handed_on_in_one(text: str) -> None:
    events = [ToolCallDelta(0, "a", "f", text), Finished(("tool_calls",))]
    for message in (stream(events)[0]["message"], whole(events)["message"]):
        assert message["tool_calls"][0]["function"]["arguments"] == {"arguments": text}


@pytest.mark.parametrize("text", ["", " ", "null", "{}"])
def test_no_arguments(text: str) -> None:
    events = [ToolCallDelta(0, "a", "f", text), Finished(("tool_calls",))]
    for message in (stream(events)[0]["message"], whole(events)["message"]):
        assert message["tool_calls"][0]["function"]["arguments"] == {}


def test_a_call_that_was_cut_short_is_none() -> None:
    events = [CALLS[0], CALLS[1], ToolCallDelta(1, "b", "g", '{"a": "ha'), Finished(("length",))]
    lines = stream(events)
    assert [line["message"].get("tool_calls", [{}])[0].get("id") for line in lines] == ["call_a", None]
    assert lines[-1]["done_reason"] == "length"
    assert [call["id"] for call in whole(events)["message"]["tool_calls"]] == ["call_a"]


def test_what_has_no_place_here_is_left_out() -> None:
    events = [
        Annotation({"type": "url_citation"}),
        ReasoningSeal("sealed"),
        TextDelta("other", 1),
        TextDelta(""),
        ReasoningDelta(""),
        RefusalDelta("I will not."),
        Finished(("stop",)),
    ]
    assert [line["message"]["content"] for line in stream(events)] == ["I will not.", ""]
    assert whole(events)["message"] == {"role": "assistant", "content": "I will not."}
    assert stream(CALLS, OllamaGenerate()) == []


TOKEN = {
    "token": "a",
    "logprob": -0.5,
    "bytes": [97],
    "top_logprobs": [{"token": "b", "logprob": -1, "bytes": None}],
}


def test_log_probabilities_where_they_are_asked_for() -> None:
    events = [TextDelta("a", logprobs=[TOKEN]), Finished(("stop",))]
    told = [{**TOKEN, "top_logprobs": [{"token": "b", "logprob": -1}]}]
    line = stream(events, logprobs=True)[0]
    assert line["logprobs"] == told
    assert list(line) == ["model", "created_at", "message", "done", "logprobs"]
    assert whole(events, logprobs=True)["logprobs"] == told
    assert "logprobs" not in stream(events)[0]
    assert "logprobs" not in whole(events)


@pytest.mark.parametrize("load", ["load", "unload"])
def test_nothing_asked(load: Any) -> None:
    asked = attrs.evolve(ASKED, load=load)
    common = {
        "model": "m:latest",
        "created_at": "2023-11-14T22:13:20.120000005Z",
        "done": True,
        "done_reason": load,
    }
    chat, text = (
        json.loads(dialect.complete(asked, identity(5), Answer()))
        for dialect in (OllamaChat(), OllamaGenerate())
    )
    assert chat == {**common, "message": {"role": "assistant", "content": ""}}
    assert text == {**common, "response": ""}


def test_refusals() -> None:
    refusal = Refusal(
        Kind.NOT_FOUND, "The model 'x' does not exist here.", code="model_not_found", model="x:latest"
    )
    for dialect in (OllamaChat(), OllamaGenerate()):
        body = json.loads(dialect.refuse(refusal))
        assert body == {"error": "model 'x:latest' not found: The model 'x' does not exist here."}
        assert dialect.status(refusal) == 404
        assert dialect.comment("waiting") == b""
        line = dialect.encoder(ASKED, identity()).encode(
            [Failed(Refusal(Kind.UPSTREAM_FAILED, "<no>\nmore"))]
        )
        assert line == b'{"error":"\\u003cno\\u003e\\nmore"}\n'


@given(st.integers(0, 4_000_000_000 * 10**9))
@settings(max_examples=100, deadline=None)
def test_a_point_in_time(at: int) -> None:
    told = timestamp(at)
    second, _, fraction = told.removesuffix("Z").partition(".")
    seconds = int(dt.datetime.fromisoformat(second + "+00:00").timestamp())
    assert seconds * 10**9 + int(fraction.ljust(9, "0") or 0) == at
    assert not fraction.endswith("0")
    assert timestamp(at - at % 10**9) == second + "Z"
    encoder = OllamaChat().encoder(ASKED, Identity("abc", 0, created_ns=at))
    assert json.loads(encoder.encode([TextDelta("a")]))["created_at"] == told


def pieces(text: str, cuts: Iterable[int]) -> Iterator[str]:
    start = 0
    for cut in sorted({min(cut, len(text)) for cut in cuts} | {len(text)}):
        yield text[start:cut]
        start = cut


CUTS = st.lists(st.integers(0, 60), max_size=6)


@given(
    st.text(max_size=30),
    st.text(max_size=30),
    st.lists(
        st.dictionaries(st.text(max_size=3), st.integers(-(2**63), 2**64) | st.text(max_size=5), max_size=3),
        max_size=3,
    ),
    CUTS,
    CUTS,
    CUTS,
)
@settings(max_examples=100, deadline=None)
def test_however_it_is_cut_a_stream_says_what_the_whole_says(
    thought: str, text: str, arguments: list[Any], cuts: list[int], other: list[int], reads: list[int]
) -> None:
    events: list[Event] = [Opened()]
    events += [ReasoningDelta(piece) for piece in pieces(thought, other)]
    events += [TextDelta(piece) for piece in pieces(text, cuts)]
    for index, each in enumerate(arguments):
        events.append(ToolCallDelta(index, f"call_{index}", "f"))
        events += [ToolCallDelta(index, arguments=piece) for piece in pieces(json.dumps(each), cuts)]
    events += [Usage(1, 1), Finished(("tool_calls" if arguments else "stop",))]
    EventOrder().check(events)
    encoder = OllamaChat().encoder(ASKED, identity())
    answer, out, start = Answer(), b"", 0
    for cut in [*sorted({min(cut, len(events)) for cut in reads}), len(events)]:
        part = encoder.encode(events[start:cut])
        assert part == b"" or part.endswith(b"\n")
        out += part
        start = cut
    answer.fold(events)
    lines = [json.loads(line) for line in out.split(b"\n")[:-1]]
    last = lines.pop()
    assert last["done"]
    assert not any(line["done"] for line in lines)
    messages = [line["message"] for line in lines]
    told = json.loads(OllamaChat().complete(ASKED, identity(), answer))["message"]
    assert "".join(each["content"] for each in messages) == told["content"] == text
    assert "".join(each.get("thinking", "") for each in messages) == told.get("thinking", "") == thought
    calls = [call for each in messages for call in each.get("tool_calls", ())]
    assert calls == told.get("tool_calls", [])
    assert [call["function"]["arguments"] for call in calls] == arguments
