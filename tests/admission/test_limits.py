"""Limits are exact at both edges, and name themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatmock.admission.limits import Limits
from chatmock.conversation import Attachment, ChatRequest, Image, Message, Text, ToolResult
from chatmock.dialects import DIALECTS
from chatmock.errors import Refusal
from chatmock.settings import Settings
from tests.security.verdicts import ASKING

LIMITS = Limits.of(Settings())
parse_responses = next(dialect.parse for dialect in DIALECTS if dialect.name == "openai-responses")
parse_chat = next(dialect.parse for dialect in DIALECTS if dialect.name == "openai-chat")


def chat(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest("m", messages, **more)


def said(text: str) -> Message:
    return Message("user", (Text(text),))


@pytest.mark.parametrize(
    ("allowed", "over", "setting"),
    [
        (chat(*[said("x")] * 64), chat(*[said("x")] * 65), "CHATMOCK_MAX_MESSAGES"),
        (chat(said("x" * 16384)), chat(said("x" * 16385)), "CHATMOCK_MAX_MESSAGE_CHARS"),
        (chat(said("ä" * 16384)), chat(said("ä" * 16385)), "CHATMOCK_MAX_MESSAGE_CHARS"),
        (
            chat(Message("user", (Text("x" * 16380), Text("yyyy")))),
            chat(Message("user", (Text("x" * 16380), Text("yyyyy")))),
            "CHATMOCK_MAX_MESSAGE_CHARS",
        ),
        (
            chat(Message("tool", (ToolResult("1", (Text("x" * 16384),)),))),
            chat(Message("tool", (ToolResult("1", (Text("x" * 16385),)),))),
            "CHATMOCK_MAX_MESSAGE_CHARS",
        ),
        (
            chat(*[said("x" * 16384)] * 16),
            chat(*[said("x" * 16384)] * 16, said("x")),
            "CHATMOCK_MAX_TOTAL_BYTES",
        ),
        (
            chat(*[said("ä" * 8192)] * 16),
            chat(*[said("ä" * 8192)] * 16, said("x")),
            "CHATMOCK_MAX_TOTAL_BYTES",
        ),
    ],
)
def test_edges(allowed: ChatRequest, over: ChatRequest, setting: str) -> None:
    assert LIMITS.apply(allowed) == (allowed, {})
    with pytest.raises(Refusal, match=setting) as caught:
        LIMITS.apply(over)
    assert caught.value.status == 400


def test_stop_sequences_have_a_limit_together() -> None:
    LIMITS.apply(chat(said("a"), stop=("a" * 4000, "é" * 48)))
    with pytest.raises(Refusal, match="'stop' has 4097 bytes") as caught:
        LIMITS.apply(chat(said("a"), stop=("a" * 4000, "é" * 48, "a")))
    assert (caught.value.status, caught.value.param) == (400, "stop")


def test_inline_pictures_and_files_have_a_limit_of_their_own() -> None:
    small = Limits.of(Settings(max_image_bytes=3000))
    picture = Message("user", (Image("data:image/png;base64," + "A" * 3000),))
    assert small.apply(chat(picture)) == (chat(picture), {})
    sound = Attachment("input_audio", {"type": "input_audio", "input_audio": {"data": "A" * 5000}})
    for part in (Image("data:image/png;base64," + "A" * 5000), sound, ToolResult("1", (sound,))):
        with pytest.raises(Refusal, match="CHATMOCK_MAX_IMAGE_BYTES"):
            small.apply(chat(Message("user", (part,))))
    link = Message("user", (Image("https://example.org/" + "a" * 5000),))
    assert small.apply(chat(link)) == (chat(link), {})


def test_the_pictures_of_a_request_are_counted_together() -> None:
    limits = Limits.of(Settings(max_image_bytes=3000))
    picture = Image("data:image/png;base64," + "A" * (1000 - 22))
    file = Attachment("file", {"type": "file", "file": {"file_data": picture.url, "filename": "a.png"}})
    four = chat(Message("user", (picture, picture)), Message("tool", (ToolResult("1", (picture, file)),)))
    assert limits.apply(four) == (four, {})
    for one_more in (Image("data:,a"), file, ToolResult("1", (file,))):
        with pytest.raises(Refusal, match="CHATMOCK_MAX_IMAGE_BYTES"):
            limits.apply(chat(*four.messages, Message("user", (one_more,))))


def test_messages_and_the_rest_of_a_request_have_the_same_limit_each() -> None:
    said_all: list[Any] = [{"role": "user", "content": "ä" * 8192}] * 16
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 500_000}}
    body: dict[str, Any] = {
        "model": "m",
        "messages": [*said_all, {"role": "user", "content": [picture]}],
        "user": "",
    }
    written = sum(map(len, ("model", "m", "messages", "user", *["role", "user", "content"] * 17)))
    written += sum(map(len, ("type", "image_url", "image_url", "url")))
    for character, count in (("x", 1), ("ä", 2)):
        room, odd = divmod(262144 - written, count)
        body["user"] = character * room + "x" * odd
        LIMITS.apply(parse_chat(json.dumps(body).encode()))
        body["user"] += "x"
        with pytest.raises(Refusal, match=r"262145 bytes.* CHATMOCK_MAX_TOTAL_BYTES") as caught:
            LIMITS.apply(parse_chat(json.dumps(body).encode()))
        assert caught.value.status == 400


LONG = "word " * 60_000
HI: dict[str, Any] = {"role": "user", "content": "hi"}
CALL = {"id": "1", "type": "function", "function": {"name": LONG, "arguments": "{}"}}


def tool(**more: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", **more}}]}


def parts(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": parts}]}


@pytest.mark.parametrize(
    "fields",
    [
        {"user": LONG},
        {"stop": [LONG]},
        {"model": LONG},
        {"metadata": {LONG: "x"}},
        {"surprise": [["word"] * 70_000]},
        {LONG: 1},
        {"surprise": "ä" * 140_000},
    ],
    ids=lambda fields: str(fields)[:20],
)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_text_is_counted_in_every_field_of_every_dialect(dialect: Any, fields: dict[str, Any]) -> None:
    asked = {"model": "m", **ASKING[dialect.name].prompt}
    LIMITS.apply(dialect.parse(json.dumps(asked).encode()))
    with pytest.raises(Refusal, match="CHATMOCK_MAX_TOTAL_BYTES"):
        LIMITS.apply(dialect.parse(json.dumps({**asked, **fields}).encode()))


@pytest.mark.parametrize(
    "fields",
    [
        tool(description=LONG),
        tool(parameters={"type": "object", "description": LONG}),
        tool(surprise=LONG),
        {"tools": [{"type": "web_search", "filters": LONG}]},
        {"functions": [{"name": "f", "description": LONG}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"title": LONG}}}},
        {"prediction": {"type": "content", "content": LONG}},
        {"messages": [{**HI, "name": LONG}]},
        {"messages": [{**HI, "surprise": LONG}]},
        {"messages": [HI, {"role": "assistant", "tool_calls": [CALL]}]},
        parts({"type": "image_url", "image_url": {"url": f"https://example.org/{LONG}"}}),
        parts({"type": "image_url", "image_url": {"url": "data:,a", "detail": LONG}}),
        parts({"type": "file", "file": {"file_data": "QQ==", "text": LONG}}),
        parts({"type": "file", "file": {"file_data": LONG}}),
        parts({"type": "file", "file": {"text": f"data:text/plain;base64,{LONG}"}}),
        parts({"type": "surprise", "surprise": ["twenty characters a", "piece"] * 20_000}),
    ],
    ids=lambda fields: str(fields)[:90],
)
def test_text_is_counted_wherever_it_stands_in_a_chat(fields: dict[str, Any]) -> None:
    body = json.dumps({"messages": [HI], **fields}).encode()
    with pytest.raises(Refusal, match="CHATMOCK_MAX_TOTAL_BYTES"):
        LIMITS.apply(parse_chat(body))


def test_files_are_no_text() -> None:
    data = "QUJD" * 100_000
    LIMITS.apply(
        parse_chat(
            json.dumps(
                parts(
                    {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
                    {
                        "type": "file",
                        "file": {"filename": "a", "file_data": f"data:application/pdf;base64,{data}"},
                    },
                    {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{data}"}},
                )
            ).encode()
        )
    )


@pytest.mark.parametrize(
    ("asked", "given"), [(None, None), (2048, 2048), (2049, 2048), (10**9, 2048), (1, 1)]
)
def test_max_tokens_are_clamped(asked: int | None, given: int | None) -> None:
    clamped, notes = LIMITS.apply(chat(said("x"), max_tokens=asked))
    assert clamped.max_tokens == given
    assert notes == ({} if asked == given else {"X-Chatmock-Clamped": "max_tokens=2048"})


@pytest.mark.parametrize(
    "item",
    [
        {"type": "image_generation_call", "id": "ig_1", "result": "{}"},
        {
            "type": "computer_call_output",
            "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,{}"},
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "{}"},
        {"type": "reasoning", "summary": [], "encrypted_content": "{}_-=="},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_image", "image_url": "data:image/png;base64,{}"}],
        },
        {
            "type": "function_call_output",
            "call_id": "1",
            "output": [{"type": "input_file", "file_data": "{}"}],
        },
    ],
    ids=lambda item: str(item)[:40],
)
def test_pictures_and_seals_in_items_of_the_responses_api_are_no_text(item: dict[str, Any]) -> None:
    def asking(data: str) -> ChatRequest:
        filled = json.loads(json.dumps(item).replace("{}", data))
        return parse_responses(json.dumps({"input": [{"role": "user", "content": "hi"}, filled]}).encode())

    large = asking("QUJD" * 100_000)
    assert LIMITS.apply(large) == (large, {})
    small = Limits.of(Settings(max_image_bytes=3000))
    small.apply(asking("QUJD" * 900))
    with pytest.raises(Refusal, match="CHATMOCK_MAX_IMAGE_BYTES") as caught:
        small.apply(asking("QUJD" * 1100))
    assert caught.value.param == "input"
    if item["type"] != "message":
        with pytest.raises(Refusal, match="CHATMOCK_MAX_TOTAL_BYTES"):
            LIMITS.apply(asking("some words " * 30_000))


@pytest.mark.parametrize(
    ("dialect", "fields", "param"),
    [
        ("openai-chat", {"messages": [HI, {**HI, "content": LONG}]}, "messages[1]"),
        ("openai-responses", {"input": "hi", "instructions": LONG}, "instructions"),
        ("openai-responses", {"input": LONG}, "input"),
        ("openai-responses", {"input": [HI, {"type": "reasoning", "summary": []}, {**HI, "content": LONG}], "instructions": "x"}, "input[2]"),
        ("openai-responses", {"input": [HI, {"type": "reasoning", "summary": []}, {"role": "assistant", "content": LONG}]}, "input[1]"),
        ("openai-responses", {"input": [HI] * 65, "instructions": "x"}, "input"),
        ("openai-responses", {"input": [{**HI, "content": "word " * 3_000}] * 20}, "input"),
        ("anthropic", {"messages": [HI], "system": LONG}, "system"),
        ("anthropic", {"messages": [HI, {**HI, "content": LONG}], "system": "x"}, "messages.1"),
        ("anthropic", {"messages": [HI] * 65, "system": "x"}, "messages"),
        ("ollama-generate", {"prompt": LONG, "system": "x"}, "prompt"),
        ("ollama-generate", {"prompt": "hi", "system": LONG}, "system"),
        ("ollama-generate", {"prompt": LONG}, "prompt"),
    ],
    ids=lambda each: str(each)[:30],
)  # fmt: skip
def test_a_limit_is_told_of_the_field_that_the_client_has_sent(
    dialect: str, fields: dict[str, Any], param: str
) -> None:
    parse = next(each.parse for each in DIALECTS if each.name == dialect)
    asked = parse(json.dumps({"model": "m", "max_tokens": 5, **fields}).encode())
    assert len(asked.places) in (0, len(asked.messages))
    with pytest.raises(Refusal) as caught:
        LIMITS.apply(asked)
    assert caught.value.param == param
    assert repr(param) in caught.value.message
