"""Estimates of what a request takes."""

from __future__ import annotations

from chatmock.conversation import (
    Attachment,
    ChatRequest,
    Image,
    Message,
    Part,
    ResponseFormat,
    Text,
    Tool,
    ToolResult,
)
from chatmock.providers.token_count import FILE_BYTES, FILE_TOKENS, IMAGE_TOKENS, count_tokens

PLAIN = count_tokens(ChatRequest("m", (Message("user", ()),)))
PICTURE = Image("https://example.org/a.png")


def file(size: int) -> Attachment:
    return Attachment("file", {"file_data": "A" * size})


def more(*parts: Part) -> int:
    return count_tokens(ChatRequest("m", (Message("user", parts),))) - PLAIN


def test_a_conversation() -> None:
    assert more(Text("a" * 400)) == 100
    assert more(Text("é" * 30)) == 20
    assert more(PICTURE, PICTURE) == 2 * IMAGE_TOKENS
    assert more(ToolResult("1", (Text("a" * 40), PICTURE))) == 10 + IMAGE_TOKENS
    assert more(file(10)) == FILE_TOKENS
    assert more(file(FILE_BYTES), file(3 * FILE_BYTES)) == 6 * FILE_TOKENS


def test_what_stands_beside_it() -> None:
    base = ChatRequest("m", ())
    tools = (Tool("f", "d" * 400, {"type": "object"}),)
    assert count_tokens(base) == 0
    assert 100 < count_tokens(ChatRequest("m", (), tools=tools)) < 150
    assert count_tokens(ChatRequest("m", (), other_tools=({"type": "web_search"},))) > 0
    form = ResponseFormat("json_schema", schema={"title": "t" * 400})
    assert 100 < count_tokens(ChatRequest("m", (), response_format=form)) < 150
