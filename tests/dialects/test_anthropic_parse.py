"""Messages requests, read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatmock.conversation import (
    Attachment,
    ChatRequest,
    Image,
    Message,
    Reasoning,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from chatmock.dialects import Anthropic
from chatmock.errors import Refusal
from tests.captures import Recording, parametrised, recordings
from tests.dialects.anthropic_reading import asked

HI = {"role": "user", "content": "Hi"}
ADD = {"name": "add", "description": "d", "input_schema": {"type": "object"}}


def read(*messages: Any, **fields: Any) -> ChatRequest:
    return asked(messages=list(messages) or [HI], **fields)


def parts(*blocks: Any, role: str = "user") -> Any:
    """The parts of one message of *blocks*."""
    (message,) = read({"role": role, "content": list(blocks)}).messages
    assert message.role == role
    return message.parts


def refused(*messages: Any, **fields: Any) -> str:
    with pytest.raises(Refusal) as caught:
        read(*messages, **fields)
    assert caught.value.status == 400
    return caught.value.message


def picture(**source: str) -> Any:
    source = {"type": "base64", "media_type": "image/png", "data": "QQ==", **source}
    return {"role": "user", "content": [{"type": "image", "source": source}]}


def test_what_needs_no_more_than_its_place() -> None:
    chat = read(
        model="claude-x",
        stream=True,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        stop_sequences=["a", "", "a", "b"],
        metadata={"user_id": "me"},
        service_tier="auto",
        context_management={"edits": []},
        speed="fast",
    )
    assert chat == ChatRequest(
        "claude-x",
        (Message("user", (Text("Hi"),)),),
        asked_model="claude-x",
        otherwise="",
        stream=True,
        max_tokens=100,
        stop=("a", "b"),
        tell_stop=True,
        places=("messages.0",),
        extras={"temperature": 0.5, "top_p": 0.9, "top_k": 3, "user": chat.extras["user"]},
        source=chat.source,
        thinking="none",
    )


def test_who_asks_is_told_in_a_form_that_only_stays_the_same() -> None:
    users = [read(metadata={"user_id": user}).extras["user"] for user in ("me", "me", "m", "u" * 500)]
    assert users[0] == users[1]
    assert len(set(users)) == 3
    assert {len(user) for user in users} == {32}


@pytest.mark.parametrize(
    ("name", "model", "otherwise"),
    [
        ("claude-haiku-4-5", "small", None),
        ("claude-opus-4-7", "", ""),
        ("fast", "any", None),
        ("gpt-5", "", None),
    ],
)
def test_names_of_models(name: str, model: str, otherwise: str | None) -> None:
    aliases = {"claude-*haiku*": "small", "fast": "any", "claude-haiku-4-5": "never"}
    body = json.dumps({"model": name, "max_tokens": 1, "messages": [HI]}).encode()
    chat = Anthropic(aliases).parse(body)
    assert (chat.model, chat.asked_model, chat.otherwise) == (model or name, name, otherwise)


def test_system_turns_stand_where_they_stood() -> None:
    billing = "x-anthropic-billing-header: cc_version=2.1.177.01c; cc_entrypoint=cli; cch=36ee5;"
    chat = read(
        HI,
        {"role": "system", "content": [{"type": "text", "text": "Now"}]},
        {"role": "system", "content": ""},
        HI,
        system=[
            {"type": "text", "text": billing},
            {"type": "text", "text": "One", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Two"},
        ],
    )
    assert [(message.role, message.text) for message in chat.messages] == [
        ("system", "One\n\nTwo"),
        ("user", "Hi"),
        ("system", "Now"),
        ("user", "Hi"),
    ]
    assert read(system=f"{billing}\nBe brief.").messages[0].text == "Be brief."
    assert len(read(system=billing).messages) == 1


def test_pictures_and_documents() -> None:
    assert parts(
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
            "title": "a.PDF",
            "context": "Old.",
            "citations": {"enabled": True},
        },
        {"type": "document", "source": {"type": "url", "url": "https://example.org/a"}},
        {"type": "document", "source": {"type": "text", "data": "Word"}, "title": "T", "context": "C"},
        {
            "type": "document",
            "source": {"type": "content", "content": [{"type": "text", "text": "inner"}]},
            "title": "T",
        },
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "c"}]},
    ) == (
        Image("data:image/png;base64,QQ=="),
        Image("https://example.org/a.png"),
        Text("Old."),
        file("a.PDF", "data:application/pdf;base64,QQ=="),
        file("document.pdf", "https://example.org/a"),
        Text("T\n\nC\n\nWord"),
        Text("T\n\n"),
        Text("inner"),
        Text("t\ns\nc"),
    )


def file(name: str, data: str) -> Attachment:
    return Attachment("file", {"type": "file", "file": {"filename": name, "file_data": data}})


def test_calls_and_thinking() -> None:
    chat = read(
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "a", "signature": "chatmock.v1:rs_1:c2VhbA=="},
                {"type": "thinking", "thinking": "b", "signature": "EvQBCkYICxgCKkAx"},
                {"type": "thinking", "thinking": "", "signature": "chatmock.v1::"},
                {"type": "redacted_thinking", "data": "chatmock.v1:rs_2:dGhl"},
                {"type": "text", "text": "I call."},
                {"type": "tool_use", "id": "1", "name": "f", "input": {"a": "é"}},
            ],
        },
        results("1"),
    )
    assert chat.messages[0].parts == (
        Reasoning("a", "c2VhbA==", "rs_1"),
        Reasoning("b"),
        Reasoning("", "dGhl", "rs_2"),
        Text("I call."),
        ToolCall("1", "f", '{"a":"é"}'),
    )


def calls(*ids: str) -> Any:
    """An assistant's message with calls."""
    blocks = [{"type": "tool_use", "id": id, "name": "f", "input": {}} for id in ids]
    return {"role": "assistant", "content": blocks}


def results(*ids: str) -> Any:
    """A user's message with results."""
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id} for id in ids]}


SYSTEM = {"role": "system", "content": "Now"}


@pytest.mark.parametrize(
    "messages",
    [
        [HI, calls("1", "2"), results("2", "1")],
        [HI, calls("1"), calls("2"), results("1"), results("2"), HI],
        [HI, calls("1"), SYSTEM, results("1"), calls("1"), results("1")],
        [SYSTEM, HI, {"role": "assistant", "content": "I"}],
    ],
)
def test_each_call_has_its_result(messages: Any) -> None:
    assert len(read(*messages).messages) >= 3


UNASKED = "unexpected `tool_use_id` found in `tool_result` blocks: "
UNTOLD = "`tool_use` ids were found without `tool_result` blocks immediately after: "


@pytest.mark.parametrize(
    ("messages", "where", "why"),
    [
        ([results("1")], "messages.0.content.0", f"{UNASKED}1."),
        ([HI, calls("1"), results("1", "2")], "messages.2.content.1", f"{UNASKED}2."),
        ([HI, calls("1"), results("1"), calls("2"), results("1", "2")], "messages.4.content.0", f"{UNASKED}1."),
        ([HI, calls("1", "2"), results("1")], "messages.1", f"{UNTOLD}2."),
        ([HI, calls("1"), HI, results("1")][:3], "messages.1", f"{UNTOLD}1."),
        ([HI, calls("1")], "messages.1", f"{UNTOLD}1."),
    ],
)  # fmt: skip
def test_a_call_without_its_result_is_refused(messages: Any, where: str, why: str) -> None:
    assert refused(*messages).startswith(f"{where}: {why}")
    body = json.dumps({"model": "m", "messages": messages}).encode()
    assert Anthropic().parse_count(body).messages  # a piece of a conversation can be counted


@pytest.mark.parametrize("content", ["", [], [{"type": "text", "text": ""}]])
def test_a_user_says_something(content: Any) -> None:
    empty = {"role": "user", "content": content}
    assert refused(HI, empty) == "messages.1: user messages must have non-empty content"


@pytest.mark.parametrize(
    "content", ["", [], [{"type": "redacted_thinking", "data": "EvQB"}], [{"type": "server_tool_use"}]]
)
def test_a_turn_of_which_nothing_is_left_is_left_out(content: Any) -> None:
    chat = read(HI, {"role": "assistant", "content": content}, HI)
    assert [message.role for message in chat.messages] == ["user", "user"]
    assert refused({"role": "assistant", "content": content}) == "messages: at least one message is required"


def test_a_user_whose_words_nobody_here_can_read_is_left_out() -> None:
    chat = read(HI, {"role": "user", "content": [{"type": "container_upload", "file_id": "1"}]})
    assert (len(chat.messages), chat.ignored) == (1, ("content.container_upload",))


def test_results_go_before_what_the_user_says() -> None:
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    chat = read(
        calls("1", "2", "3", "4", "5"),
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": "one"},
                {"type": "text", "text": "And?"},
                {
                    "type": "tool_result",
                    "tool_use_id": "2",
                    "content": [{"type": "text", "text": "two"}, picture],
                    "is_error": True,
                },
                {"type": "tool_result", "tool_use_id": "3", "content": [picture], "is_error": True},
                {"type": "tool_result", "tool_use_id": "4"},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "5", "content": ""}]},
    )
    image = Image("https://example.org/a.png")
    assert [(message.role, message.parts) for message in chat.messages[1:]] == [
        ("tool", (ToolResult("1", (Text("one"),)),)),
        ("tool", (ToolResult("2", (Text("The tool failed: two"), image)),)),
        ("tool", (ToolResult("3", (Text("The tool failed: "), image)),)),
        ("tool", (ToolResult("4", (Text(""),)),)),
        ("user", (Text("And?"),)),
        ("tool", (ToolResult("5", (Text(""),)),)),
    ]


def test_what_anthropics_servers_have_done() -> None:
    chat = read(
        HI,
        {
            "role": "assistant",
            "content": [
                {"type": "server_tool_use", "id": "1", "name": "web_search", "input": {"query": "q"}},
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "1",
                    "content": [
                        {"type": "web_search_result", "title": "T", "url": "U", "encrypted_content": "x"}
                    ],
                },
                {
                    "type": "code_execution_tool_result",
                    "content": {
                        "type": "code_execution_result",
                        "stdout": "out",
                        "stderr": "",
                        "content": [],
                    },
                },
                {
                    "type": "web_fetch_tool_result",
                    "content": {
                        "url": "V",
                        "content": {"type": "document", "source": {"type": "text", "data": "fetched"}},
                    },
                },
                {"type": "redacted_thinking", "data": "EvQBCkYICxgC"},
                {"type": "text", "text": "Done"},
            ],
        },
    )
    assert [part.text for part in chat.messages[1].parts if isinstance(part, Text)] == [
        "T\nU",
        "out",
        "V\nfetched",
        "Done",
    ]
    assert chat.ignored == ("content.server_tool_use", "content.redacted_thinking")


def test_tools() -> None:
    chat = read(
        tools=[
            ADD,
            {"type": "custom", "name": "b", "input_schema": {}, "strict": True},
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "max_uses": 1,
                "user_location": {"type": "approximate", "city": "Rome"},
                "allowed_domains": ["a.org"],
            },
            {"type": "bash_20250124", "name": "bash"},
        ],
        mcp_servers=[],
    )
    assert chat.tools == (Tool("add", "d", {"type": "object"}), Tool("b", "", {}, strict=True))
    place = {"type": "approximate", "city": "Rome"}
    filters = {"allowed_domains": ["a.org"]}
    assert chat.other_tools == ({"type": "web_search", "user_location": place, "filters": filters},)
    assert chat.ignored == ("mcp_servers", "tools.web_search.max_uses", "tools.bash_20250124")


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        (None, ToolChoice(), True),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice(), False),
        ({"type": "any"}, ToolChoice("required"), True),
        ({"type": "none"}, ToolChoice("none"), True),
        ({"type": "tool", "name": "add"}, ToolChoice("named", "add"), True),
        ({"type": "tool", "name": "web_search"}, ToolChoice("required"), True),
    ],
)
def test_tool_choices(choice: Any, expected: ToolChoice, parallel: bool) -> None:
    chat = read(tools=[ADD, {"type": "web_search_20260209", "name": "web_search"}], tool_choice=choice)
    assert (chat.tool_choice, chat.parallel_tool_calls) == (expected, parallel)


@pytest.mark.parametrize(
    ("fields", "effort", "shown", "least"),
    [
        ({}, None, "none", False),
        ({"thinking": {"type": "disabled"}}, None, "none", True),
        ({"thinking": {"type": "adaptive"}}, None, "parts", False),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low", "parts", False),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "low", "parts", False),
        ({"thinking": {"type": "enabled", "budget_tokens": 4097}}, "medium", "parts", False),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999}}, "high", "parts", False),
        ({"output_config": {"effort": "xhigh"}}, "xhigh", "none", False),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "low", "parts", False),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}}, None, "none", True),
    ],
)
def test_thinking(fields: Any, effort: str | None, shown: str, least: bool) -> None:
    chat = read(**fields)
    assert (chat.reasoning_effort, chat.thinking, chat.least_effort) == (effort, shown, least)


STRICT = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "string"}}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (STRICT, True),
        ({**STRICT, "required": []}, False),
        ({**STRICT, "additionalProperties": True}, False),
        ({**STRICT, "properties": {"a": {"type": "object"}}}, False),
        ({"anyOf": [STRICT, {"type": "object", "properties": {}}]}, False),
    ],
)
def test_forms_of_the_answer(schema: Any, strict: bool) -> None:
    wanted = {"type": "json_schema", "schema": schema}
    expected = ResponseFormat("json_schema", "answer", schema, strict)
    assert read(output_config={"format": wanted}).response_format == expected
    assert read(output_format=wanted).response_format == expected


@pytest.mark.parametrize(
    ("messages", "fields", "message"),
    [
        ([HI], {"max_tokens": None}, "max_tokens: Field required"),
        ([HI], {"max_tokens": 0}, "max_tokens: It must be at least 1."),
        ([HI], {"max_tokens": "9"}, "max_tokens: Expected `int | null`, got `str`"),
        ([HI], {"model": ""}, "model: Field required"),
        ([HI], {"stop_sequences": ["a"] * 65}, "stop_sequences: 64 are the most."),
        ([HI], {"tools": [{"name": "a"}]}, "tools.0.custom.input_schema: Field required"),
        ([HI], {"tools": [ADD, {**ADD, "name": "a b"}]}, "tools.1.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
        ([HI], {"tools": [{**ADD, "name": "a\n"}]}, "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
        ([HI], {"tools": [ADD, ADD]}, "tools: Tool names must be unique."),
        ([HI], {"tools": [ADD, {"type": "bash_20250124", "name": "add"}]}, "tools: Tool names must be unique."),
        ([HI], {"tool_choice": {"type": "any"}}, "tool_choice: tool_choice may only be specified while providing tools"),
        ([HI], {"tool_choice": {"type": "tool", "name": "add"}, "tools": []}, "tool_choice: tool_choice may only be specified while providing tools"),
        ([HI], {"tool_choice": {"type": "tool", "name": "sub"}, "tools": [ADD]}, "tool_choice: Tool 'sub' not found in provided tools"),
        (
            [HI],
            {"tool_choice": {"type": "tool", "name": "bash"}, "tools": [ADD, {"type": "bash_20250124", "name": "bash"}]},
            "tool_choice: Only Anthropic's servers have the tool 'bash'.",
        ),
        *(([HI], {name: value}, f"{name}: range: 0..1") for name in ("temperature", "top_p") for value in (-0.1, 1.1, 2)),
        ([HI], {"top_k": -1}, "top_k: Input should be greater than or equal to 0"),
        ([HI], {"tools": [ADD, {"name": 1}]}, "tools.1.name: Expected `str | null`, got `int`"),
        ([HI], {"tool_choice": {"type": "tool"}}, "tool_choice.tool.name: Field required"),
        ([HI], {"metadata": {"user_id": 1}}, "metadata.user_id: Expected `str | null`, got `int`"),
        (
            [HI],
            {"thinking": {"type": "enabled"}},
            "thinking.enabled.budget_tokens: Field required",
        ),
        (
            [HI],
            {"thinking": {"type": "enabled", "budget_tokens": 1023}},
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (
            [picture(media_type="image/tiff")],
            {},
            "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'",
        ),
        *(
            ([picture(data=data)], {}, "messages.0.content.0.image.source.base64.data: invalid base64 data")
            for data in ("QQ", "Q Q=", "QQ==QQ==", "é", "=", "QQ==\n")
        ),
        ([{"role": "user"}], {}, "messages.0.content: Field required"),
        ([HI, {"content": "a"}], {}, "messages.1.role: Field required"),
        ([{"role": "user", "content": [{}]}], {}, "messages.0.content.0.type: Field required"),
        (
            [HI, {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text"}]}],
            {},
            "messages.1.content.1.text.text: Field required",
        ),
        (
            [{"role": "user", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]}],
            {},
            "messages.0.content.0: A tool_use block has no place in the content of role 'user'.",
        ),
        (
            [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "thinking"}]}]}],
            {},
            "messages.0.content.0.tool_result.content.0: A thinking block has no place in the content of role 'tool'.",
        ),
        (
            [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "1"}}]}],
            {},
            "messages.0.content.0.image.source: There is no Files API here. Send the bytes in base64, or a URL.",
        ),
    ],
)  # fmt: skip
def test_what_is_at_fault_is_named_as_anthropic_does(messages: Any, fields: Any, message: str) -> None:
    assert refused(*messages, **fields) == message


def test_no_messages() -> None:
    with pytest.raises(Refusal, match="messages: at least one message is required"):
        asked(messages=[])


def test_a_count_needs_no_limit() -> None:
    body = json.dumps({"model": "m", "messages": [HI]}).encode()
    assert Anthropic().parse_count(body).max_tokens is None


def test_what_a_client_sent_is_not_repeated_at_length() -> None:
    for fields in (
        {"tool_choice": {"type": "x" * 5000}},
        {"output_config": {"effort": "x" * 5000}},
        {"messages": [{"role": "user", "content": [{"type": "x" * 5000}]}]},
    ):
        with pytest.raises(Refusal) as caught:
            asked(**fields)
        assert len(caught.value.message) < 500


@parametrised([r for r in recordings("anthropic-messages") if r.request is not None])
def test_recorded_requests_are_read(recording: Recording) -> None:
    chat = Anthropic().parse(json.dumps(recording.request).encode())
    assert chat.messages
    assert chat.ignored == ()
