"""Responses, written: what a stream tells piece by piece is what a whole answer says, in OpenAI's own forms."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.answer import Answer
from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects import OpenAIChat, OpenAIResponses
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
from chatmock.providers.responses_decoder import ResponsesDecoder
from chatmock.providers.responses_echo import Echo
from chatmock.providers.responses_passage import ResponsesPassage
from chatmock.stream_failure import failing
from tests.captures import Recording, parametrised, recordings
from tests.dialects.reading_responses import ENDS, events_of, final, runs

DIALECT = OpenAIResponses()
IDENTITY = Identity("abc", 1_700_000_000)
PATCH = {"type": "custom", "name": "patch", "description": "Edits files."}
ADD = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": False}
DONE = Finished(("stop",))


def chat(**body: Any) -> ChatRequest:
    asked = {"model": "m", "input": "hi", "reasoning": {"summary": "auto"}, "tools": [PATCH, ADD], **body}
    return DIALECT.parse(json.dumps(asked).encode())


def stream(asked: ChatRequest, *events: Event) -> list[dict[str, Any]]:
    EventOrder().check([Opened(), *events])
    encoder = DIALECT.encoder(asked, IDENTITY)
    return events_of(b"".join(encoder.encode([event]) for event in [Opened(), *events]))


def whole(asked: ChatRequest, *events: Event) -> dict[str, Any]:
    answer = Answer()
    answer.fold([Opened(), *events])
    body: dict[str, Any] = json.loads(DIALECT.complete(asked, IDENTITY, answer))
    return body


def both(asked: ChatRequest, *events: Event) -> dict[str, Any]:
    """The answer, which is the same whether it is streamed or whole."""
    told = final(stream(asked, *events))
    assert whole(asked, *events) == told
    return told


def outputs(asked: ChatRequest, *events: Event) -> list[dict[str, Any]]:
    output: list[dict[str, Any]] = both(asked, *events, DONE)["output"]
    return output


TEXTS = st.text(max_size=5)
JSON_TEXTS = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3).map(
    json.dumps
)
CITED = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}
STEPS = st.one_of(
    st.builds(TextDelta, TEXTS),
    st.builds(RefusalDelta, TEXTS),
    st.builds(ReasoningDelta, TEXTS, st.sampled_from(["text", "summary"]), st.integers(0, 2)),
    st.builds(ReasoningSeal, st.text(min_size=1, max_size=5)),
    st.just(Annotation(CITED)),
    st.tuples(st.sampled_from(["add", "patch"]), st.lists(TEXTS, max_size=3).map("".join) | JSON_TEXTS),
)


@st.composite
def contents(draw: Any) -> list[Event]:
    """Content in any mix. The arguments of a call come in two pieces, the second perhaps after what comes next."""
    events: list[Event] = []
    late: list[Event] = []
    calls = 0
    for step in draw(st.lists(STEPS, max_size=8)):
        held, late = late, []
        if isinstance(step, tuple):
            name, arguments = step
            cut = draw(st.integers(0, len(arguments)))
            events.append(ToolCallDelta(calls, f"call_{calls}", name, arguments[:cut]))
            late.append(ToolCallDelta(calls, arguments=arguments[cut:]))
            calls += 1
        else:
            events.append(step)
        events += held
        if draw(st.booleans()):
            events += late
            late = []
    return events + late


@settings(max_examples=100, deadline=None)
@given(
    contents(),
    st.sampled_from(["stop", "length", "content_filter"]),
    st.sampled_from([None, "auto"]),
    st.booleans(),
)
def test_a_stream_says_what_a_whole_answer_says(
    content: list[Event], reason: Any, summary: str | None, store: bool
) -> None:
    asked = chat(reasoning={"summary": summary}, store=store)
    events = [*content, Usage(3, 4, 1, 2), Finished((reason,))]
    told = both(asked, *events)
    assert told["status"] == ("completed" if reason == "stop" else "incomplete")
    encoder = DIALECT.encoder(asked, IDENTITY)
    encoder.encode([Opened(), *events])
    assert (encoder.answer is not None) is store
    assert encoder.answer is None or json.loads(encoder.answer) == told


def test_text() -> None:
    events = stream(chat(), TextDelta("Hel"), TextDelta("lo"), Usage(3, 2, 1), DONE)
    assert runs(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    response = final(events)
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": "Hello"}
    assert response["output"] == [
        {"id": "msg_abc00", "type": "message", "status": "completed", "content": [part], "role": "assistant"}
    ]
    assert response["id"] == "resp_abc"
    assert response["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 5,
    }
    assert response["created_at"] == response["completed_at"] == 1_700_000_000


def test_the_text_of_a_delta_is_escaped() -> None:
    text = 'a"b\\c\n%d%s\0\u2028\U0001f600'
    assert outputs(chat(), TextDelta(text), TextDelta("%"))[0]["content"][0]["text"] == text + "%"


def test_completion_takes_its_time() -> None:
    identity = Identity("abc", 100, lambda: 2_500_000_000, 100_600_000_000)
    encoder = DIALECT.encoder(chat(), identity)
    response = events_of(encoder.encode([Opened(), TextDelta("a"), DONE]))[-1]["response"]
    assert (response["created_at"], response["completed_at"]) == (100, 103)


def test_what_was_asked_is_repeated_untouched() -> None:
    asked: dict[str, Any] = {
        "model": "m",
        "input": "hi",
        "instructions": " Be brief. ",
        "tools": [PATCH, {"type": "web_search", "filters": None}],
        "tool_choice": {"type": "custom", "name": "patch"},
        "temperature": 0.5,
        "top_p": 1,
        "metadata": {"a": "b"},
        "max_output_tokens": 100_000,
        "max_tool_calls": 3,
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "service_tier": "flex",
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "top_logprobs": 2,
        "truncation": "auto",
        "user": "u",
        "store": False,
    }
    for response in (both(chat(**asked), TextDelta("a"), DONE), stream(chat(**asked))[0]["response"]):
        assert {name: response[name] for name in asked if name != "input"} == {
            name: value for name, value in asked.items() if name != "input"
        }
        assert response["previous_response_id"] is None


def test_all_fields_are_there_where_nothing_was_asked() -> None:
    response = both(DIALECT.parse(b'{"input":"hi","model":"m"}'), TextDelta("a"), DONE)
    assert response["store"] is True
    assert response["tools"] == []
    assert response["tool_choice"] == "auto"
    assert response["text"] == {"format": {"type": "text"}}
    assert response["reasoning"] == {"effort": None, "summary": None}
    assert response["metadata"] == {}
    assert response["usage"] is None
    for recording in recordings("openai-responses"):
        others = "vllm" in recording.name or "openai_compatible" in recording.name
        if recording.kind == "json" and recording.status == 200 and not others:
            theirs = set(json.loads(recording.response)) - NOT_IN_THE_SPECIFICATION
            assert theirs <= set(response), recording.name


NOT_IN_THE_SPECIFICATION = {
    "billing",
    "conversation",
    "frequency_penalty",
    "moderation",
    "presence_penalty",
    "prompt_cache_options",
    "prompt_cache_retention",
    "tool_usage",
}
"""Fields that OpenAI's answers have as of late, and that mean nothing here."""


def test_the_conversation_goes_on_by_name() -> None:
    asked = chat()
    assert asked.source is not None
    body = {**asked.source.body, "previous_response_id": "resp_before"}
    encoder = DIALECT.encoder(
        ChatRequest("m", (), source=type(asked.source)("openai-responses", body)), IDENTITY
    )
    assert events_of(encoder.encode([Opened()]))[0]["response"]["previous_response_id"] == "resp_before"


def test_summaries_and_thinking_are_parts_of_one_item() -> None:
    thinking = [
        ReasoningDelta("Fir", "summary", 0),
        ReasoningDelta("st", "summary", 0),
        ReasoningDelta("Second", "summary", 1),
        ReasoningDelta("raw", "text", 2),
        ReasoningSeal("sealed"),
    ]
    events = stream(chat(), *thinking, TextDelta("a"), DONE)
    assert runs(events)[2:16] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert final(events)["output"][0] == {
        "id": "rs_abc00",
        "type": "reasoning",
        "summary": [
            {"type": "summary_text", "text": "First"},
            {"type": "summary_text", "text": "Second"},
        ],
        "content": [{"type": "reasoning_text", "text": "raw"}],
        "encrypted_content": "sealed",
    }


@pytest.mark.parametrize(
    ("wish", "summary", "content"),
    [(None, [], ["raw"]), ("auto", ["short"], ["raw"]), ("detailed", ["short"], ["raw"]), ("none", [], [])],
)
def test_thinking_is_shown_as_asked(wish: str | None, summary: list[str], content: list[str]) -> None:
    asked = chat(reasoning={"summary": wish})
    thinking = [ReasoningDelta("short", "summary", 0), ReasoningDelta("raw", "text", 1)]
    item = whole(asked, *thinking, TextDelta("a"), DONE)["output"][0]
    assert item["type"] == "reasoning"
    assert [part["text"] for part in item["summary"]] == summary
    assert [part["text"] for part in item.get("content", [])] == content


def test_the_older_name_of_a_summary() -> None:
    asked = chat(reasoning={"generate_summary": "concise"})
    assert outputs(asked, ReasoningDelta("short", "summary", 0))[0]["summary"]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"store": False}, False),
        ({"store": False, "include": ["reasoning.encrypted_content"]}, True),
        ({"store": True}, True),
        ({}, True),
    ],
)
def test_seals_go_to_who_asks_and_into_kept_answers(fields: dict[str, Any], shown: bool) -> None:
    item = outputs(chat(**fields), ReasoningDelta("a", "summary"), ReasoningSeal("sealed"))[0]
    assert item.get("encrypted_content") == ("sealed" if shown else None)


def test_thinking_keeps_its_upstreams_name_where_that_is_known_in_time() -> None:
    assert outputs(chat(), ReasoningSeal("sealed", "rs_upstream"))[0]["id"] == "rs_upstream"
    told = whole(chat(), ReasoningDelta("a"), ReasoningSeal("sealed", "rs_upstream"), DONE)
    assert told["output"][0]["id"] == "rs_upstream"


def test_thinking_after_a_seal_is_another_item() -> None:
    thoughts = [ReasoningDelta("a"), ReasoningSeal("s1"), ReasoningDelta("b"), ReasoningSeal("s2")]
    assert [item["encrypted_content"] for item in outputs(chat(), *thoughts)] == ["s1", "s2"]


def test_calls() -> None:
    calls = [
        ToolCallDelta(0, "call_a", "add", ""),
        ToolCallDelta(0, arguments='{"a":'),
        ToolCallDelta(0, arguments="1}"),
        ToolCallDelta(1, "call_b", "add", '{"a":2}'),
    ]
    events = stream(chat(), *calls, Finished(("tool_calls",)))
    call = [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    assert runs(events) == ["created", "in_progress", *call, *call, "completed"]
    first, second = final(events)["output"]
    assert first == {
        "id": "fc_abc00",
        "type": "function_call",
        "status": "completed",
        "arguments": '{"a":1}',
        "call_id": "call_a",
        "name": "add",
    }
    assert (second["call_id"], second["arguments"]) == ("call_b", '{"a":2}')


def test_calls_that_are_told_in_turns() -> None:
    calls = [
        ToolCallDelta(0, "call_a", "add", '{"a":'),
        ToolCallDelta(1, "call_b", "add", '{"a":'),
        ToolCallDelta(0, arguments="1}"),
        ToolCallDelta(1, arguments="2}"),
    ]
    told = outputs(chat(), TextDelta("Well"), *calls)
    assert [item.get("arguments") for item in told] == [None, '{"a":1}', '{"a":2}']


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert outputs(chat(), ToolCallDelta(0, "call_a", "add"))[0]["arguments"] == "{}"


@pytest.mark.parametrize(
    ("arguments", "input"),
    [
        ('{"input": "*** Begin\\n\\"x\\""}', '*** Begin\n"x"'),
        ('{"patch": "a"}', "a"),
        ('"a"', "a"),
        ("*** Begin", "*** Begin"),
        ('{"input": 3}', '{"input": 3}'),
        ('{"a": "1", "b": "2"}', '{"a": "1", "b": "2"}'),
        ('{"input": "cut sho', "cut sho"),
        ("[1]", "[1]"),
        ("", ""),
    ],
)
def test_a_custom_tool_is_called_with_plain_text(arguments: str, input: str) -> None:
    half = len(arguments) // 2
    calls = [
        ToolCallDelta(0, "call_a", "patch", arguments[:half]),
        ToolCallDelta(0, arguments=arguments[half:]),
    ]
    assert outputs(chat(), *calls) == [
        {
            "id": "ctc_abc00",
            "type": "custom_tool_call",
            "status": "completed",
            "input": input,
            "call_id": "call_a",
            "name": "patch",
        }
    ]


def test_a_refusal() -> None:
    told = outputs(chat(), TextDelta("Well, "), RefusalDelta("I can"), RefusalDelta("not."))
    assert [part["type"] for part in told[0]["content"]] == ["output_text", "refusal"]
    assert told[0]["content"][1] == {"type": "refusal", "refusal": "I cannot."}


def test_citations_count_from_the_part_they_are_in() -> None:
    def cited(start: Any, end: Any) -> Annotation:
        inner = {"url": "https://a.example", "start_index": start, "end_index": end}
        return Annotation({"type": "url_citation", "url_citation": inner})

    call = ToolCallDelta(0, "call_a", "add", "{}")
    told = outputs(
        chat(), TextDelta("12345"), cited(1, 5), call, TextDelta("67890"), cited(5, 10), cited(None, None)
    )
    assert [
        (a["start_index"], a["end_index"])
        for item in told
        for part in item.get("content", [])
        for a in part["annotations"]
    ] == [(1, 5), (0, 5), (0, 0)]
    assert told[0]["content"][0]["annotations"][0] == {
        "type": "url_citation",
        "url": "https://a.example",
        "start_index": 1,
        "end_index": 5,
        "title": "",
    }


def test_log_probabilities() -> None:
    def token(text: str) -> dict[str, Any]:
        top = {"token": text, "logprob": -0.5, "bytes": None}
        return {"token": text, "logprob": -0.5, "bytes": list(text.encode()), "top_logprobs": [top]}

    call = ToolCallDelta(0, "call_a", "add", "{}")
    first = TextDelta("ab", logprobs=[token("a"), token("b")])
    told = outputs(chat(top_logprobs=1), first, call, TextDelta("c", logprobs=[token("c")]))
    parts = [part for item in told for part in item.get("content", [])]
    assert [[each["token"] for each in part["logprobs"]] for part in parts] == [["a", "b"], ["c"]]
    assert parts[0]["logprobs"][0]["top_logprobs"] == [{"token": "a", "logprob": -0.5, "bytes": []}]


@pytest.mark.parametrize(
    ("reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_that_was_cut_short(reason: Any, why: str) -> None:
    calls = [ToolCallDelta(0, "a", "add", "{}"), ToolCallDelta(1, "b", "add", '{"a"')]
    told = both(chat(), TextDelta("a"), *calls, Finished((reason,)))
    assert told["incomplete_details"] == {"reason": why}
    assert told["completed_at"] is None
    assert [item["status"] for item in told["output"]] == ["completed", "completed", "incomplete"]
    told = both(chat(), TextDelta("a"), Finished((reason,)))
    assert told["output"][0]["status"] == "incomplete"


LIMITED = Refusal(Kind.RATE_LIMITED, "Too many.", code="slow_down", param="input", more={"resets_at": 5})


def test_a_failure() -> None:
    encoder = DIALECT.encoder(chat(), IDENTITY)
    written = encoder.encode([Opened(), TextDelta("a")]) + encoder.encode([Failed(LIMITED)])
    events = events_of(written)
    error, failed = events[-2:]
    assert error == {
        "type": "error",
        "sequence_number": 5,
        "code": "slow_down",
        "message": "Too many.",
        "param": "input",
        "error": {
            "message": "Too many.",
            "type": "rate_limit_error",
            "param": "input",
            "code": "slow_down",
            "resets_at": 5,
        },
    }
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == {"code": "rate_limit_exceeded", "message": "Too many."}
    assert final(events)["status"] == "failed"
    assert encoder.answer is None


def test_a_failure_before_anything_is_announced_all_the_same() -> None:
    events = events_of(DIALECT.encoder(chat(), IDENTITY).encode([Failed(LIMITED)]))
    assert runs(events) == ["created", "in_progress", "error", "failed"]


@pytest.mark.parametrize(
    ("kind", "code", "told"),
    [
        (Kind.BAD_REQUEST, "context_length_exceeded", "context_length_exceeded"),
        (Kind.BAD_REQUEST, None, "invalid_prompt"),
        (Kind.USAGE_EXHAUSTED, "usage_limit_reached", "insufficient_quota"),
        (Kind.UPSTREAM_FAILED, "upstream_truncated", "server_error"),
    ],
)
def test_failures_have_codes_that_clients_know(kind: Kind, code: str | None, told: str) -> None:
    written = DIALECT.encoder(chat(), IDENTITY).encode([Failed(Refusal(kind, "So.", code=code))])
    last = json.loads(written.split(b"\n\n")[-2].partition(b"data: ")[2])
    assert last["response"]["error"]["code"] == told


def test_other_choices_are_left_out() -> None:
    told = outputs(chat(), TextDelta("a"), TextDelta("b", 1), ReasoningDelta("c", choice=1))
    assert [item["content"][0]["text"] for item in told] == ["a"]


def test_refusals_are_openais() -> None:
    body = json.loads(DIALECT.refuse(LIMITED))
    assert body["error"]["code"] == "slow_down"
    assert DIALECT.status(LIMITED) == 429


COMPARABLE = {"message", "reasoning", "function_call"}
LIKE_OURS = [
    recording
    for recording in recordings("openai-responses", "chatgpt-codex", "xai-responses", "lmstudio-responses")
    if recording.kind == "sse"
]
UNTOLD = {"obfuscation", "phase", "status", "encrypted_content"}
"""Keys of theirs that we have nothing to say of, or not as soon; a status of reasoning is LM Studio's own."""
OURS = {"name"}
"""What the SDK had in ``function_call_arguments.done`` for a while, and the recordings do not."""


@parametrised(LIKE_OURS)
def test_recorded_answers_are_written_as_they_were(recording: Recording) -> None:
    """The same types of events in the same order, each with the same keys."""
    theirs = []
    for line in recording.response.decode().splitlines():
        if line.startswith("data: {"):
            theirs.append(json.loads(line[6:]))
            if theirs[-1]["type"] in ENDS:
                break
    items = [event["item"]["type"] for event in theirs if event["type"] == "response.output_item.added"]
    apart = ("message", "message") in pairwise(items)  # which is one text to us
    events = ResponsesDecoder("it", 1 << 24).feed(recording.response)
    if isinstance(events[-1], Failed) or not items or not set(items) <= COMPARABLE or apart:
        pytest.skip("nothing that an upstream of another dialect would tell")
    ours = stream(chat(include=["reasoning.encrypted_content"]), *events[1:])
    if recording.upstream == "lmstudio-responses":  # which tells arguments at their end only
        ours = [event for event in ours if event["type"] != "response.function_call_arguments.delta"]
    assert runs(ours) == runs(theirs)
    assert keys(ours) == keys(theirs)


def keys(events: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for event in events:
        told = {event["type"]: event}
        told |= {
            f"{event['type']} {event[name]['type']}": event[name]
            for name in ("item", "part")
            if name in event
        }
        for kind, value in told.items():
            there = {key for key in value if value[key] != [] or key != "content"}
            found.setdefault(kind, set()).update(there - UNTOLD - (OURS if value is event else set()))
    return found


def test_a_failure_goes_on_from_what_an_upstream_of_the_same_dialect_has_said() -> None:
    passage = ResponsesPassage("it", 1 << 20, Echo("resp_made_up", {}), keep=False)
    begun = {"id": "resp_theirs", "object": "response", "status": "in_progress", "output": []}
    item = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    records: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
    ]
    failed = Failed(LIMITED)
    assert failing(passage, DIALECT, failed) is None
    for number, record in enumerate(records):
        data = json.dumps({**record, "sequence_number": number}).encode()
        passage.feed(b"event: %b\ndata: %b\n\n" % (record["type"].encode(), data))
    told = failing(passage, DIALECT, failed)
    assert told is not None
    error, end = [json.loads(block.partition(b"data: ")[2]) for block in told.split(b"\n\n")[:-1]]
    assert (error["type"], error["sequence_number"]) == ("error", 2)
    assert (end["type"], end["sequence_number"]) == ("response.failed", 3)
    assert (end["response"]["id"], end["response"]["status"]) == ("resp_theirs", "failed")
    assert failing(passage, OpenAIChat(), failed) is None
