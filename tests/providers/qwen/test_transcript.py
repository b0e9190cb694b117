"""A conversation as one message: every part can be read out of it again, whatever the parts hold."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.conversation import (
    ChatRequest,
    Image,
    Message,
    Part,
    Reasoning,
    RefusalText,
    Text,
    ToolCall,
    ToolResult,
)
from chatmock.model import Model
from chatmock.providers.qwen import transcript
from chatmock.providers.qwen.tool_offer import Offer, offer
from chatmock.providers.qwen.tool_prompt import call_text, choice_text, format_text, response_text, tools_text
from chatmock.providers.qwen.transcript import Prompt, continuation, whole
from tests.providers.qwen.asking import HELLO, faulty, function, parsed, texts

PICTURE = "data:image/png;base64,QUI="
OTHER_PICTURE = "data:image/png;base64,AAAA"
CALLS: Any = {
    "role": "assistant",
    "content": "Wait.",
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
        {"id": "c2", "type": "function", "function": {"name": "clock", "arguments": ""}},
    ],
}
RESULT: Any = {"role": "tool", "tool_call_id": "c1", "content": "Sunny"}


def parts(prompt: Prompt) -> list[tuple[str, str]]:
    """The kinds and contents of a message's parts, read back by its own rule."""
    head, _, rest = prompt.text.partition("\n\n--- ")
    mark = rest.split(" ", 1)[0]
    assert re.fullmatch("[0-9a-f]{12}", mark)
    assert mark in head
    found = re.split(rf"\n\n--- {mark} (.*) ---\n", prompt.text)
    assert prompt.text.count(mark) == 1 + len(found) // 2
    return list(zip(found[1::2], found[2::2], strict=True))


def asked(start: int | None = None, **body: Any) -> list[tuple[str, str]]:
    chat = parsed(**body)
    made = whole(chat, offer(chat)) if start is None else continuation(chat, offer(chat), start)
    return parts(made)


def test_one_text_of_a_user_goes_as_it_is() -> None:
    assert whole(parsed(), Offer()) == Prompt("Hello")
    assert continuation(
        parsed(messages=[*HELLO, {"role": "assistant", "content": "Hi"}, *HELLO]), Offer(), 2
    ) == Prompt("Hello")


@pytest.mark.parametrize("text", ["a\n--- b", '<tool_response id="x">', "</tool_call>", "<tool_call>"])
def test_unless_it_looks_like_markup(text: str) -> None:
    chat = parsed(messages=[{"role": "user", "content": text}])
    assert parts(whole(chat, Offer())) == parts(continuation(chat, Offer(), 0)) == [("user", text)]


def test_a_whole_conversation() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": "Hello", "name": "Bob\n---"},
        CALLS,
        RESULT,
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "Noon"}]},
        {"role": "assistant", "content": "Sunny noon."},
        {"role": "system", "content": "Be polite."},
        *HELLO,
    ]
    chat = parsed(messages=messages, tools=[function("weather")], response_format={"type": "json_object"})
    made = offer(chat)
    assert parts(whole(chat, made)) == [
        ("system", "Be brief."),
        ("system", "a\nb"),
        ("tools", tools_text(made.tools)),
        ('user "Bob\\n---"', "Hello"),
        ("assistant", "Wait."),
        (
            "calls of the assistant",
            "\n".join([call_text("weather", '{"city":"Rome"}'), call_text("clock", "{}")]),
        ),
        ("result of a tool", response_text("c1", "weather", "Sunny")),
        ("result of a tool", response_text("c2", "clock", "Noon")),
        ("assistant", "Sunny noon."),
        ("system", "Be polite."),
        ("user", "Hello"),
        ("how to answer", f"{choice_text(made)}\n{format_text(chat.response_format)}"),
    ]


def test_earlier_thinking_is_not_told_again() -> None:
    def told(*said: Part) -> list[tuple[str, str]]:
        history = (
            Message("user", (Text("Hi"),)),
            Message("assistant", said),
            Message("user", (Text("Bye"),)),
        )
        chat = ChatRequest("m", history)
        return parts(whole(chat, offer(chat)))

    assert told(Reasoning("Hm", "seal"), Text("Hello")) == told(Text("Hello"))
    assert "Hm" not in str(told(Reasoning("Hm")))


def test_what_is_new_after_calls() -> None:
    tools = [function("weather")]
    made = asked(2, messages=[*HELLO, CALLS, RESULT], tools=tools)
    assert [kind for kind, _ in made] == ["result of a tool", "how to answer"]
    assert made[0][1] == response_text("c1", "weather", "Sunny")
    assert asked(2, messages=[*HELLO, CALLS, RESULT]) == made[:1]


def test_a_result_without_its_call_goes_by_its_own_name() -> None:
    assert asked(messages=[RESULT]) == [("result of a tool", response_text("c1", None, "Sunny"))]
    named = {"role": "function", "name": "f", "content": "1"}
    assert asked(messages=[named]) == [("result of a tool", response_text("f", "f", "1"))]


def test_none_offers_no_tools_but_keeps_what_was_called() -> None:
    made = asked(messages=[*HELLO, CALLS, RESULT], tools=[function("weather")], tool_choice="none")
    assert [kind for kind, _ in made] == ["user", "assistant", "calls of the assistant", "result of a tool"]


def test_pictures_are_named_in_their_places() -> None:
    image = {"type": "image_url", "image_url": {"url": PICTURE}}
    other = {"type": "image_url", "image_url": {"url": OTHER_PICTURE}}
    messages: Any = [
        {"role": "user", "content": [image, {"type": "text", "text": "and"}, other]},
        {"role": "assistant", "content": "Yes."},
        {"role": "tool", "tool_call_id": "c1", "content": [other]},
    ]
    chat = parsed(messages=messages)
    made = whole(chat, Offer())
    assert made.images == (Image(PICTURE), Image(OTHER_PICTURE), Image(OTHER_PICTURE))
    assert parts(made)[0] == ("user", "[image 1]\nand\n[image 2]")
    assert "[image 3]" in parts(made)[2][1]
    assert continuation(chat, Offer(), 2).images == (Image(OTHER_PICTURE),)
    assert whole(parsed(Model("m", inputs=("text", "image")), messages=messages), Offer()) == made
    assert faulty(lambda: whole(parsed(Model("m", inputs=("text",)), messages=messages), Offer())).param == (
        "messages[0].content[0]"
    )
    link = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    far = parsed(messages=[{"role": "user", "content": [image, link]}])
    assert faulty(lambda: whole(far, Offer())).param == "messages[0].content[1]"


@pytest.mark.parametrize("kind", ["input_audio", "file", "video_url"])
def test_other_parts_are_refused_by_name(kind: str) -> None:
    other = {"type": kind, kind: {}}
    for message in (
        {"role": "user", "content": [{"type": "text", "text": "x"}, other]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "x"}, other]},
    ):
        refusal = faulty(lambda message=message: whole(parsed(messages=[*HELLO, message]), Offer()))
        assert refusal.param == "messages[1].content[1]"
        assert kind in refusal.message


def test_a_mark_that_a_text_happens_to_hold_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "_MARK_CHARS", 1)
    for free in "0123456789":
        text = "".join(each for each in "0123456789abcdef" if each != free)
        made = whole(parsed(messages=[{"role": "system", "content": text}, *HELLO]), Offer())
        assert made.text.endswith(f"\n\n--- {free} system ---\n{text}\n\n--- {free} user ---\nHello")


said = st.lists(texts.map(Text) | texts.map(RefusalText), max_size=2)
called = st.lists(st.builds(ToolCall, texts, texts, texts), max_size=2)
answered = st.lists(
    st.builds(ToolResult, texts, texts.map(lambda text: (Text(text),))), min_size=1, max_size=2
)
messages = st.one_of(
    st.builds(lambda parts, name: Message("user", tuple(parts), name), said, st.none() | texts),
    st.builds(lambda parts: Message("system", tuple(parts)), said),
    st.builds(lambda parts, calls: Message("assistant", (*parts, *calls)), said, called),
    st.builds(lambda results: Message("tool", tuple(results)), answered),
)


@settings(max_examples=100)
@given(st.lists(messages, min_size=1, max_size=5).map(tuple), texts, st.booleans())
def test_no_text_can_forge_a_part(history: tuple[Message, ...], echo: str, forge: bool) -> None:
    chat = ChatRequest("m", history)
    made = whole(chat, Offer())
    if forge:  # a text that repeats all the marks of an earlier message
        chat = ChatRequest("m", (*history, Message("user", (Text(made.text + echo),))))
        made = whole(chat, Offer())
    wanted = [part for message in chat.messages for part in _expected(message)]
    contents = [made.text] if "\n\n--- " not in made.text else [content for _, content in parts(made)]
    assert len(contents) == len(wanted)
    for content, (kind, inner) in zip(contents, wanted, strict=True):
        assert inner in content if kind == "result" else content == inner


def _expected(message: Message) -> list[tuple[str, str]]:
    """The contents of the parts that *message* makes."""
    texts = [part.text for part in message.parts if isinstance(part, Text | RefusalText)]
    calls = [call_text(part.name, part.arguments) for part in message.parts if isinstance(part, ToolCall)]
    results: list[Part] = [part for part in message.parts if isinstance(part, ToolResult)]
    return [
        *(("result", f">\n{part.parts[0].text}\n</tool_response>") for part in results),
        *([("said", "\n".join(texts))] if texts or not message.parts else []),
        *([("calls", "\n".join(calls))] if calls else []),
    ]
