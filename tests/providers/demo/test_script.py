"""What the demo sends, read by the decoder and the passage that read every upstream of its wire."""

from __future__ import annotations

import base64
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmock.conversation import ChatRequest, Identity, Message, Text, Tool, ToolChoice
from chatmock.dialects.openai_chat import OpenAIChat
from chatmock.errors import Kind, Refusal
from chatmock.events import (
    EventOrder,
    Failed,
    Finished,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from chatmock.providers.demo import Demo, Script, script
from chatmock.providers.demo.text import tokens
from chatmock.providers.interface import Credential, UpstreamRequest

DEMO = Demo()
ME = Identity("mine", 1_700_000_000)
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}


def function(name: str, parameters: Any = WEATHER) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def chat_of(text: str = "Hello there", **body: Any) -> ChatRequest:
    whole = {"model": "demo", "messages": [{"role": "user", "content": text}], "stream": True, **body}
    return OpenAIChat().parse(json.dumps(whole).encode())


def scripted(chat: ChatRequest) -> Script:
    return script(DEMO.request(chat, Credential()))


def events_of(chat: ChatRequest, played: Script | None = None) -> list[Any]:
    """The events of an answer, which keep the order, however the bytes are cut."""
    data = b"".join(piece for _, piece in (played or scripted(chat)).steps)
    runs = []
    for size in (7, 100_000):
        decoder = DEMO.decoder(chat)
        events = [event for i in range(0, len(data), size) for event in decoder.feed(data[i : i + size])]
        events += decoder.close()
        EventOrder().check(events)
        runs.append(events)
    assert [repr(event) for event in runs[0]] == [repr(event) for event in runs[1]]
    return runs[0]


def records_of(chat: ChatRequest) -> list[Any]:
    """What a streaming client of the same dialect gets, without the final ``[DONE]``."""
    passage = DEMO.passage(chat, ME)
    out = b"".join(passage.feed(piece) for _, piece in scripted(chat).steps) + passage.close()
    assert isinstance(passage.outcome, Finished)
    *records, done, rest = out.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    return [json.loads(record.removeprefix(b"data: ")) for record in records]


def whole_of(chat: ChatRequest) -> Any:
    """What a client gets that does not stream."""
    passage = DEMO.passage(chat, ME)
    played = scripted(chat)
    assert len(played.steps) == 1
    answer = passage.whole(played.steps[0][1])
    assert isinstance(passage.outcome, Finished)
    return json.loads(answer)


def text_of(chat: ChatRequest, choice: int = 0) -> str:
    return "".join(e.text for e in events_of(chat) if isinstance(e, TextDelta) and e.choice == choice)


def refused(chat: ChatRequest) -> Refusal:
    """The refusal that the client gets, wherever on the way it arises."""
    try:
        played = scripted(chat)
    except Refusal as refusal:
        return refusal
    assert played.status >= 400
    return DEMO.refusal(played.status, played.headers, played.steps[0][1])


# --- text ---


def test_text_tells_what_arrived() -> None:
    picture = "data:image/png;base64," + base64.b64encode(bytes(1000)).decode()
    parts = [
        {"type": "text", "text": "Look here"},
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg"}},
        {"type": "image_url", "image_url": {"url": "data:text/plain,a%20b"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
    ]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    assert text_of(chat_of(messages=messages)) == (
        'You said: "Look here". I received 2 messages (1 system, 1 user). The system text is: "Be brief.".'
        " Pictures: 3 (image/png of 1000 bytes, a link to https://example.com/cat.jpg, text/plain of 3 bytes)."
        " Parts I cannot read: input_audio."
    )


def test_long_texts_are_quoted_in_part() -> None:
    text = text_of(chat_of(" ".join(f"w{i}" for i in range(1000))))
    assert 'w39…".' in text
    assert "w40" not in text


def test_a_word_comes_with_each_step_and_at_its_pace() -> None:
    played = scripted(chat_of("demo: say one two  three"))
    assert [wait for wait, _ in played.steps] == [0.0, 0.02, 0.02, 0.02, 0.0]
    assert played.ending == "complete"
    assert played.headers == {"content-type": "text/event-stream; charset=utf-8"}
    events = events_of(chat_of("demo: say one two  three"))
    assert events == [
        Opened("", 0, "demo"),
        TextDelta("one"),
        TextDelta(" two"),
        TextDelta("  three"),
        Usage(5, 3, reasoning_tokens=0),
        Finished(("stop",)),
    ]


def test_the_same_request_is_answered_the_same() -> None:
    one, other = scripted(chat_of("demo: words 9")), scripted(chat_of("demo: words 9"))
    assert list(one.steps) == list(other.steps)
    assert one == other
    assert one != scripted(chat_of("demo: words 10"))


@given(st.text())
def test_tokens_are_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text
    assert len(tokens(text)) == max(len(text.split()), 0) + (text != text.rstrip())


def test_steps_are_a_sequence() -> None:
    steps = scripted(chat_of("demo: words 100000")).steps
    assert len(steps) == 100_002
    assert b" word100000" in steps[-2][1]
    assert steps[1:3] == [steps[1], steps[2]]
    assert steps[-1] == steps[len(steps) - 1]
    with pytest.raises(IndexError):
        steps[100_002]


# --- same dialect: records ---


def test_records_get_our_id_and_time() -> None:
    records = records_of(chat_of("demo: say a b", stream_options={"include_usage": True}))
    assert {(r["id"], r["created"], r["model"], r["object"]) for r in records} == {
        ("chatcmpl-mine", 1_700_000_000, "demo", "chat.completion.chunk")
    }
    assert [r["choices"][0]["delta"] for r in records if r["choices"]] == [
        {"role": "assistant", "content": ""},
        {"content": "a"},
        {"content": " b"},
        {},
    ]
    assert records[-2]["choices"][0]["finish_reason"] == "stop"
    assert records[-1]["usage"] == {
        "prompt_tokens": 4,
        "completion_tokens": 2,
        "total_tokens": 6,
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    assert all(r["choices"] for r in records_of(chat_of("demo: say a b"))), "usage only where it is asked for"


def test_a_whole_answer_is_what_the_stream_says() -> None:
    text = "demo: think\ndemo: pace 10\nHello"
    answer = whole_of(chat_of(text, stream=False))
    assert answer["id"] == "chatcmpl-mine"
    assert answer["object"] == "chat.completion"
    events = events_of(chat_of(text))
    choice = answer["choices"][0]
    assert choice["message"] == {
        "role": "assistant",
        "content": "".join(e.text for e in events if isinstance(e, TextDelta)),
        "refusal": None,
        "reasoning_content": "".join(e.text for e in events if isinstance(e, ReasoningDelta)),
    }
    assert choice["finish_reason"] == "stop"
    counted = events[-2]
    assert answer["usage"]["completion_tokens"] == counted.completion_tokens
    assert answer["usage"]["prompt_tokens"] == counted.prompt_tokens
    (wait, _) = scripted(chat_of(text, stream=False)).steps[0]
    assert wait == pytest.approx(sum(wait for wait, _ in scripted(chat_of(text)).steps))


# --- limits ---


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_token_limit_counts_words(field: str) -> None:
    events = events_of(chat_of("demo: words 10", **{field: 3}))
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["word1", " word2", " word3"]
    assert events[-2:] == [Usage(3, 3, reasoning_tokens=0), Finished(("length",))]
    assert events_of(chat_of("demo: words 3", **{field: 3}))[-1] == Finished(("stop",))


def test_reasoning_counts_towards_the_limit() -> None:
    events = events_of(chat_of("Hello", model="demo-thinking", max_tokens=4))
    assert [type(e) for e in events] == [Opened, *[ReasoningDelta] * 4, Usage, Finished]
    assert events[-2] == Usage(1, 4, reasoning_tokens=4)
    assert events[-1] == Finished(("length",))


@pytest.mark.parametrize(
    ("stop", "text", "reason"),
    [
        ("d3", "word1 word2 wor", "stop"),
        ([" word2", "d3"], "word1", "stop"),
        (["nowhere", ""], "word1 word2 word3 word4", "stop"),
        ("word1", "", "stop"),
    ],
)
def test_stop_sequences_are_not_said(stop: Any, text: str, reason: str) -> None:
    chat = chat_of("demo: words 4", stop=stop)
    assert text_of(chat) == text
    assert events_of(chat)[-1] == Finished((reason,))


def test_a_stop_after_the_limit_is_no_stop() -> None:
    assert events_of(chat_of("demo: words 9", stop="word8", max_tokens=2))[-1] == Finished(("length",))
    assert events_of(chat_of("demo: words 9", stop=" word3", max_tokens=2))[-1] == Finished(("stop",))


def test_choices_come_side_by_side() -> None:
    events = events_of(chat_of("Hi", n=3))
    assert [e.choice for e in events if isinstance(e, TextDelta)][:6] == [0, 1, 2, 0, 1, 2]
    assert text_of(chat_of("Hi", n=3), 1).startswith('Choice 2 of 3. You said: "Hi".')
    assert events[-1] == Finished(("stop", "stop", "stop"))
    assert len(whole_of(chat_of("Hi", n=3, stream=False))["choices"]) == 3
    records = records_of(chat_of("Hi", n=3))
    assert [r["choices"][0]["index"] for r in records[:3]] == [0, 1, 2]


# --- reasoning ---


@pytest.mark.parametrize(
    ("body", "thinks"),
    [
        ({}, False),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "low"}, True),
        ({"model": "demo-thinking"}, True),
        ({"model": "demo-thinking", "reasoning_effort": "none"}, True),
        ({"text": "demo: think"}, True),
    ],
)
def test_reasoning_is_shown_before_the_text(body: dict[str, Any], thinks: bool) -> None:
    events = events_of(chat_of(**body))
    kinds = [type(e) for e in events if isinstance(e, TextDelta | ReasoningDelta)]
    reasoned = kinds.count(ReasoningDelta)
    assert (reasoned > 0) is thinks
    assert kinds == [ReasoningDelta] * reasoned + [TextDelta] * (len(kinds) - reasoned)
    assert events[-2].reasoning_tokens == reasoned
    assert events[-2].completion_tokens == len(kinds)


# --- tools ---


def calls_of(chat: ChatRequest) -> list[tuple[str, str, Any]]:
    events = events_of(chat)
    called: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            if event.id:
                called[event.index] = [event.id, event.name, ""]
            called[event.index][2] += event.arguments
    assert events[-1] == Finished(("tool_calls" if called else "stop",))
    return [(id, name, json.loads(arguments)) for id, name, arguments in called.values()]


def test_a_call_comes_in_pieces_and_fits_its_schema() -> None:
    chat = chat_of("Weather?", tools=[function("weather")])
    assert calls_of(chat) == [("call_demo_1", "weather", {"city": "example", "days": 1})]
    pieces = [e for e in events_of(chat) if isinstance(e, ToolCallDelta)]
    assert [p.arguments for p in pieces] == ["", '{"city":', ' "example",', ' "days":', " 1}"]
    assert events_of(chat)[-2].completion_tokens == 5, "the name and four words of argument"
    records = records_of(chat)
    assert records[0]["choices"][0]["delta"] == {"role": "assistant", "content": None}
    message = whole_of(chat_of("Weather?", tools=[function("weather")], stream=False))["choices"][0][
        "message"
    ]
    assert message["content"] is None
    called = {"name": "weather", "arguments": '{"city": "example", "days": 1}'}
    assert message["tool_calls"] == [{"id": "call_demo_1", "type": "function", "function": called}]


ALLOWED = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "c"}}]}


@pytest.mark.parametrize(
    ("text", "body", "names"),
    [
        ("anything", {}, ["a"]),
        ("use c and a", {}, ["a", "c"]),
        ("use c and a", {"parallel_tool_calls": False}, ["a"]),
        ("use c and a", {"tool_choice": "required"}, ["a", "c"]),
        ("use c and a", {"tool_choice": "none"}, []),
        ("use c and a", {"tool_choice": {"type": "function", "function": {"name": "b"}}}, ["b"]),
        ("anything", {"tool_choice": {"type": "allowed_tools", "allowed_tools": ALLOWED}}, ["c"]),
        ("bc, a-c and ab are other names", {}, ["a"]),
        ("demo: say no", {}, []),
    ],
)
def test_which_tools_are_called(text: str, body: dict[str, Any], names: list[str]) -> None:
    tools = [function("a"), function("b"), function("c")]
    assert [name for _, name, _ in calls_of(chat_of(text, tools=tools, **body))] == names


def test_parallel_calls_and_choices_have_ids_of_their_own() -> None:
    chat = chat_of("a b", tools=[function("a"), function("b")], n=2)
    ids = [e.id for e in events_of(chat) if isinstance(e, ToolCallDelta) and e.id]
    assert sorted(ids) == ["call_demo_1", "call_demo_2", "call_demo_3", "call_demo_4"]


def conversation(*ids: str, after: tuple[dict[str, Any], ...] = ()) -> list[dict[str, Any]]:
    called = [
        {"id": id, "type": "function", "function": {"name": "weather", "arguments": "{}"}} for id in ids
    ]
    results = [{"role": "tool", "tool_call_id": id, "content": f"result of {id}"} for id in ids]
    return [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": called},
        *results,
        *after,
    ]


def test_results_are_quoted_and_end_the_calling() -> None:
    for after in ((), ({"role": "user", "content": "a reminder from the client"},)):
        chat = chat_of(messages=conversation("x", "y", after=after), tools=[function("weather")])
        assert calls_of(chat) == []
        assert text_of(chat).startswith(
            'The tool weather answered: "result of x". The tool weather answered: "result of y". I received'
        )


def test_ids_stay_unique_in_a_conversation() -> None:
    later = ({"role": "assistant", "content": "So."}, {"role": "user", "content": "And tomorrow?"})
    for ids, following in ((("x", "y"), "call_demo_3"), (("call_demo_7",), "call_demo_8")):
        chat = chat_of(messages=conversation(*ids, after=later), tools=[function("weather")])
        assert [id for id, _, _ in calls_of(chat)] == [following]


def test_a_limit_cuts_a_call() -> None:
    chat = chat_of("weather", tools=[function("weather")], max_tokens=3)
    pieces = [e.arguments for e in events_of(chat) if isinstance(e, ToolCallDelta)]
    assert pieces == ["", '{"city":', ' "example",']
    assert events_of(chat)[-1] == Finished(("length",))


def test_custom_tools_get_free_text() -> None:
    tool = {"type": "custom", "custom": {"name": "shell", "format": {"type": "text"}}}
    records = records_of(chat_of("go", tools=[tool]))
    pieces = [c for r in records for c in r["choices"][0]["delta"].get("tool_calls", [])]
    first = {"index": 0, "id": "call_demo_1", "type": "custom", "custom": {"name": "shell", "input": ""}}
    assert pieces[0] == first
    assert "".join(piece["custom"]["input"] for piece in pieces) == "example input"
    grammar = {"type": "custom", "custom": {"name": "shell", "format": {"type": "grammar", "grammar": {}}}}
    assert refused(chat_of("go", tools=[grammar])).param == "tools[0].custom.format"


def test_a_choice_that_no_tool_meets_is_refused() -> None:
    for choice in ("required", {"type": "function", "function": {"name": "gone"}}):
        refusal = refused(chat_of(tools=[{"type": "web_search"}], tool_choice=choice))
        assert (refusal.kind, refusal.param) == (Kind.BAD_REQUEST, "tool_choice")


# --- structured output ---


def formatted(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}}


def test_structured_output_fits_its_schema_word_by_word() -> None:
    chat = chat_of(**formatted(WEATHER))
    jsonschema.validate(json.loads(text_of(chat)), WEATHER)
    assert [e.text for e in events_of(chat) if isinstance(e, TextDelta)][:2] == ['{"city":', ' "example",']


def test_punctuation_in_json_strings_stays() -> None:
    schema = {"const": {"a,b:c": 'q"\\:,', "d": [1, 2]}}
    assert json.loads(text_of(chat_of(**formatted(schema)))) == schema["const"]


def test_json_object_wraps_the_text() -> None:
    said = json.loads(text_of(chat_of('say "hi"', response_format={"type": "json_object"})))
    assert said == {"answer": text_of(chat_of('say "hi"'))}


def test_schemas_without_an_example_are_refused_with_the_field() -> None:
    hopeless = {"type": "string", "pattern": "^(?=a)b$"}
    refusal = refused(chat_of(**formatted(hopeless)))
    assert (refusal.kind, refusal.param) == (Kind.BAD_REQUEST, "response_format.json_schema.schema")
    assert "'^(?=a)b$'" in refusal.message
    tool = function("f", {"properties": {"x": hopeless}, "required": ["x"]})
    assert refused(chat_of(tools=[tool])).param == "tools[0].function.parameters"


# --- directives ---


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503, 529])
@pytest.mark.parametrize("stream", [True, False])
def test_told_to_fail_with_a_status(status: int, stream: bool) -> None:
    played = scripted(chat_of(f"demo: fail {status}", stream=stream))
    assert played.status == status
    assert json.loads(played.steps[0][1])["error"].keys() == {"message", "type", "param", "code"}
    refusal = refused(chat_of(f"demo: fail {status}", stream=stream))
    assert refusal.retry_after == (2.0 if status == 429 else None)
    kinds = {401: Kind.UNAUTHENTICATED, 404: Kind.NOT_FOUND, 429: Kind.RATE_LIMITED, 529: Kind.OVERLOADED}
    assert refusal.kind is kinds.get(status, refusal.kind)
    assert f"demo: fail {status}" in refusal.message


@pytest.mark.parametrize("tools", [[], [function("weather")]])
def test_told_to_fail_midway(tools: list[Any]) -> None:
    chat = chat_of("demo: fail midway", **({"tools": tools} if tools else {}))
    events = events_of(chat)
    assert [type(e) for e in events] == [Opened, *[ToolCallDelta if tools else TextDelta] * 5, Failed]
    assert "demo: fail midway" in events[-1].refusal.message
    assert events[-1].refusal.kind is Kind.UPSTREAM_FAILED
    assert scripted(chat).ending == "complete"


@pytest.mark.parametrize(("line", "ending"), [("cut", "cut"), ("stall", "hang")])
def test_told_to_break_off(line: str, ending: str) -> None:
    played = scripted(chat_of(f"demo: {line}\ndemo: words 50"))
    assert played.ending == ending
    assert [type(e) for e in events_of(chat_of(), played)] == [Opened, *[TextDelta] * 5, Failed]
    whole = scripted(chat_of(f"demo: {line}\ndemo: words 50", stream=False))
    assert whole.ending == ending
    assert whole.steps[0][0] == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(whole.steps[0][1])


def test_a_whole_answer_told_to_fail_midway_is_an_error() -> None:
    chat = chat_of("demo: fail midway", stream=False)
    passage = DEMO.passage(chat, ME)
    assert passage.whole(scripted(chat).steps[0][1]) == b""
    assert isinstance(passage.outcome, Failed)


@pytest.mark.parametrize("stream", [True, False])
def test_told_to_stall_first(stream: bool) -> None:
    played = scripted(chat_of("demo: stall first", stream=stream))
    assert (played.status, len(played.steps), played.ending) == (200, 0, "hang")


def test_told_to_refuse() -> None:
    events = events_of(chat_of("demo: refuse", tools=[function("weather")]))
    assert "".join(e.text for e in events if isinstance(e, RefusalDelta)).startswith(
        "I am the demo, and I decline"
    )
    assert not [e for e in events if isinstance(e, TextDelta)]
    assert events[-1] == Finished(("stop",))
    message = whole_of(chat_of("demo: refuse", stream=False))["choices"][0]["message"]
    assert message["content"] is None
    assert message["refusal"].startswith("I am the demo")


def test_lines_combine_and_are_not_part_of_the_text() -> None:
    text = "Dear demo:\r\n  demo: think\r\ndemo: pace 7\r\nhello"
    assert 'You said: "Dear demo:\nhello".' in text_of(chat_of(text))
    assert {wait for wait, _ in scripted(chat_of(text)).steps} == {0.0, 0.007}
    assert text_of(chat_of("demo: say  two  \ndemo: say lines")) == " two  \nlines"
    assert text_of(chat_of("demo: say")) == ""
    assert text_of(chat_of("demo: words 0")) == ""


def test_only_the_last_user_message_is_obeyed() -> None:
    messages = [
        {"role": "system", "content": "demo: fail 500"},
        {"role": "user", "content": "demo: fail 401"},
    ]
    messages += [{"role": "assistant", "content": "demo: cut"}, {"role": "user", "content": "hi"}]
    assert text_of(chat_of(messages=messages)).startswith('You said: "hi".')


@pytest.mark.parametrize(
    "line",
    [
        "dance",
        "",
        "fail",
        "fail 418",
        "fail 429 once",
        "words",
        "words -1",
        "words 100001",
        "words x",
        "pace 60001",
        "stall last",
        "sayings",
        "Think",
    ],
)
def test_an_unknown_line_is_refused_with_those_there_are(line: str) -> None:
    refusal = refused(chat_of(f"demo: {line}"))
    assert (refusal.kind, refusal.param) == (Kind.BAD_REQUEST, "messages")
    for known in ("fail midway", "cut", "stall first", "words N", "pace MS", "think", "refuse", "say TEXT"):
        assert known in refusal.message


@pytest.mark.parametrize(
    "lines",
    [("say a", "words 3"), ("refuse", "say a"), ("cut", "stall"), ("fail 500", "cut"), ("pace 1", "pace 2")],
)
def test_lines_that_contradict_each_other_are_refused(lines: tuple[str, str]) -> None:
    assert refused(chat_of("\n".join(f"demo: {line}" for line in lines))).param == "messages"


def test_words_are_bounded_over_all_choices() -> None:
    assert refused(chat_of("demo: words 50001", n=2)).param == "n"
    with pytest.raises(Refusal) as caught:
        chat_of(n=129)
    assert caught.value.param == "n"


# --- the provider ---


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 3}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
    ],
)
def test_what_it_does_not_have_is_refused_before_anything_is_sent(body: dict[str, Any], param: str) -> None:
    with pytest.raises(Refusal) as caught:
        DEMO.request(chat_of(**body), Credential())
    assert (caught.value.kind, caught.value.param) == (Kind.BAD_REQUEST, param)


def ignored(**body: Any) -> str | None:
    return DEMO.request(chat_of(**body), Credential()).notes.get("X-Chatmock-Ignored")


def test_fields_without_meaning_are_named() -> None:
    assert ignored() is None
    assert ignored(modalities=["text"], logprobs=False, n=2, stop="x", temperature=None) is None
    assert ignored(temperature=0, top_p=1, seed=5, user="me") == "temperature, top_p, seed, user"
    assert ignored(parallel_tool_calls=True) == "parallel_tool_calls"
    assert ignored(parallel_tool_calls=True, tools=[function("f")]) is None
    assert ignored(functions=[{"name": "f"}], function_call="auto") == "functions, function_call"
    assert ignored(tools=[function("f"), {"type": "web_search"}]) == "tools[1]"
    assert (
        ignored(stream_options={"include_usage": True, "include_obfuscation": True})
        == "stream_options.include_obfuscation"
    )


def test_names_from_the_client_cannot_break_the_header() -> None:
    assert ignored(**{"x\r\nSet-Cookie: a": 1, "größe": 1, "y" * 65: 1, "fine": 1}) == "fine, 3 more"
    many = ignored(**{f"f{i}": i for i in range(100)})
    assert many is not None
    assert many.endswith("f19, 80 more")


def test_requests_from_other_dialects_are_answered_too() -> None:
    tool = Tool("look", "", {"type": "object", "properties": {"q": {"enum": ["a"]}}})
    chat = ChatRequest(
        "demo", (Message("user", (Text("hi"),)),), tools=(tool,), tool_choice=ToolChoice("named", "look")
    )
    assert calls_of(chat) == [("call_demo_1", "look", {"q": "a"})]
    assert DEMO.request(chat, Credential()).stream, "it is folded from a stream"


def test_the_list_of_models() -> None:
    played = script(DEMO.catalogue_request(Credential()))
    assert [model.id for model in DEMO.read_catalogue(played.steps[0][1])] == ["demo", "demo-thinking"]
    assert DEMO.default_model == "demo"


def test_an_unknown_model_is_not_found() -> None:
    refusal = refused(chat_of(model="gpt-5"))
    assert (refusal.kind, refusal.code, refusal.param) == (Kind.NOT_FOUND, "model_not_found", "model")


@pytest.mark.parametrize(
    ("method", "url", "body", "status"),
    [
        ("GET", "demo:/nothing", None, 404),
        ("GET", "demo:/chat/completions", None, 404),
        ("POST", "demo:/chat/completions", None, 400),
        ("POST", "demo:/chat/completions", b'{"model": "demo"}', 400),
        ("POST", "demo:/chat/completions", b'{"model": "demo", "messages": []}', 200),
    ],
)
def test_it_always_answers(method: str, url: str, body: bytes | None, status: int) -> None:
    assert script(UpstreamRequest(method, url, {}, body)).status == status
