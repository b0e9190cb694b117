"""Messages as input items."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock.conversation import ChatRequest, Image, Message, Reasoning, Text, ToolCall, ToolResult
from chatmock.model import Model
from tests.providers.chatgpt.asking import HELLO, asked, body, parsed, refusal

PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}}
ADD = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
INPUT_PICTURE = {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"}


def says(role: str, *texts: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text} for text in texts]}


def call(id: str, name: str = "add", arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}


def output(id: str, text: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": text}


def items(*messages: Any) -> Any:
    return body(messages=list(messages))["input"]


def of(*messages: Message) -> Any:
    return asked(ChatRequest("m", messages)).body["input"]


def test_leading_system_texts_become_the_instructions() -> None:
    made = body(
        messages=[
            {"role": "system", "content": "One."},
            {
                "role": "developer",
                "content": [{"type": "text", "text": "Two."}, {"type": "text", "text": "Three."}],
            },
            {"role": "system", "content": "  "},
            *HELLO,
        ]
    )
    assert made["instructions"] == "One.\n\nTwo.\n\nThree."
    assert made["input"] == [says("user", "Hello")]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_later_ones_stay_in_place(role: str) -> None:
    made = body(messages=[*HELLO, {"role": role, "content": "Be brief."}, {"role": "user", "content": "Bye"}])
    assert made["instructions"] == ""
    assert made["input"] == [says("user", "Hello"), says("developer", "Be brief."), says("user", "Bye")]


def test_a_picture_among_system_texts_stays_in_the_input() -> None:
    made = body(messages=[{"role": "system", "content": "One."}, {"role": "system", "content": [PICTURE]}])
    assert made["instructions"] == "One."
    assert made["input"] == [{"type": "message", "role": "developer", "content": [INPUT_PICTURE]}]


@pytest.mark.parametrize(
    ("messages", "instructions"),
    [
        (HELLO, "Be good."),
        ([{"role": "system", "content": " "}, *HELLO], "Be good."),
        ([{"role": "system", "content": "Mine."}, *HELLO], "Mine."),
    ],
)
def test_the_owners_instructions(messages: Any, instructions: str) -> None:
    assert asked(parsed(messages=messages), instructions="Be good.").body["instructions"] == instructions


@pytest.mark.parametrize(
    "messages", [[{"role": "system", "content": "Only this."}], [{"role": "user", "content": ""}]]
)
def test_an_empty_input_gets_a_blank(messages: Any) -> None:
    assert items(*messages) == [says("user", " ")]


def test_text_goes_before_the_calls_it_led_to() -> None:
    given = items(
        *HELLO,
        {"role": "assistant", "content": "I add.", "refusal": "I do not.", "tool_calls": [ADD]},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    )
    assert given[1:] == [
        says("assistant", "I add.", "I do not."),
        call("call_1", "add", '{"a":1}'),
        output("call_1", "2"),
    ]


def test_results_go_before_the_text_they_come_with() -> None:
    given = of(
        Message("assistant", (ToolCall("c", "add", ""), Text("Adding."))),
        Message("user", (Text("Go on."), ToolResult("c", (Text("2"), Text("3"))))),
    )
    assert given == [says("assistant", "Adding."), call("c"), output("c", "2\n3"), says("user", "Go on.")]


def test_an_image_keeps_its_detail() -> None:
    plain = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ"}}
    given = items({"role": "user", "content": [{"type": "text", "text": "Look"}, PICTURE, plain]})
    assert given[0]["content"] == [
        {"type": "input_text", "text": "Look"},
        INPUT_PICTURE,
        {"type": "input_image", "image_url": "data:image/png;base64,QQ=="},
    ]


@pytest.mark.parametrize(
    "file", [{"file_id": "file_1"}, {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="}]
)
def test_a_file(file: dict[str, str]) -> None:
    given = items({"role": "user", "content": [{"type": "file", "file": file}]})
    assert given[0]["content"] == [{"type": "input_file", **file}]


def test_a_result_with_a_picture_is_a_list() -> None:
    given = items(
        {"role": "assistant", "tool_calls": [ADD]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "Here"}, PICTURE]},
    )
    assert given[1]["output"] == [{"type": "input_text", "text": "Here"}, INPUT_PICTURE]


@pytest.mark.parametrize(
    ("role", "part", "param"),
    [
        ("assistant", PICTURE, "messages[1].content[1]"),
        ("assistant", {"type": "file", "file": {"file_id": "f"}}, "messages[1].content[1]"),
        (
            "user",
            {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
            "messages[1].content[1]",
        ),
        ("user", {"type": "video_url", "video_url": {"url": "x"}}, "messages[1].content[1]"),
        ("user", {"type": "file", "file": {"filename": "a"}}, "messages[1].content[1].file"),
        ("user", {"type": "file"}, "messages[1].content[1].file"),
    ],
)
def test_parts_that_are_refused(role: str, part: Any, param: str) -> None:
    content = [{"type": "text", "text": "Look"}, part]
    refused = refusal(parsed(messages=[*HELLO, {"role": role, "content": content}]))
    assert refused.param == param
    assert param.removesuffix(".file") in str(refused)


@pytest.mark.parametrize("inputs", [("text",), ("text", "image"), ()])
def test_a_picture_for_a_model_that_may_not_see(inputs: tuple[str, ...]) -> None:
    shown = [{"role": "user", "content": [PICTURE]}]
    result = [
        {"role": "assistant", "tool_calls": [ADD]},
        {"role": "tool", "tool_call_id": "call_1", "content": [PICTURE]},
    ]
    for position, messages in enumerate((shown, result)):
        chat = parsed(Model("m", inputs=inputs), messages=messages)
        if inputs == ("text",):
            assert refusal(chat).param == f"messages[{position}].content[0]"
            assert "reads no pictures" in str(refusal(chat))
        else:
            assert asked(chat).body["input"]


def test_results_without_their_call_are_named() -> None:
    orphan = {"role": "tool", "tool_call_id": "call_9", "content": "2"}
    other = {"role": "tool", "tool_call_id": "call_8", "content": "2"}
    refused = refusal(parsed(messages=[*HELLO, orphan, other]))
    assert refused.param == "messages[1].tool_call_id"
    assert "'call_9', 'call_8'" in str(refused)


def test_a_result_before_its_call_is_named() -> None:
    result = {"role": "tool", "tool_call_id": "call_1", "content": "2"}
    assert "call_1" in str(refusal(parsed(messages=[result, {"role": "assistant", "tool_calls": [ADD]}])))


def test_many_orphans_are_counted() -> None:
    orphans = [{"role": "tool", "tool_call_id": f"call_{n}", "content": "2"} for n in range(8)]
    assert "'call_4' and 3 more" in str(refusal(parsed(messages=orphans)))


def test_calls_without_an_id_get_one_and_so_do_their_results() -> None:
    given = of(
        Message("assistant", (ToolCall("", "add", "{}"), ToolCall("", "sub", "{}"))),
        Message("tool", (ToolResult("", (Text("1"),)),), "sub"),
        Message("tool", (ToolResult("", (Text("2"),)),)),
        Message("assistant", (ToolCall("call_chatmock_1", "add", "{}"),)),
    )
    ids = [item["call_id"] for item in given]
    assert ids[:2] == [ids[3], ids[2]]
    assert len(set(ids)) == 3
    assert given[4] == call("call_chatmock_1")


def test_a_result_without_an_id_and_without_a_call() -> None:
    assert "without an id" in str(refusal(ChatRequest("m", (Message("tool", (ToolResult("", ()),)),))))


def test_functions_called_by_name_again_and_again() -> None:
    turn = [
        {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": "{}"}},
        {"role": "function", "name": "add", "content": "1"},
    ]
    given = items(*turn, *turn)
    ids = [item["call_id"] for item in given]
    assert ids[0] == ids[1] == "add"
    assert ids[2] == ids[3] != "add"


def test_an_id_that_is_too_long_is_replaced() -> None:
    long = "i" * 65
    given = of(Message("assistant", (ToolCall(long, "add", "{}"),)), Message("tool", (ToolResult(long, ()),)))
    assert given == [call(given[0]["call_id"]), output(given[0]["call_id"], "")]
    assert len(given[0]["call_id"]) <= 64


def test_a_result_that_comes_twice_keeps_its_call() -> None:
    result = Message("tool", (ToolResult("c", (Text("1"),)),))
    assert of(Message("assistant", (ToolCall("c", "add", "{}"),)), result, result) == [
        call("c"),
        output("c", "1"),
        output("c", "1"),
    ]


def test_a_tool_that_answers_no_call() -> None:
    chat = ChatRequest("m", (Message("tool", (Text("1"),)),))
    assert refusal(chat).param == "messages[0].tool_call_id"


def test_made_ids_stay_when_the_conversation_goes_on() -> None:
    begun = (Message("user", (Text("a"),)), Message("assistant", (ToolCall("", "add", "{}"),)))
    assert of(*begun, Message("assistant", (ToolCall("", "sub", "{}"),)))[:2] == of(*begun)


def test_the_client_s_picture_is_not_copied() -> None:
    url = "data:image/png;base64," + "QUJD" * 1000
    given = of(Message("user", (Image(url),)))
    assert given[0]["content"][0]["image_url"] is url


def thought(value: str, text: str = "") -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"type": "reasoning", "summary": summary, "encrypted_content": value}


def test_sealed_thinking_goes_before_what_it_led_to() -> None:
    said = (
        Reasoning("Look first.", "one", "rs_1"),
        Text("I look."),
        ToolCall("c", "add", "{}"),
        Reasoning("", "two"),
        ToolCall("d", "add", "{}"),
    )
    results = Message("user", (ToolResult("c", (Text("1"),)), ToolResult("d", (Text("2"),))))
    given = of(Message("user", (Text("Hi"),)), Message("assistant", said), results)
    assert given[1:] == [
        thought("one", "Look first."),
        says("assistant", "I look."),
        call("c"),
        thought("two"),
        call("d"),
        output("c", "1"),
        output("d", "2"),
    ]


def test_thinking_without_a_seal_or_without_an_outcome_is_left_out() -> None:
    hello = Message("user", (Text("Hi"),))
    assert of(hello, Message("assistant", (Reasoning("Hm"), Text("Hi")))) == [
        says("user", "Hi"),
        says("assistant", "Hi"),
    ]
    assert of(hello, Message("assistant", (Text("Hi"), Reasoning("Hm", "seal")))) == [
        says("user", "Hi"),
        says("assistant", "Hi"),
    ]
    assert of(hello, Message("assistant", (Reasoning("Hm", "seal"),))) == [says("user", "Hi")]
    several = Message("assistant", (Reasoning("", "one"), Reasoning("", "two"), Text("Hi")))
    assert of(hello, several)[1:] == [thought("one"), thought("two"), says("assistant", "Hi")]


def test_unsealed_thinking_does_not_part_what_belongs_together() -> None:
    said = Message("assistant", (ToolCall("c", "add", "{}"), Reasoning("Hm"), Text("I add.")))
    given = of(Message("user", (Text("Hi"),)), said, Message("tool", (ToolResult("c", (Text("1"),)),)))
    assert given[1:3] == [says("assistant", "I add."), call("c")]
