"""The forms of thinking, the same streamed and whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock import jsontext
from chatmock.answer import Answer
from chatmock.conversation import ChatRequest, Identity, Thinking
from chatmock.dialects import OpenAIChat
from chatmock.events import (
    Event,
    EventOrder,
    Finished,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from chatmock.thinking import reshaping

FORMS = tuple(form for form in get_args(Thinking) if form != "parts")  # which no OpenAI client asks for


def summary(text: str, part: int = 0) -> ReasoningDelta:
    return ReasoningDelta(text, "summary", part)


TWO_PARTS: list[Event] = [
    Opened("r", 1, "m"),
    summary("First"),
    summary(" one."),
    summary("Second.", 1),
    TextDelta("Hello"),
    TextDelta("!"),
    Usage(1, 2),
    Finished(("stop",)),
]


def streamed(events: Sequence[Event], thinking: Thinking) -> dict[str, Any]:
    """The message that a client adds up from the deltas."""
    chat = ChatRequest("m", (), stream=True, thinking=thinking)
    encoder, reshape = OpenAIChat().encoder(chat, Identity("i", 1)), reshaping(thinking)
    data = b"".join(encoder.encode(reshape([event])) for event in events)
    message: dict[str, Any] = {}
    for record in data.decode().split("\n\n"):
        if not record.startswith("data: {"):
            continue
        for choice in jsontext.loads(record[6:])["choices"]:
            for key, value in choice["delta"].items():
                _add(message, key, value)
    return message


def _add(message: dict[str, Any], key: str, value: Any) -> None:
    if key == "reasoning" and isinstance(value, dict):
        held = message.setdefault(key, {"content": [{"type": "text", "text": ""}]})
        held["content"][0]["text"] += value["content"][0]["text"]
    elif isinstance(value, str) and key != "role":
        message[key] = message.get(key, "") + value
    elif key == "tool_calls":
        message.setdefault(key, []).extend(value)


def whole(events: Sequence[Event], thinking: Thinking) -> dict[str, Any]:
    answer = Answer()
    answer.fold(reshaping(thinking)(events))
    body = OpenAIChat().complete(ChatRequest("m", (), thinking=thinking), Identity("i", 1), answer)
    message: dict[str, Any] = jsontext.loads(body)["choices"][0]["message"]
    return message


THOUGHT = "First one.\n\nSecond."
SAID: dict[Thinking, dict[str, Any]] = {
    "think-tags": {"content": f"<think>{THOUGHT}</think>Hello!"},
    "o3": {"content": "Hello!", "reasoning": {"content": [{"type": "text", "text": THOUGHT}]}},
    "legacy": {"content": "Hello!", "reasoning_summary": THOUGHT, "reasoning": THOUGHT},
    "current": {"content": "Hello!", "reasoning_summary": THOUGHT, "reasoning": THOUGHT},
    "reasoning-content": {"content": "Hello!", "reasoning_content": THOUGHT},
    "none": {"content": "Hello!"},
}


@pytest.mark.parametrize("thinking", FORMS)
def test_every_form_says_the_same_streamed_and_whole(thinking: Thinking) -> None:
    assert streamed(TWO_PARTS, thinking) == SAID[thinking]
    said = whole(TWO_PARTS, thinking)
    assert {k: v for k, v in said.items() if k not in ("role", "refusal")} == SAID[thinking]


def test_raw_thinking_is_no_summary() -> None:
    events = [Opened(), ReasoningDelta("raw"), summary("short", 1), TextDelta("x"), Finished(("stop",))]
    for said in (streamed(events, "legacy"), whole(events, "legacy")):
        assert said["reasoning"] == "raw\n\nshort"
        assert said["reasoning_summary"].strip() == "short"


@pytest.mark.parametrize(
    ("then", "content"),
    [
        ([ToolCallDelta(0, "id", "f", "{}")], "<think>hm</think>"),
        ([RefusalDelta("no")], "<think>hm</think>"),
        ([], "<think>hm</think>"),
        ([TextDelta("a"), summary("later", 1), TextDelta("b")], "<think>hm</think>ab"),
    ],
)
def test_the_tag_is_always_closed(then: list[Event], content: str) -> None:
    events = [Opened(), summary("hm"), *then, Usage(1, 1), Finished(("stop",))]
    assert streamed(events, "think-tags")["content"] == content
    assert whole(events, "think-tags")["content"] == content


def test_an_answer_that_begins_with_text_gets_no_tags() -> None:
    events = [Opened(), TextDelta("a"), summary("late"), TextDelta("b"), Finished(("stop",))]
    assert streamed(events, "think-tags")["content"] == "ab"


def test_structured_output_gets_no_tags() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "response_format": {"type": "json_object"},
    }
    dialect = OpenAIChat("think-tags")
    assert dialect.parse(jsontext.dumps(body)).thinking == "reasoning-content"
    assert dialect.parse(jsontext.dumps({**body, "response_format": None})).thinking == "think-tags"


@pytest.mark.parametrize("tag", ["</think>", "<think>", "</THINK>"])
@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_tag_in_the_thinking_does_not_end_it(tag: str, step: int) -> None:
    thought = f"a {tag} b <{tag}</thin"
    broken = tag.replace("t", "\0", 1).replace("T", "\0", 1)
    wanted = "a {0} b <{0}</thin".format(broken.replace("\0", " t" if "t" in tag else " T"))
    pieces = [summary(thought[at : at + step]) for at in range(0, len(thought), step)]
    events = [Opened(), *pieces, TextDelta("ok </think>"), Usage(1, 1), Finished(("stop",))]
    content = f"<think>{wanted}</think>ok </think>"
    assert streamed(events, "think-tags")["content"] == content
    assert whole(events, "think-tags")["content"] == content


def test_only_what_may_begin_a_tag_is_held_back() -> None:
    reshape = reshaping("think-tags")
    assert reshape([Opened(), summary("a < b </th")])[1:] == [TextDelta("<think>a < b ")]
    assert reshape([summary("e")]) == [TextDelta("</the")]


_PIECES = st.one_of(
    st.builds(summary, st.text("ab", max_size=2), st.integers(0, 2)),
    st.builds(ReasoningDelta, st.text("ab", max_size=2)),
    st.builds(TextDelta, st.text("xy", max_size=2)),
)


@settings(max_examples=100)
@given(st.lists(_PIECES, max_size=8), st.sampled_from(FORMS))
def test_any_mix_keeps_the_order_and_says_the_same(pieces: list[Event], thinking: Thinking) -> None:
    events = [Opened(), *pieces, Usage(1, 1), Finished(("stop",))]
    reshape = reshaping(thinking)
    order = EventOrder()
    for event in events:
        order.check(reshape([event]))
    ours = ("content", "reasoning", "reasoning_summary", "reasoning_content")
    said, told = streamed(events, thinking), whole(events, thinking)
    assert {key: said.get(key) or None for key in ours} == {key: told.get(key) or None for key in ours}
