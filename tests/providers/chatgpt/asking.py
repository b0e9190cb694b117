"""Requests for the tests of the ChatGPT provider: as a chat client sends them, and out of nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import strategies as st

from chatmock.conversation import (
    Attachment,
    ChatRequest,
    Image,
    Message,
    Part,
    Reasoning,
    RefusalText,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from chatmock.dialects.openai_parse import parse_chat
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import dumps
from chatmock.model import Model
from chatmock.providers.chatgpt.request import Asked, Defaults, build
from tests.upstreams.chatgpt_rules import check

HELLO: Any = [{"role": "user", "content": "Hello"}]
ACCOUNT = "account-1"


def parsed(details: Model | None = None, model_effort: str | None = None, **body: Any) -> ChatRequest:
    """The request of an OpenAI chat client, after routing."""
    chat = parse_chat(dumps({"model": "m", "messages": HELLO, **body}), "openai-chat")
    return attrs.evolve(chat, details=details, model_effort=model_effort)


def asked(chat: ChatRequest, **defaults: Any) -> Asked:
    """The request for the backend, which accepts it."""
    made = build(chat, ACCOUNT, Defaults(**defaults))
    check(made.body)
    return made


def body(**body: Any) -> Mapping[str, Any]:
    """The body that comes of a chat client's."""
    return asked(parsed(**body)).body


def refusal(chat: ChatRequest, **defaults: Any) -> Refusal:
    """Why *chat* cannot be asked; always the client's fault, and in a field of its own."""
    with pytest.raises(Refusal) as caught:
        build(chat, ACCOUNT, Defaults(**defaults))
    assert caught.value.kind is Kind.BAD_REQUEST
    assert caught.value.param
    return caught.value


def function(name: str, **more: Any) -> dict[str, Any]:
    """A function as a chat client offers it."""
    return {"type": "function", "function": {"name": name, **more}}


texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.one_of(st.text("abc_", min_size=1, max_size=3), st.integers(60, 90).map(lambda n: "n" * n))
ids = st.sampled_from(["", "a", "b", "call_chatmock_1", "i" * 65])
thoughts = st.builds(Reasoning, texts, st.sampled_from(["", "seal"]), ids)
says = st.one_of(texts.map(Text), texts.map(RefusalText))
shows = st.one_of(
    st.builds(
        Image,
        st.sampled_from(["https://x/y.png", "data:image/png;base64,QUI"]),
        st.sampled_from([None, "low"]),
    ),
    st.builds(Attachment, st.just("file"), st.just({"type": "file", "file": {"file_id": "f"}})),
)
results = st.builds(ToolResult, ids, st.lists(st.one_of(texts.map(Text), shows), max_size=3).map(tuple))


def message(role: Role, parts: st.SearchStrategy[Part]) -> st.SearchStrategy[Message]:
    """A message of *role* with any number of *parts*."""
    return st.builds(Message, st.just(role), st.lists(parts, max_size=4).map(tuple), st.none() | names)


messages = st.one_of(
    message("system", st.one_of(says, shows)),
    message("developer", says),
    message("user", st.one_of(says, shows)),
    message("user", st.one_of(says, results)),
    message("assistant", st.one_of(says, thoughts, st.builds(ToolCall, ids, names, texts))),
    message("tool", results),
)


@st.composite
def answered(draw: st.DrawFn) -> list[Message]:
    """Calls, and their results in any order, in one message or in many."""
    calls = draw(st.lists(st.builds(ToolCall, ids, names, texts), min_size=1, max_size=3))
    given = [ToolResult(call.id, draw(results).parts) for call in draw(st.permutations(calls))]
    said = draw(st.lists(says, max_size=2))
    turn = [Message("assistant", (*said, *calls))]
    if draw(st.booleans()):
        return [*turn, Message("user", (*given, *said))]
    return [*turn, *(Message("tool", (result,)) for result in given)]


turns = st.one_of(answered(), answered(), messages.map(lambda one: [one]))
conversations = st.lists(turns, max_size=4).map(lambda turns: tuple(one for turn in turns for one in turn))
models = st.builds(
    Model,
    st.just("m"),
    efforts=st.sets(st.sampled_from(["none", "low", "medium", "high", "max", "new"])).map(tuple),
    inputs=st.sampled_from([(), ("text", "image")]),
    service_tiers=st.sampled_from([(), ("priority",)]),
    parallel_tool_calls=st.sampled_from([None, True, False]),
    verbosity=st.sampled_from([None, True, False]),
)
extras = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.just(0.5),
        "user": texts,
        "prompt_cache_key": texts,
        "verbosity": st.sampled_from(["low", "high"]),
        "reasoning": st.just({"effort": "xhigh", "summary": "detailed", "x": 1}),
        "responses_tools": st.sampled_from([[], [{"type": "web_search"}]]),
        "web_search_options": st.just({"search_context_size": "low"}),
        "responses_tool_choice": st.sampled_from(["auto", "none"]),
        "fast_mode": st.sampled_from([True, "off"]),
        "service_tier": st.sampled_from(["auto", "flex", "priority"]),
        "né\nw": texts,
    },
)
tools = st.lists(st.builds(Tool, names, texts, st.just({}), st.booleans()), max_size=3).map(tuple)
choices = st.sampled_from(["none", "auto", "required", "named"])


def _choosing(chat: ChatRequest, mode: ToolChoiceMode) -> ChatRequest:
    name = chat.tools[0].name if chat.tools and mode == "named" else None
    return attrs.evolve(chat, tool_choice=ToolChoice(mode, name))


requests = st.builds(
    ChatRequest,
    model=st.just("m"),
    messages=conversations,
    tools=tools,
    parallel_tool_calls=st.booleans(),
    reasoning_effort=st.sampled_from([None, "none", "medium", "ultra"]),
    response_format=st.sampled_from(
        [
            ResponseFormat(),
            ResponseFormat("json_object"),
            ResponseFormat("json_schema", "", {"type": "object"}),
        ]
    ),
    extras=extras,
    details=st.none() | models,
    session=st.none() | texts,
)
chats = st.builds(_choosing, requests, choices)
