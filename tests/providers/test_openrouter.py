"""OpenRouter's ways, met through the real SDK; and the truncation of conversations by itself."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmock.conversation import Message, Text, ToolCall, ToolResult
from chatmock.providers.truncation import estimate_tokens, truncate
from chatmock.settings import Secret
from tests.chunks import DONE, chunk, completion, head, record
from tests.conftest import KEY, Daemon, Start
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Asked, Reply

HELLO: Any = [{"role": "user", "content": "Hello"}]
COUNTS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
COMMENT = b": OPENROUTER PROCESSING\n\n"
LONG = "word " * 200  # about 250 tokens
SYSTEM: Any = {"role": "system", "content": "Be brief."}
TALK: Any = [
    SYSTEM,
    {"role": "user", "content": f"one {LONG}"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "found"},
    {"role": "assistant", "content": "seen"},
    {"role": "user", "content": f"two {LONG}"},
    {"role": "assistant", "content": "yes"},
    {"role": "user", "content": "three"},
]


@pytest.fixture
def openrouter(start: Start, upstream: OpenAIServer) -> Daemon:
    return start(provider="openrouter", openrouter_api_key=Secret(KEY), openrouter_base_url=upstream.url)


async def listen(daemon: Daemon) -> list[Any]:
    def run(sdk: openai.OpenAI) -> list[Any]:
        return list(
            sdk.chat.completions.create(
                model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        )

    chunks: list[Any] = await daemon.ask(run)
    return chunks


async def ask(daemon: Daemon, messages: Any = TALK) -> Any:
    return await daemon.ask(
        lambda sdk: sdk.chat.completions.with_raw_response.create(model="m", messages=messages)
    )


async def test_one_finish_and_one_usage(openrouter: Daemon, upstream: OpenAIServer) -> None:
    last = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
    upstream.reply(
        [
            COMMENT,
            chunk({"role": "assistant", "content": "Hel"}),
            COMMENT,
            chunk({"role": "assistant", "content": "lo"}),
            chunk({"role": "assistant", "content": ""}, finish="stop"),
            record(head(choices=[last], usage=COUNTS)),
            DONE,
        ]
    )
    chunks = await listen(openrouter)
    choices = [choice for c in chunks for choice in c.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == "Hello"
    assert [choice.delta.role for choice in choices if choice.delta.role] == ["assistant"]
    assert choices[0].delta.role == "assistant"
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    counted = [c for c in chunks if c.usage is not None]
    assert counted == [chunks[-1]]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 5


async def test_reasoning_has_one_name(openrouter: Daemon, upstream: OpenAIServer) -> None:
    upstream.reply(
        [
            chunk({"role": "assistant", "content": "", "reasoning": "Hm"}),
            chunk({"content": "", "reasoning": "m."}),
            chunk({"content": "Hi"}),
            chunk(finish="stop"),
            DONE,
        ]
    )
    deltas = [choice.delta for c in await listen(openrouter) for choice in c.choices]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Hmm."

    upstream.reply_json(completion({"reasoning": "Hmm."}))
    whole = (await ask(openrouter, HELLO)).parse()
    assert whole.choices[0].message.reasoning_content == "Hmm."


async def test_a_call_cut_short_says_length(openrouter: Daemon, upstream: OpenAIServer) -> None:
    piece = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a'}}
    native = {"native_finish_reason": "MAX_TOKENS"}
    upstream.reply(
        [
            chunk({"role": "assistant", "tool_calls": [piece]}),
            chunk(finish="tool_calls", choice=native),
            DONE,
        ]
    )
    chunks = await listen(openrouter)
    assert [choice.finish_reason for c in chunks for choice in c.choices if choice.finish_reason] == [
        "length"
    ]

    answer = completion({"content": None}, finish="tool_calls")
    answer["choices"][0].update(native)
    upstream.reply_json(answer)
    assert (await ask(openrouter, HELLO)).parse().choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("window", "kept"), [(10_000, range(8)), (400, [0, 5, 6, 7]), (100, [0, 7]), (5, [0, 7])]
)
async def test_conversations_are_cut_to_the_window(
    openrouter: Daemon, upstream: OpenAIServer, window: int, kept: Any
) -> None:
    upstream.models = [{"id": "m", "context_length": window}]
    upstream.reply_json(completion())
    raw = await ask(openrouter)
    assert upstream.chats()[0].body["messages"] == [TALK[position] for position in kept]
    note = raw.headers.get("x-chatmock-truncated")
    if len(kept) == len(TALK):
        assert note is None
    else:
        assert f"({len(TALK) - len(kept)} messages)" in note


async def test_an_overflow_is_asked_again_shorter_once(openrouter: Daemon, upstream: OpenAIServer) -> None:
    said = (
        "This endpoint's maximum context length is 1000 tokens. However, you requested about 2000 tokens "
        "(2000 of text input). Please reduce the length of either one."
    )
    body = json.dumps({"error": {"message": said, "code": 400}}).encode()
    full = len(TALK)

    def answer(asked: Asked) -> Reply:
        if len(asked.body["messages"]) == full:
            return Reply([body], status=400, content_type=b"application/json")
        return Reply([json.dumps(completion()).encode()], content_type=b"application/json")

    upstream.answer = answer
    raw = await ask(openrouter)
    first, second = upstream.chats()
    assert first.body["messages"] == TALK
    assert second.body["messages"] == [TALK[0], *TALK[-len(second.body["messages"]) + 1 :]]
    assert raw.headers["x-chatmock-truncated"].startswith("dropped ")

    upstream.reply([body], status=400, content_type=b"application/json")
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(openrouter)
    assert caught.value.code == "context_length_exceeded"
    assert len(upstream.chats()) == 4


WORDS = st.text(alphabet="ab é", max_size=40)


@st.composite
def turn(draw: st.DrawFn) -> list[Message]:
    """A user message, perhaps rounds of calls and their results, perhaps an answer, system messages between."""
    said = [Message("user", (Text(draw(WORDS)),))]
    for _ in range(draw(st.integers(0, 2))):
        ids = draw(st.lists(st.uuids().map(str), min_size=1, max_size=3, unique=True))
        said.append(Message("assistant", tuple(ToolCall(id, "f", draw(WORDS)) for id in ids)))
        said.extend(Message("tool", (ToolResult(id, (Text(draw(WORDS)),)),)) for id in ids)
    if draw(st.booleans()):
        said.append(Message("assistant", (Text(draw(WORDS)),)))
    if draw(st.booleans()):
        said.append(Message("system", (Text(draw(WORDS)),)))
    return said


@given(st.lists(turn(), min_size=1, max_size=6), st.integers(-10, 300), st.booleans())
def test_truncation_keeps_a_whole_conversation(turns: list[list[Message]], budget: int, opened: bool) -> None:
    opening = [Message("system", (Text("Be brief."),))] if opened else []
    messages = [*opening, *(message for said in turns for message in said)]
    total = sum(map(estimate_tokens, messages))
    cut = truncate(messages, budget)
    if cut is None:
        assert total <= budget or len(turns) == 1
        return
    assert total > budget

    kept = [messages[position] for position in cut.kept]
    system = {position for position, message in enumerate(messages) if message.role == "system"}
    assert system <= set(cut.kept)
    suffix = [message for said in turns[cut.dropped_turns :] for message in said if message.role != "system"]
    assert [message for message in kept if message.role != "system"] == suffix
    assert 1 <= cut.dropped_turns < len(turns)
    assert cut.dropped_messages == len(messages) - len(kept)
    assert cut.estimated_tokens == sum(map(estimate_tokens, kept))
    assert cut.estimated_tokens <= budget or cut.dropped_turns == len(turns) - 1

    calls = {part.id for message in kept for part in message.parts if isinstance(part, ToolCall)}
    results = {part.id for message in kept for part in message.parts if isinstance(part, ToolResult)}
    assert calls == results
