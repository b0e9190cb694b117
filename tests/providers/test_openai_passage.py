"""What the passage and the decoder make of streams as upstreams really send them, at any split."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmock.conversation import ChatRequest, Identity
from chatmock.events import (
    Event,
    EventOrder,
    Failed,
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from chatmock.providers.compatible import DIFFERENCES
from chatmock.providers.openai_compatible import OpenAICompatible
from tests.chunks import DONE, chunk, completion, head, record, text_stream, usage

PROVIDER = OpenAICompatible("compatible", "http://x/v1", DIFFERENCES)
ROLE = {"role": "assistant", "content": ""}


def carry(pieces: list[bytes], cuts: list[int] | None = None, **chat: Any) -> tuple[list[Any], Any]:
    """The records a client gets, and the outcome."""
    passage = PROVIDER.passage(ChatRequest("m", (), stream=True, **chat), Identity("own", 5))
    out = b"".join(split(b"".join(pieces), cuts, passage.feed)) + passage.close()
    records = [block.removeprefix(b"data: ") for block in out.split(b"\n\n") if block.startswith(b"data: ")]
    return [r.decode() if r == b"[DONE]" else json.loads(r) for r in records], passage.outcome


def decode(pieces: list[bytes], cuts: list[int] | None = None, choices: int = 1) -> list[Event]:
    decoder = PROVIDER.decoder(ChatRequest("m", (), choices=choices))
    events: list[Event] = [e for es in split(b"".join(pieces), cuts, decoder.feed) for e in es]
    events += decoder.close()
    EventOrder().check(events)
    return events


def split(stream: bytes, cuts: list[int] | None, feed: Any) -> list[Any]:
    places = [0, *sorted(cuts or []), len(stream)]
    return [feed(stream[a:b]) for a, b in zip(places, places[1:], strict=False)]  # noqa: RUF007


def deltas(records: list[Any]) -> list[Any]:
    return [r["choices"][0]["delta"] for r in records if isinstance(r, dict) and r.get("choices")]


call = st.fixed_dictionaries({"index": st.integers(0, 2), "id": st.sampled_from([None, "", "a", "b", "c"])})
some_delta = st.one_of(
    st.text(max_size=5).map(lambda text: {"content": text}),
    st.text(max_size=5).map(lambda text: {"reasoning": text}),
    st.text(max_size=5).map(lambda text: {"refusal": text, "role": "assistant"}),
    st.tuples(call, st.sampled_from(["", "f", "g"]), st.text(max_size=4)).map(
        lambda c: {"tool_calls": [{**c[0], "function": {"name": c[1], "arguments": c[2]}}]}
    ),
)
some_record = st.one_of(
    st.tuples(some_delta, st.sampled_from([None, None, None, "stop", "length", "error"])).map(
        lambda d: chunk(d[0], d[1])
    ),
    st.just(usage()),
    st.just(b": keep-alive\n\n"),
    st.just(DONE),
    st.just(record({"error": {"message": "x"}})),
    st.just(b"data: {nonsense\n\n"),
    st.just(b'data: {"choices":[{"delta":{"content":"\xff"}}]}\r\n\r\n'),
    st.just(b"event: error\ndata: {}\n\n"),
)


@given(pieces=st.lists(some_record, max_size=12), data=st.data())
def test_any_split_of_any_stream_gives_the_same(pieces: list[bytes], data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(b"".join(pieces))), max_size=15))
    whole, split_up = decode(pieces), decode(pieces, cuts)
    assert merged(whole) == merged(split_up)
    assert repr(carry(pieces)) == repr(carry(pieces, cuts))


def merged(events: list[Event]) -> list[str]:
    return [repr(event) for event in events]


@given(pieces=st.lists(some_record, max_size=12))
def test_what_a_client_gets_keeps_to_the_rules(pieces: list[bytes]) -> None:
    records, outcome = carry(pieces, include_usage=True)
    spoken = [r for r in records if isinstance(r, dict) and r["choices"]]
    finishes = [r for r in spoken if r["choices"][0].get("finish_reason")]
    if isinstance(outcome, Failed):
        assert finishes == []
        assert "[DONE]" not in records
        return
    assert isinstance(outcome, Finished)
    assert records[-1] == "[DONE]"
    assert len(finishes) == 1
    assert len({(r["id"], r["created"]) for r in records[:-1]}) == 1
    assert [d.get("role") for d in deltas(records)] == ["assistant", *[None] * (len(spoken) - 1)]
    seen: list[int] = []
    for delta in deltas(records):
        for piece in delta.get("tool_calls") or ():
            assert bool(piece.get("id")) == (piece["index"] not in seen)
            seen.append(piece["index"])
    assert sorted(set(seen)) == list(range(len(set(seen))))


def test_usage_in_every_record() -> None:
    counts = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    stream = [
        chunk(ROLE, usage=counts),
        chunk({"content": "Hi"}, usage=counts),
        chunk(finish="stop", usage={**counts, "completion_tokens": 2, "total_tokens": 3}),
        DONE,
    ]
    records, _ = carry(stream, include_usage=True)
    assert [d.get("role") for d in deltas(records)] == ["assistant", None, None]
    assert [bool(r.get("usage")) for r in records[:-1]] == [False, False, False, True]
    assert records[-2]["usage"]["total_tokens"] == 3
    assert records[-2]["choices"] == []
    assert [e for e in decode(stream) if isinstance(e, Usage)] == [Usage(1, 2)]


def test_everything_in_one_record() -> None:
    logprobs = {"content": [{"token": "Hi", "logprob": -1.0, "bytes": None, "top_logprobs": []}]}
    records, _ = carry([chunk({"content": "Hi"}, "stop", choice={"logprobs": logprobs}), DONE])
    first, last = (r["choices"][0] for r in records[:2])
    assert (first["delta"], first["finish_reason"]) == ({"role": "assistant", "content": "Hi"}, None)
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")
    assert (first["logprobs"], last["logprobs"]) == (logprobs, None)


def test_a_name_that_comes_later() -> None:
    pieces = [{"index": 0, "id": "c1", "type": "function", "function": {"arguments": ""}}]
    later = [{"index": 0, "function": {"name": "add", "arguments": "{}"}}]
    stream = [
        chunk({**ROLE, "tool_calls": pieces}),
        chunk({"tool_calls": later}),
        chunk(finish="tool_calls"),
        DONE,
    ]
    assert deltas(carry(stream)[0])[1]["tool_calls"][0]["function"]["name"] == "add"
    assert [e for e in decode(stream) if isinstance(e, ToolCallDelta)] == [
        ToolCallDelta(0, "c1", "add", "{}")
    ]


def test_a_call_without_a_name_is_no_call() -> None:
    stream = [
        chunk({**ROLE, "tool_calls": [{"index": 0, "id": "c1", "function": {}}]}),
        chunk(finish="stop"),
        DONE,
    ]
    assert isinstance(decode(stream)[-1], Failed)


@pytest.mark.parametrize("index", [0, None])
def test_parallel_calls_under_one_index(index: int | None) -> None:
    calls = [{"index": index, "function": {"name": name, "arguments": "{}"}} for name in ("f", "g")]
    stream = (
        [chunk({**ROLE, "tool_calls": [c]}) for c in calls]
        if index is None
        else [chunk({"tool_calls": calls})]
    )
    stream += [chunk(finish="tool_calls"), DONE]
    if index is not None:
        made = [e for e in decode(stream) if isinstance(e, ToolCallDelta)]
        assert [(e.index, e.name) for e in made] == [(0, "f"), (1, "g")]
        pieces = deltas(carry(stream)[0])[0]["tool_calls"]
        assert [(p["index"], p["function"]["name"]) for p in pieces] == [(0, "f"), (1, "g")]


@pytest.mark.parametrize(
    "failing",
    [
        record({"object": "error", "message": "boom", "code": 500}),
        b'event: error\ndata: {"code":"X","message":"boom"}\n\n',
        record({"code": "X", "error": "boom"}),
        record(head(choices=[], error={"message": "boom"})),
    ],
)
def test_a_failure_keeps_its_text(failing: bytes) -> None:
    for stream in ([failing], [*text_stream("Hi")[:2], failing, DONE]):
        for outcome in (carry(stream)[1], decode(stream)[-1]):
            assert isinstance(outcome, Failed)
            assert "boom" in outcome.refusal.message


def test_a_choice_that_never_spoke_is_missed() -> None:
    stream = [chunk(ROLE), chunk({"content": "a"}), chunk(finish="stop")]
    assert isinstance(carry(stream, choices=2)[1], Failed)
    assert isinstance(decode(stream, choices=2)[-1], Failed)
    assert isinstance(carry([*stream, DONE], choices=2)[1], Finished)


def test_shapes_that_are_nearly_right() -> None:
    arguments = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]}
    stream = [
        chunk({"content": [{"type": "text", "text": "Hi"}]}, id=7),
        chunk(arguments, id=7),
        chunk(finish="eos", id=7),
        DONE,
    ]
    events = decode(stream)
    assert TextDelta("Hi") in events
    assert ToolCallDelta(0, "c", "f", '{"a":1}') in events
    assert events[-1] == Finished(("stop",))
    assert {r["id"] for r in carry(stream)[0][:-1]} == {"7"}


def test_thinking_has_one_name() -> None:
    stream = [chunk({"reasoning": "hm", "role": "assistant"}), *text_stream("Hi")[1:]]
    assert deltas(carry(stream)[0])[0]["reasoning_content"] == "hm"
    assert ReasoningDelta("hm") in decode(stream)


def whole(body: Any) -> tuple[Any, Any]:
    passage = PROVIDER.passage(ChatRequest("m", ()), Identity("own", 5))
    out = passage.whole(json.dumps(body).encode())
    return json.loads(out) if out else None, passage.outcome


def test_a_whole_answer_is_put_in_order() -> None:
    calls = [{"function": {"name": "f", "arguments": "{}"}}]
    answer, _ = whole({"choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": calls}}]})
    assert (answer["id"], answer["created"], answer["model"]) == ("chatcmpl-own", 5, "m")
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert answer["choices"][0]["message"]["tool_calls"][0] == {
        "id": "call_0_0",
        "type": "function",
        **calls[0],
    }


@pytest.mark.parametrize(
    "body",
    [
        completion(finish="error"),
        {"choices": [{"message": {}, "error": {"message": "boom", "code": 429}}]},
        {"choices": []},
        {"choices": [7]},
        {"error": "boom"},
        [],
    ],
)
def test_a_whole_failure(body: Any) -> None:
    answer, outcome = whole(body)
    assert answer is None
    assert isinstance(outcome, Failed)


def test_odd_types_in_a_whole_answer() -> None:
    body = completion()
    body["choices"][0].update(native_finish_reason=3, finish_reason="eos")
    assert whole(body)[0]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "message",
    [
        5,
        None,
        [],
        {"content": 5},
        {"content": {}},
        {"tool_calls": 5},
        {"tool_calls": [5]},
        {"content": "x", "tool_calls": {"id": "c"}},
    ],
)
def test_a_whole_answer_that_no_client_could_read(message: Any) -> None:
    answer, outcome = whole({"choices": [{"index": 0, "message": message}]})
    assert answer is None
    assert isinstance(outcome, Failed)
    assert outcome.refusal.code == "upstream_malformed"


def test_what_is_nearly_right_in_a_whole_answer_is_put_right() -> None:
    parts = [{"type": "text", "text": "He"}, {"type": "text", "text": "llo"}, 7]
    body = {"id": 7, "model": [], "usage": 3, "choices": [{"index": -5, "message": {"content": parts}}]}
    answer, outcome = whole(body)
    assert isinstance(outcome, Finished)
    assert (answer["id"], answer["model"], "usage" in answer) == ("7", "m", False)
    assert answer["choices"][0]["index"] == 0
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello"}
