"""What the passage makes of Responses streams as upstreams really send them, and of odd ones, at any split."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.conversation import ChatRequest, Identity, Source
from chatmock.errors import Kind
from chatmock.events import Failed, Finished, Usage
from chatmock.framing import SSEParser
from chatmock.providers.responses_echo import Echo
from chatmock.providers.responses_output_limit import OutputLimit
from chatmock.providers.responses_passage import KEEP_ALIVE, ResponsesPassage
from tests.captures import Recording, parametrised, recordings
from tests.providers.responses_events import (
    LIMIT,
    USAGE,
    added,
    arguments,
    call,
    created,
    done,
    ended,
    frame,
    message,
    summary,
    text,
)

FOUND = recordings(
    "chatgpt-codex", "openai-responses", "xai-responses", "openrouter-responses", "lmstudio-responses"
)
STREAMS = [recording for recording in FOUND if recording.kind == "sse"]
WHOLES = [recording for recording in FOUND if recording.kind == "json" and recording.status == 200]
ENDS = ("response.completed", "response.incomplete")


def passage(
    body: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
    changed: Iterable[str] = (),
    hidden: Iterable[str] = (),
    model: str = "",
    limit: int = LIMIT,
    folds: bool = False,
    keep: bool = False,
    seals: bool = True,
    max_tokens: int | None = None,
) -> ResponsesPassage:
    source = Source("openai-responses", {"input": "Hi", **(body or {})})
    chat = ChatRequest("m", (), asked_model=model or "gpt-x", source=source, keep=keep)
    echo = Echo.of(chat, Identity("own", 5), names, changed, hidden, seals=seals)
    most = None if max_tokens is None else OutputLimit(max_tokens)
    return ResponsesPassage("Upstream", limit, echo, keep=keep, folds=folds, most=most)


def numbered(*script: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**event, "sequence_number": number} for number, event in enumerate(script)]


HELLO = numbered(
    created(), added(0, type="message"), text("Hel"), text("lo"), done(0, **message("Hello")), ended()
)


def carry(pieces: Iterable[bytes], carrying: ResponsesPassage) -> list[tuple[str, bytes]]:
    """What a client gets, event by event; after the end nothing more."""
    out = b"".join(map(carrying.feed, pieces)) + carrying.close()
    assert carrying.outcome is not None
    assert carrying.feed(frame(text("more"))) == b""
    assert carrying.close() == b""
    return split(out)


def split(out: bytes) -> list[tuple[str, bytes]]:
    parser = SSEParser(1 << 30)
    records = parser.feed(out)
    assert parser.close() == []
    return [(record.event.decode(), record.data) for record in records]


def play(
    script: Iterable[Mapping[str, Any]], **options: Any
) -> tuple[list[dict[str, Any]], ResponsesPassage]:
    carrying = passage(**options)
    records = carry([frame(dict(event)) for event in script], carrying)
    values = [json.loads(data) for _, data in records]
    assert [value["type"] for value in values] == [event for event, _ in records]
    return values, carrying


def refused(script: Iterable[Mapping[str, Any]], **options: Any) -> Any:
    """The refusal of a stream that gives no bytes."""
    values, carrying = play(script, **options)
    assert values == []
    assert isinstance(carrying.outcome, Failed)
    return carrying.outcome.refusal


# The recordings.


def blocks(recording: Recording) -> list[bytes]:
    """The payloads of the recording's first response."""
    found = []
    for record in SSEParser(1 << 30).feed(recording.response.replace(b"\r\n", b"\n") + b"\n\n"):
        if record.data.startswith(b"[DONE]"):
            continue
        found.append(record.data)
        if json.loads(record.data)["type"] in (*ENDS, "response.failed"):
            break
    return found


@parametrised(STREAMS)
def test_every_recording_in_every_cut(recording: Recording) -> None:
    theirs = [(json.loads(data), data) for data in blocks(recording)]
    model = theirs[0][0]["response"]["model"]
    whole = carry([recording.response], passage(model=model, keep=True))
    if theirs[-1][0]["type"] == "response.failed":
        assert whole == []
        return
    by_byte = passage(model=model, keep=True)
    data = recording.response
    assert carry((data[at : at + 1] for at in range(len(data))), by_byte) == whole
    ours = [(json.loads(data), data) for _, data in whole]
    assert [value["sequence_number"] for value, _ in ours] == list(range(len(ours)))
    assert [event for event, _ in whole] == [value["type"] for value, _ in ours]
    responses = (*ENDS, "response.created", "response.in_progress", "response.queued")
    for (value, sent), (wanted, received) in zip(ours, theirs, strict=True):
        if wanted["type"] in responses:
            assert value["response"].keys() >= wanted["response"].keys()
        elif wanted.get("sequence_number") == value["sequence_number"]:
            assert sent == received, "an untouched record stays as it is"
        else:
            assert {**value, "sequence_number": 0} == {**wanted, "sequence_number": 0}
    final = ours[-1][0]["response"]
    items = {v["output_index"]: v["item"] for v, _ in theirs if v["type"] == "response.output_item.done"}
    given = theirs[-1][0]["response"]["output"]
    assert final["output"] == (given or [items[index] for index in sorted(items)])
    assert json.loads(by_byte.answer or b"") == final
    assert isinstance(by_byte.outcome, Finished)
    assert by_byte.usage is not None
    assert by_byte.usage.prompt_tokens == theirs[-1][0]["response"]["usage"]["input_tokens"]
    assert by_byte.records == len(theirs)


@parametrised(STREAMS)
def test_a_recording_that_is_cut_short(recording: Recording) -> None:
    last = recording.response.find(blocks(recording)[-1])
    carrying = passage()
    carry([recording.response[: last + 40]], carrying)
    assert isinstance(carrying.outcome, Failed)


@parametrised(WHOLES)
def test_every_whole_recording(recording: Recording) -> None:
    theirs = json.loads(recording.response)
    carrying = passage(model=theirs["model"], keep=True)
    out = carrying.whole(recording.response)
    if theirs["status"] not in ("completed", "incomplete"):
        assert out == b""
        assert isinstance(carrying.outcome, Failed)
        return
    ours = json.loads(out)
    assert carrying.answer == out
    assert ours["output"] == theirs["output"]
    assert ours["usage"]["input_tokens"] == theirs["usage"]["input_tokens"]
    assert isinstance(carrying.outcome, Finished)
    called = any(item["type"] == "function_call" for item in theirs["output"])
    if theirs["status"] == "completed":
        assert carrying.outcome.reasons == ("tool_calls" if called else "stop",)


# The rules.


def test_records_pass_as_they_are() -> None:
    script = numbered(
        created(model="gpt-x"),
        {"type": "response.in_progress", "response": {"id": "resp_1", "output": []}},
        added(0, type="dance", steps=[1.50, "é"]),
        {"type": "response.dance.step", "output_index": 0, "step": {"left": None}, "obfuscation": "x"},
        text("Hé"),
        done(0, type="dance", steps=[1.50, "é"]),
        ended(),
    )
    frames = [frame(event) for event in script]
    out = b"".join(map(passage().feed, frames))
    assert b"".join(frames[2:-1]) in out


def test_odd_spacing_and_numbers_are_kept() -> None:
    odd = b'{ "type" : "response.output_text.delta","delta":"a", "sequence_number":1 , "x":1.500e3 }'
    sent = [frame(numbered(created())[0]), b"data:" + odd + b"\r\n\r\n"]
    out = b"".join(map(passage().feed, sent))
    assert out.endswith(b"event: response.output_text.delta\ndata: " + odd + b"\n\n")


@pytest.mark.parametrize("number", [None, 7, 2.5, "3", True, -1])
def test_numbers_have_no_gaps(number: Any) -> None:
    script = [{**event, "sequence_number": number} for event in HELLO]
    values, _ = play(script)
    assert [value["sequence_number"] for value in values] == list(range(len(HELLO)))
    assert all(type(value["sequence_number"]) is int for value in values)


def test_events_of_another_kind_keep_their_number_or_none() -> None:
    limits = {"type": "codex.rate_limits", "plan": "plus"}
    values, _ = play([limits, *HELLO[:3], limits, *HELLO[3:]])
    assert [value.get("sequence_number") for value in values] == [None, 0, 1, 2, None, 3, 4, 5]
    assert values[0] == values[4] == limits


def test_a_type_that_only_the_event_line_tells() -> None:
    script = [
        (event["type"], {key: value for key, value in event.items() if key != "type"}) for event in HELLO
    ]
    sent = [f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode() for kind, value in script]
    values = [json.loads(data) for _, data in carry(sent, passage())]
    assert [value["type"] for value in values] == [event["type"] for event in HELLO]


def test_a_name_cannot_break_the_framing() -> None:
    odd = {"type": "response.x\n\ndata: {}", "sequence_number": 1}
    out = b"".join(passage().feed(frame(event)) for event in [HELLO[0], HELLO[1]])
    carrying = passage()
    out = carrying.feed(frame(HELLO[0])) + carrying.feed(b"data: " + json.dumps(odd).encode() + b"\n\n")
    assert len(split(out)) == 2
    assert b"\ndata: {}" not in out


def test_data_on_several_lines_and_bad_utf8_become_one_good_line() -> None:
    lines = b'data: {"type":"response.output_text.delta",\ndata: "delta":"a\xff","sequence_number":2}\n\n'
    carrying = passage()
    out = b"".join(map(carrying.feed, [frame(HELLO[0]), frame(HELLO[1]), lines]))
    assert json.loads(split(out)[-1][1]) == {
        "type": "response.output_text.delta",
        "delta": "a\ufffd",
        "sequence_number": 2,
    }


def test_announcements_wait_for_the_first_item() -> None:
    carrying = passage()
    assert carrying.feed(frame(HELLO[0])) == b""
    assert carrying.feed(b": ping\n\n") == b"", "nothing has begun"
    assert len(split(carrying.feed(frame(HELLO[1])))) == 2


def test_they_do_not_wait_for_ever() -> None:
    carrying = passage()
    out = b"".join(carrying.feed(frame({"type": "codex.x", "n": n})) for n in range(40))
    assert len(split(out)) == 40


def test_comments_become_keep_alives() -> None:
    carrying = passage()
    for event in HELLO[:2]:
        carrying.feed(frame(event))
    assert carrying.feed(b": OPENROUTER PROCESSING\n\n") == KEEP_ALIVE
    assert KEEP_ALIVE not in carrying.feed(b": x\n\n" + frame(HELLO[2]))
    carrying.feed(frame(ended()))
    assert carrying.feed(b": x\n\n") == b""


def test_done_of_other_apis_is_dropped() -> None:
    carrying = passage()
    pieces = [frame(HELLO[0]), b"data: [DONE]\n\n", *map(frame, HELLO[1:]), b"data: [DONE]\n\n"]
    assert len(carry(pieces, carrying)) == len(HELLO)
    assert isinstance(carrying.outcome, Finished)


def test_output_is_put_together_where_it_is_left_out() -> None:
    script = [
        created(),
        added(1, **call(1)),
        added(0, type="reasoning"),
        done(1, **call(1, arguments="{}")),
        done(0, type="reasoning", summary=[], encrypted_content="sealed"),
        done(2, type="dance", unknown=True),
        ended(output=[]),
    ]
    values, carrying = play(numbered(*script))
    output = values[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "function_call", "dance"]
    assert output[2] == {"id": "item_2", "type": "dance", "unknown": True}
    assert carrying.outcome == Finished(("tool_calls",))


def test_output_that_is_there_stays() -> None:
    values, _ = play([*HELLO[:-1], ended(output=[{"type": "message", "id": "other", "content": []}])])
    assert [item["id"] for item in values[-1]["response"]["output"]] == ["other"]


def test_the_client_is_told_its_own_request() -> None:
    body = {
        "model": "mine",
        "tools": [{"type": "function", "name": "f"}],
        "temperature": 0.2,
        "previous_response_id": "resp_0",
        "metadata": {"a": "b"},
    }
    theirs = {"model": "gpt-x-2026", "tools": [], "temperature": 1.0, "instructions": "The owner's.",
              "previous_response_id": None, "store": False, "user": "owner", "top_p": 0.9}  # fmt: skip
    script = [created(**theirs), *HELLO[1:-1], ended(**theirs)]
    values, carrying = play(
        numbered(*script),
        body=body,
        changed=("tools", "temperature", "top_p"),
        hidden=("instructions", "user"),
        model="mine",
        keep=True,
    )
    for told in (values[0]["response"], values[-1]["response"], json.loads(carrying.answer or b"")):
        assert told["model"] == "mine"
        assert told["tools"] == body["tools"]
        assert told["temperature"] == 0.2
        assert told["top_p"] == 0.9, "which the client has not sent"
        assert (told["instructions"], told["user"]) == (None, None)
        assert told["previous_response_id"] == "resp_0"
        assert told["store"] is True
        assert "metadata" not in told, "which was sent as it is"


@pytest.mark.parametrize(
    ("store", "keep", "told"), [(None, True, True), (True, False, False), (False, True, False)]
)
def test_store_is_whether_it_can_be_asked_for(store: bool | None, keep: bool, told: bool) -> None:
    values, _ = play(HELLO, body={"store": store}, keep=keep)
    assert values[-1]["response"]["store"] is told


def test_shortened_names_are_given_back() -> None:
    names = {"short": "a long name"}
    script = [
        created(),
        added(0, **call(0, name="short")),
        arguments("{}", 0),
        {
            "type": "response.function_call_arguments.done",
            "output_index": 0,
            "arguments": "{}",
            "name": "short",
        },
        done(0, **call(0, name="short", arguments="{}")),
        done(1, type="custom_tool_call", name="short", call_id="c", input="x"),
        done(2, type="mcp_call", name="short"),
        ended(output=[]),
    ]
    values, carrying = play(numbered(*script), names=names, keep=True)
    output = json.loads(carrying.answer or b"")["output"]
    assert [value["item"]["name"] for value in values if "item" in value][:3] == ["a long name"] * 3
    assert values[3]["name"] == "a long name"
    assert [item["name"] for item in output] == ["a long name", "a long name", "short"]
    given = [*script[:-1], ended(output=[{**call(0, name="short"), "id": "item_0"}])]
    assert play(numbered(*given), names=names)[0][-1]["response"]["output"][0]["name"] == "a long name"


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter"), (7, "stop")]
)
def test_an_incomplete_answer_is_one(reason: Any, finish: str) -> None:
    end = ended("incomplete", incomplete_details={"reason": reason})
    values, carrying = play([*HELLO[:4], end], folds=True)
    assert values[-1]["response"]["status"] == "incomplete"
    assert carrying.outcome == Finished((finish,))
    assert json.loads(carrying.answer or b"")["status"] == "incomplete"


def test_usage_has_what_clients_read() -> None:
    values, carrying = play([*HELLO[:-1], ended(usage={"input_tokens": 7, "output_tokens": 5, "x": 1})])
    assert values[-1]["response"]["usage"] == {
        "input_tokens": 7,
        "output_tokens": 5,
        "x": 1,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 12,
    }
    assert carrying.usage == Usage(7, 5, 0, 0)
    assert play(HELLO)[1].usage == Usage(7, 5, 3, 2)
    assert play([*HELLO[:-1], ended(usage=None)])[1].usage is None
    assert USAGE["input_tokens_details"] == {"cached_tokens": 3}


def test_an_answer_is_kept_only_where_it_is_wanted() -> None:
    assert play(HELLO)[1].answer is None
    kept, folded = play(HELLO, keep=True)[1].answer, play(HELLO, folds=True)[1].answer
    assert kept is not None
    assert folded is not None
    assert kept == folded.replace(b'"store":false', b'"store":true')


def test_an_id_is_made_where_there_is_none() -> None:
    values, _ = play([{"type": "response.created", "response": {}}, *HELLO[1:-1], ended(id=None)])
    assert values[0]["response"]["id"] == values[-1]["response"]["id"] == "resp_own"
    assert values[0]["response"]["object"] == "response"


@pytest.mark.parametrize("told", [{}, {"created_at": None}])
def test_when_it_was_asked_is_told_where_the_upstream_does_not(told: dict[str, Any]) -> None:
    first = {"type": "response.created", "response": dict(told)}
    values, _ = play(numbered(first, *HELLO[1:-1], ended(**told)))
    assert [value["response"]["created_at"] for value in (values[0], values[-1])] == [5, 5]
    whole = json.dumps({"status": "completed", "output": [message("Hi")], **told}).encode()
    assert json.loads(passage().whole(whole))["created_at"] == 5
    assert play(HELLO)[0][0]["response"]["created_at"] == 1_700_000_000


@pytest.mark.parametrize("given", [False, True], ids=["left-out", "repeated"])
def test_a_seal_that_is_not_the_clients_is_kept_all_the_same(given: bool) -> None:
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "sealed"}
    output = [{"id": "item_0", **sealed}, {"id": "item_1", **message("Hello")}] if given else []
    script = numbered(
        created(), added(0, **sealed), done(0, **sealed), done(1, **message("Hello")), ended(output=output)
    )  # fmt: skip
    values, carrying = play(script, keep=True, seals=False)
    assert "sealed" not in json.dumps(values)
    assert values[2]["item"] == {"id": "item_0", "type": "reasoning", "summary": []}
    assert [item["type"] for item in json.loads(carrying.answer or b"")["output"]] == ["reasoning", "message"]
    assert json.loads(carrying.answer or b"")["output"][0]["encrypted_content"] == "sealed"
    assert json.dumps(play(script, keep=True)[0]).count("sealed") == 3


def test_a_whole_answer_hides_it_as_well() -> None:
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "sealed"}
    carrying = passage(keep=True, seals=False)
    out = carrying.whole(json.dumps({"status": "completed", "output": [sealed, message("Hi")]}).encode())
    assert b"sealed" not in out
    assert b"sealed" in (carrying.answer or b"")


def test_what_is_held_for_the_end_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatmock.providers.responses_passage.WHOLE_ANSWER_LIMIT", 10_000)
    script = [created(), *(done(at, **message("x" * 1_000)) for at in range(20)), ended()]
    values, carrying = play(numbered(*script))
    assert isinstance(carrying.outcome, Failed)
    assert carrying.outcome.refusal.code == "upstream_limit"
    assert "10000" in carrying.outcome.refusal.message
    assert 5 < len(values) < 10
    long = [
        created(),
        added(0, type="message"),
        *(text("x" * 1_000) for _ in range(20)),
        done(0, **message("x")),
        ended(),
    ]
    assert isinstance(play(numbered(*long))[1].outcome, Finished), "nothing of it is held"


# Failures.

ERROR = {
    "type": "insufficient_quota",
    "code": "insufficient_quota",
    "message": "You exceeded it.",
    "param": None,
}


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "error", "error": ERROR}, Kind.USAGE_EXHAUSTED),
        ({"type": "error", "code": "server_error", "message": "boom"}, Kind.UPSTREAM_FAILED),
        ({"type": "response.failed", "response": {"error": ERROR}}, Kind.USAGE_EXHAUSTED),
        ({"type": "response.failed"}, Kind.UPSTREAM_FAILED),
        ({"type": "response.cancelled", "response": {}}, Kind.UPSTREAM_FAILED),
        ({"type": "response.dance", "error": {"code": "rate_limit_exceeded"}}, Kind.RATE_LIMITED),
        ({"error": {"message": "boom"}}, Kind.UPSTREAM_FAILED),
        (
            {"code": "x y", "error": "The service is currently unavailable"},
            Kind.OVERLOADED,
        ),
    ],
)
def test_a_failure_is_in_no_bytes(event: Mapping[str, Any], kind: Kind) -> None:
    assert refused([HELLO[0], event, *HELLO[1:]]).kind is kind
    sent = b"".join(map(frame, [*HELLO[:3], dict(event), *HELLO[3:]]))
    carrying = passage()
    assert len(carry([sent], carrying)) == 3, "what came before it is told"
    assert isinstance(carrying.outcome, Failed)
    assert carrying.outcome.refusal.kind is kind


def test_an_error_in_a_record_of_another_kind_is_one() -> None:
    script = [*HELLO[:3], {**HELLO[3], "error": {"code": "server_error"}}]
    values, carrying = play(script)
    assert len(values) == 3
    assert isinstance(carrying.outcome, Failed)


def test_the_plan_is_used_up() -> None:
    error = {"type": "usage_limit_reached", "message": "Used.", "resets_in_seconds": 60}
    refusal = refused([created(), {"type": "response.failed", "response": {"error": error}}])
    assert (refusal.code, refusal.retry_after) == ("usage_limit_reached", 60)


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ([frame(HELLO[0])], "upstream_truncated"),
        ([], "upstream_truncated"),
        ([b"data: [DONE]\n\n"], "upstream_truncated"),
        ([frame(HELLO[0]), b"data: {]\n\n"], "upstream_malformed"),
        ([frame(HELLO[0]), b"data: 7\n\n"], "upstream_malformed"),
        ([frame(HELLO[0]), b"data: " + b"x" * 9000], "upstream_limit"),
        ([frame(HELLO[0]), frame({"type": "response.completed"})], "upstream_malformed"),
        ([frame(HELLO[0]), frame(ended())], "upstream_empty"),
        ([frame(HELLO[0]), b'data: {"type":"response.completed","respo'], "upstream_truncated"),
    ],
)
def test_what_is_no_answer(pieces: list[bytes], code: str) -> None:
    carrying = passage(limit=8000)
    assert carry(pieces, carrying) == []
    assert isinstance(carrying.outcome, Failed)
    assert carrying.outcome.refusal.code == code


def test_a_last_record_without_its_blank_line_counts() -> None:
    frames = [*map(frame, HELLO[:-1]), frame(HELLO[-1]).rstrip(b"\n")]
    carrying = passage()
    assert len(carry(frames, carrying)) == len(HELLO)
    assert isinstance(carrying.outcome, Finished)


def test_what_nobody_could_name_is_dropped() -> None:
    values, _ = play(HELLO)
    nameless = [frame(HELLO[0]), b'data: {"x":1}\n\n', b"data:  \n\n", *map(frame, HELLO[1:])]
    assert [json.loads(data) for _, data in carry(nameless, passage())] == values


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "upstream_malformed"),
        (b"[]", "upstream_malformed"),
        (b'{"status":"completed","output":[]}', "upstream_empty"),
        (b'{"status":"queued","output":[{}]}', "upstream_malformed"),
        (b'{"output":7}', "upstream_malformed"),
        (b'{"error":{"code":"rate_limit_exceeded","message":"x"}}', "rate_limit_exceeded"),
        (b'{"status":"failed","error":{"code":"server_error","message":"x"}}', "server_error"),
        (b'{"code":"a b","error":"at capacity"}', "upstream_overloaded"),
    ],
)
def test_a_whole_answer_that_is_none(body: bytes, code: str) -> None:
    carrying = passage()
    assert carrying.whole(body) == b""
    assert isinstance(carrying.outcome, Failed)
    assert carrying.outcome.refusal.code == code


# Any stream.

odd_numbers = st.none() | st.integers(-2, 9) | st.booleans()
kinds = st.sampled_from(
    [
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.completed",
        "response.dance",
        "codex.x",
        "error",
        "",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
events = st.fixed_dictionaries(
    {"type": kinds},
    optional={
        "sequence_number": odd_numbers,
        "output_index": st.integers(-1, 3) | values,
        "item": st.fixed_dictionaries({"type": st.just("function_call")}, optional={"name": values}) | values,
        "response": st.fixed_dictionaries({}, optional={"output": values, "usage": values, "id": values})
        | values,
        "delta": values,
        "name": values,
    },
)


@settings(max_examples=100, deadline=None)
@given(st.lists(events, max_size=8), st.lists(st.integers(0, 2000), max_size=12), st.booleans())
def test_any_stream_in_any_cut(script: list[dict[str, Any]], places: list[int], named: bool) -> None:
    data = b"".join(map(frame, script))
    names = {"a": "b"} if named else None
    cuts = sorted({0, len(data), *(place for place in places if place < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(cuts)]
    first, second = passage(names=names, keep=True), passage(names=names, keep=True)
    whole = carry([data], first)
    assert carry(pieces, second) == whole
    assert repr(first.outcome) == repr(second.outcome)
    told = [json.loads(record) for _, record in whole]
    numbers = [value["sequence_number"] for value in told if value["type"].startswith("response.")]
    assert numbers == sorted(set(numbers))
    if all(value["type"].startswith("response.") for value in told):
        assert numbers == list(range(len(numbers)))
    assert (first.answer is not None) == isinstance(first.outcome, Finished)
    assert all(value["type"] not in ("error", "response.failed") for value in told)


def test_thinking_passes() -> None:
    script = numbered(created(), added(0, type="reasoning"), summary("Hm"), *HELLO[1:-1], ended())
    assert {"type": "response.reasoning_summary_text.delta", "delta": "Hm"}.items() <= play(script)[0][
        2
    ].items()
