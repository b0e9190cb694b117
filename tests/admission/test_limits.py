"""Limits are exact at both edges, and name themselves."""

from __future__ import annotations

from typing import Any

import pytest

from chatmock.admission.limits import Limits
from chatmock.conversation import Attachment, ChatRequest, Image, Message, Text, ToolResult
from chatmock.errors import Refusal
from chatmock.settings import Settings

LIMITS = Limits.of(Settings())


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


@pytest.mark.parametrize(
    ("asked", "given"), [(None, None), (2048, 2048), (2049, 2048), (10**9, 2048), (1, 1)]
)
def test_max_tokens_are_clamped(asked: int | None, given: int | None) -> None:
    clamped, notes = LIMITS.apply(chat(said("x"), max_tokens=asked))
    assert clamped.max_tokens == given
    assert notes == ({} if asked == given else {"X-Chatmock-Clamped": "max_tokens=2048"})
