"""Responses requests, read: items become messages, and what other APIs do not know is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.conversation import (
    Attachment,
    ChatRequest,
    Identity,
    Image,
    Message,
    Reasoning,
    RefusalText,
    ResponseFormat,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from chatmock.dialects import OpenAIResponses
from chatmock.dialects.responses_parse import parse_object
from chatmock.dialects.responses_tools import unwrapped_input, wrapped_input
from chatmock.errors import Kind, Refusal
from chatmock.providers.openai_request import request_body
from tests.captures import Recording, parametrised, recordings

DIALECT = OpenAIResponses()


def read(input: Any = "hi", **body: Any) -> ChatRequest:
    return DIALECT.parse(json.dumps({"model": "m", "input": input, **body}).encode())


def refused(**body: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        DIALECT.parse(json.dumps({"model": "m", "input": "hi", **body}).encode())
    assert caught.value.kind is Kind.BAD_REQUEST
    return caught.value


def call(id: str, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": id, "name": "f", "arguments": "{}", **more}


def result(id: str, output: Any = "out") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": output}


def said(role: str, *content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(content), **more}


def spoken(text: str) -> dict[str, Any]:
    return said("assistant", {"type": "output_text", "text": text, "annotations": []})


THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
HI = Message("user", (Text("hi"),))


def test_a_text() -> None:
    chat = read()
    assert chat.messages == (HI,)
    assert (chat.model, chat.stream, chat.keep, chat.thinking) == ("m", False, True, "parts")
    assert chat.source is not None
    assert chat.source.wire == "openai-responses"
    assert chat.source.body == {"model": "m", "input": "hi"}
    assert chat.ignored == ()
    assert chat.extras == {}


def test_instructions_come_first() -> None:
    assert read(instructions="Be brief.").messages == (Message("system", (Text("Be brief."),)), HI)
    assert read(instructions=" ").messages == (HI,)


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
def test_messages_of_every_role_with_and_without_a_type(role: str) -> None:
    for item in ({"role": role, "content": "hi"}, {"type": "message", "role": role, "content": "hi"}):
        assert read([item]).messages == (Message(role, (Text("hi"),)),)


def test_parts() -> None:
    parts = [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "low"},
        {"type": "input_image", "image_url": "https://a.example/b.png"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
        {"type": "input_text", "text": ""},
    ]
    assert read([said("user", *parts)]).messages[0].parts == (
        Text("a"),
        Image("data:image/png;base64,QUJD", "low"),
        Image("https://a.example/b.png"),
        Attachment(
            "file",
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"},
            },
        ),
        Attachment("file", {"type": "file", "file": {"file_id": "file-1"}}),
        Attachment("input_audio", parts[5]),
    )
    declined = said("assistant", {"type": "refusal", "refusal": "No."})
    assert read([declined]).messages[0].parts == (RefusalText("No."),)


def test_a_turn_is_one_message_and_its_results_follow() -> None:
    items = [
        said("user", {"type": "input_text", "text": "hi"}),
        THOUGHT,
        spoken("Well."),
        call("a"),
        call("b"),
    ]
    chat = read([*items, result("a"), result("b", [{"type": "input_text", "text": "x"}]), spoken("Done.")])
    assert chat.messages == (
        HI,
        Message(
            "assistant",
            (
                Reasoning("hm", "", "rs_1"),
                Text("Well."),
                ToolCall("a", "f", "{}"),
                ToolCall("b", "f", "{}"),
            ),
        ),
        Message("tool", (ToolResult("a", (Text("out"),)),)),
        Message("tool", (ToolResult("b", (Text("x"),)),)),
        Message("assistant", (Text("Done."),)),
    )


def test_thinking_and_text_between_parallel_calls_stay_in_their_turn() -> None:
    chat = read([spoken("One."), call("a"), THOUGHT, spoken("Two."), call("b"), result("a"), result("b")])
    assert [message.role for message in chat.messages] == ["assistant", "tool", "tool"]
    assert chat.messages[0].parts[0] == Text("One.")
    body = request_body(chat, "openai-chat", stream=False)
    assert body["messages"][0]["content"] == "One.\n\nTwo."
    assert [each["id"] for each in body["messages"][0]["tool_calls"]] == ["a", "b"]


def test_calls_one_after_the_other_are_turns_of_their_own() -> None:
    chat = read([call("a"), result("a"), call("b"), result("b")])
    assert [message.role for message in chat.messages] == ["assistant", "tool", "assistant", "tool"]


def test_texts_one_after_the_other_are_messages_of_their_own() -> None:
    assert [message.text for message in read([spoken("a"), spoken("b")]).messages] == ["a", "b"]
    assert [message.text for message in read([spoken("a"), THOUGHT, spoken("b")]).messages] == ["a", "hmb"]


def test_thinking_that_led_to_nothing_is_left_out() -> None:
    assert read([THOUGHT, said("user", {"type": "input_text", "text": "hi"})]).messages == (HI,)


def test_thinking_is_its_text_else_its_summary() -> None:
    thought = {**THOUGHT, "content": [{"type": "reasoning_text", "text": "raw"}], "encrypted_content": "s"}
    chat = read([thought, call("a"), {**THOUGHT, "summary": [*THOUGHT["summary"], *THOUGHT["summary"]]}])
    assert chat.messages[0].parts[0] == Reasoning("raw", "s", "rs_1")
    assert chat.messages[0].parts[2] == Reasoning("hm\n\nhm", "", "rs_1")


def test_results_of_any_form() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,QUJD"}
    for output, parts in (
        ("", ()),
        (None, ()),
        ({"a": 1}, (Text('{"a":1}'),)),
        ([image], (Image(image["image_url"]),)),
    ):
        assert read([call("a"), result("a", output)]).messages[1] == Message(
            "tool", (ToolResult("a", parts),)
        )


def test_custom_tools_are_functions_to_others() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
    patch = {"type": "custom", "name": "patch", "description": "Edits files.", "format": grammar}
    items = [
        {"type": "custom_tool_call", "call_id": "a", "name": "patch", "input": 'x "y"\n'},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "ok"},
    ]
    chat = read(items, tools=[patch], tool_choice={"type": "custom", "name": "patch"})
    assert chat.messages[0].parts == (ToolCall("a", "patch", '{"input":"x \\"y\\"\\n"}'),)
    tool = chat.tools[0]
    assert tool.description == "Edits files.\n\nThe string 'input' must match this Lark grammar:\nstart: WORD"
    assert tool.parameters is not None
    assert tool.parameters["required"] == ["input"]
    assert chat.tool_choice == ToolChoice("named", "patch")
    plain = read(tools=[{"type": "custom", "name": "shell", "format": {"type": "text"}}])
    assert plain.tools[0].description == ""
    regex = {**patch, "format": {"type": "grammar", "syntax": "regex", "definition": "a+"}}
    assert "regular expression:\na+" in read(tools=[regex]).tools[0].description


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_the_input_of_a_custom_tool_comes_back(text: str) -> None:
    assert unwrapped_input(wrapped_input(text)) == text


def test_functions() -> None:
    flat = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}
    deeper = {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}, "strict": True}}
    chat = read(
        tools=[{**flat, "strict": None}, deeper, {"type": "web_search"}, {"type": "namespace", "name": "n"}]
    )
    assert [(tool.name, tool.description, tool.strict) for tool in chat.tools] == [
        ("f", "d", False),
        ("g", "", True),
    ]
    assert chat.other_tools == ({"type": "web_search"}, {"type": "namespace", "name": "n"})


def test_tools_that_the_input_adds() -> None:
    added = {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "g"}]}
    chat = read([{"role": "user", "content": "hi"}, added], tools=[{"type": "function", "name": "f"}])
    assert [tool.name for tool in chat.tools] == ["f", "g"]
    assert chat.messages == (HI,)
    assert chat.ignored == ()


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        ("auto", ToolChoice()),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("named", "f")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("named", "f")),
        (None, ToolChoice()),
    ],
)
def test_choices(choice: Any, read_as: ToolChoice) -> None:
    assert read(tools=[{"type": "function", "name": "f"}], tool_choice=choice).tool_choice == read_as


def test_only_allowed_tools_are_offered() -> None:
    tools = [{"type": "function", "name": name} for name in "fgh"]
    allowed = [{"type": "function", "name": "f"}, {"type": "function", "name": "h"}, {"type": "web_search"}]
    for mode in ("auto", "required"):
        chat = read(tools=tools, tool_choice={"type": "allowed_tools", "mode": mode, "tools": allowed})
        assert [tool.name for tool in chat.tools] == ["f", "h"]
        assert chat.tool_choice.mode == mode


def test_a_choice_of_a_tool_of_the_upstreams_means_nothing_elsewhere() -> None:
    chat = read(tools=[{"type": "web_search"}], tool_choice={"type": "web_search"})
    assert chat.tool_choice == ToolChoice()
    assert chat.ignored == ("tool_choice",)


def test_fields_under_the_names_of_openai_chat() -> None:
    chat = read(
        stream=True,
        max_output_tokens=5,
        parallel_tool_calls=False,
        temperature=0.5,
        top_p=1,
        reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "low"},
        user="u",
        service_tier="flex",
        prompt_cache_key="k",
        safety_identifier="s",
        store=False,
    )
    assert (chat.stream, chat.max_tokens, chat.parallel_tool_calls, chat.keep) == (True, 5, False, False)
    assert chat.reasoning_effort == "low"
    assert chat.extras == {
        "temperature": 0.5,
        "top_p": 1,
        "user": "u",
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "verbosity": "low",
    }
    assert chat.ignored == ()


def test_no_field_of_this_api_alone_goes_to_another() -> None:
    chat = read(
        store=True,
        include=["reasoning.encrypted_content"],
        metadata={"a": "b"},
        truncation="disabled",
        reasoning={"summary": "auto"},
        stream_options={"include_obfuscation": False},
        background=False,
        api_base="https://a.example",
        **{"strange name\r\n": 1},
    )
    sent = request_body(chat, "openai-chat", stream=True)
    assert set(sent) == {"model", "messages", "stream", "stream_options"}
    assert chat.ignored == ("api_base",)


def test_what_means_nothing_to_others_is_named() -> None:
    items = [
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "web_search_call", "id": "ws_2", "status": "completed"},
        {"type": "local_shell_call", "call_id": "a", "action": {}},
        {"id": "msg_1"},
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "odd\r\nX-Evil: 1"},
        said("user", {"type": "input_text", "text": "hi"}, {"type": "input_image", "file_id": "f"}),
        said("user", {"type": "input_file", "file_url": "https://a.example/b.pdf"}),
    ]
    chat = read(items, truncation="auto", max_tool_calls=3, client_metadata={})
    assert chat.messages == (HI,)
    assert chat.ignored == (
        "input.web_search_call",
        "input.local_shell_call",
        "input.item_reference",
        "input.compaction",
        "input",
        "input_image.file_id",
        "input_file.file_url",
        "truncation",
        "max_tool_calls",
        "client_metadata",
    )
    assert len(read(**{f"field_{i}": 1 for i in range(50)}).ignored) == 20


@pytest.mark.parametrize(
    ("format", "read_as"),
    [
        (None, ResponseFormat()),
        ({"type": "text"}, ResponseFormat()),
        ({"type": "json_object"}, ResponseFormat("json_object")),
        (
            {
                "type": "json_schema",
                "name": "n",
                "schema": {"type": "object"},
                "strict": True,
                "description": "d",
            },
            ResponseFormat("json_schema", "n", {"type": "object"}, strict=True),
        ),
    ],
)
def test_formats(format: Any, read_as: ResponseFormat) -> None:
    assert read(text={"format": format}).response_format == read_as


def test_log_probabilities() -> None:
    assert (read(top_logprobs=3).logprobs, read(top_logprobs=3).top_logprobs) == (True, 3)
    included = read(include=["message.output_text.logprobs"])
    assert (included.logprobs, included.top_logprobs) == (True, None)
    assert (read(top_logprobs=0).logprobs, read(top_logprobs=0).top_logprobs) == (False, None)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["a"]}, "input[0]"),
        ({"input": [{"a": 1}]}, "input[0].type"),
        ({"input": [{"role": "tool", "content": "a"}]}, "input[0].role"),
        ({"input": [{"role": ["user"], "content": "a"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 3}]}, "input[0].content"),
        ({"input": [said("user", "a")]}, "input[0].content[0].type"),
        ({"input": [said("user", {"type": "input_text", "text": 3})]}, "input[0].content[0].text"),
        ({"input": [said("user", {"type": "input_image"})]}, "input[0].content[0].image_url"),
        ({"input": [said("user", {"type": "input_file"})]}, "input[0].content[0].file_data"),
        ({"input": [call("a", name="")]}, "input[0]"),
        ({"input": [call("a", arguments={})]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": ""}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": 3}]}, "tools[0].parameters"),
        ({"tools": [{"type": "custom"}]}, "tools[0].name"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.tools"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"metadata": {"a": 1}}, "metadata[...]"),
        ({"include": "all"}, "include"),
        ({"truncation": "some"}, "truncation"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ],
    ids=lambda value: str(value)[:70],
)
def test_faults_are_named(body: dict[str, Any], param: str) -> None:
    assert refused(**body).param == param


def test_who_knows_the_conversation_may_go_on() -> None:
    body = {"model": "m", "input": [{"role": "user", "content": "hi"}], "previous_response_id": "resp_1"}
    chat = parse_object(body)
    assert chat.messages == (HI,)
    assert chat.source is not None
    assert chat.source.body is body


REQUESTS = [
    recording
    for recording in recordings("openai-responses", "xai-responses", "openrouter-responses", "chatgpt-codex")
    if recording.request is not None and not recording.request.get("background")
]


@parametrised(REQUESTS)
def test_recorded_requests_are_read(recording: Recording) -> None:
    """Every text in a message, a call or a result arrives at an upstream of another dialect."""
    assert recording.request is not None
    chat = parse_object(recording.request)
    sent = request_body(chat, "openai-chat", stream=False)
    told = "".join(json.dumps(message) for message in sent["messages"])
    items = recording.request["input"]
    for item in items if isinstance(items, list) else []:
        content = item.get("content") if item.get("type", "message") == "message" else item.get("output")
        parts = content if isinstance(content, list) else [{"text": content or ""}]
        for part in parts:
            assert json.dumps(part.get("text") or "")[1:-1] in told
        if item.get("type") == "function_call":
            assert item["call_id"] in told
    calls = [call["id"] for message in sent["messages"] for call in message.get("tool_calls", ())]
    assert len(calls) == len(set(calls))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "role",
                    "content",
                    "text",
                    "output",
                    "call_id",
                    "name",
                    "tools",
                    "summary",
                    "id",
                    "function",
                ]
            ),
            inner
            | st.sampled_from(
                [
                    "message",
                    "user",
                    "assistant",
                    "function_call",
                    "custom",
                    "reasoning",
                    "input_text",
                    "function",
                ]
            ),
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["input", "tools", "tool_choice", "reasoning", "text", "include", "metadata", "prompt"]
        ),
        JSON,
    )
)
def test_any_body_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        chat = parse_object(body)
    except Refusal:
        return
    request_body(chat, "openai-chat", stream=False)
    DIALECT.encoder(chat, Identity("abc", 0))
    assert all(name.isascii() and name.isprintable() for name in chat.ignored)


def test_faults_are_told_of_the_items_that_the_client_has_sent() -> None:
    items = [said("user", {"type": "input_text", "text": "Hi"}), spoken("Hello"), result("c")]
    asked = parse_object({"input": [*items, said("user", {"type": "input_text", "text": "?"})]}, 2)
    assert asked.places == ("previous_response_id", "previous_response_id", "input[0]", "input[1]")
    with pytest.raises(Refusal) as caught:
        parse_object({"input": [*items, {"role": "nobody"}]}, 2)
    assert caught.value.param == "input[1].role"
