"""Conversations recognised by how they begin, and no others."""

from __future__ import annotations

import gc
import hashlib
import json
import weakref
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.conversation import ChatRequest, Message, Text, Tool, ToolCall, ToolChoice, ToolResult
from chatmock.providers.qwen import conversations
from chatmock.providers.qwen.conversations import Conversations, Place
from tests.providers.qwen.asking import function, parsed, texts

USER: Any = {"role": "user", "content": "Hello"}
MORE: Any = {"role": "user", "content": "And now?"}


def answer(text: str | None, *calls: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    """An assistant's message as a client sends it back."""
    made = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
    return {"role": "assistant", "content": text, **({"tool_calls": made} if made else {}), **more}


def remembering(chat: ChatRequest, text: str = "Hi.", *calls: ToolCall) -> Conversations:
    known = Conversations()
    known.remember(known.begin(chat), text, calls, "chat", "answer")
    return known


@pytest.mark.parametrize(
    "shown",
    [
        answer("Hi."),
        answer("Hi.\n"),
        answer("<think>Let me\nsee</think>Hi."),
        answer("<think>x</think>\n\nHi. "),
        answer(None, content=[{"type": "text", "text": "Hi."}]),
        answer("Hi.", reasoning_content="x"),
    ],
)
def test_the_second_turn_goes_on(shown: Any) -> None:
    known = remembering(parsed(messages=[USER]))
    assert known.find(parsed(messages=[USER, shown, MORE])) == Place("chat", "answer", 2)
    assert known.find(parsed(messages=[USER, shown, MORE, MORE])) == Place("chat", "answer", 2)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [USER]},
        {"messages": [USER, answer("Hi.")]},
        {"messages": [MORE, answer("Hi."), MORE]},
        {"messages": [USER, answer("Hi!"), MORE]},
        {"messages": [USER, answer("Hi. <think>x</think>"), MORE]},
        {"messages": [USER, USER, answer("Hi."), MORE]},
        {"messages": [{"role": "system", "content": "Be brief."}, USER, answer("Hi."), MORE]},
        {"messages": [{**USER, "name": "Bob"}, answer("Hi."), MORE]},
        {"messages": [USER, answer("Hi.", ("c", "f", "{}")), MORE]},
        {"messages": [USER, answer("Hi."), MORE], "model": "other"},
        {"messages": [USER, answer("Hi."), MORE], "tools": [function("f")]},
        {"messages": [USER, answer("Hi."), MORE, answer("Hi."), MORE]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": "https://x/y"}}]}, answer("Hi."), MORE]},
    ],
)  # fmt: skip
def test_anything_else_does_not(body: Any) -> None:
    assert remembering(parsed(messages=[USER])).find(parsed(**body)) is None


def test_each_answer_may_be_gone_on_from() -> None:
    known = remembering(parsed(messages=[USER]))
    known.remember(known.begin(parsed(messages=[USER, answer("Hi."), MORE])), "Now.", (), "chat", "second")
    assert known.find(parsed(messages=[USER, answer("Hi."), MORE, answer("Now."), USER])) == Place(
        "chat", "second", 4
    )
    assert known.find(parsed(messages=[USER, answer("Hi."), USER])) == Place("chat", "answer", 2)


def test_calls_are_known_by_name_and_arguments() -> None:
    call = ToolCall("call_1", "f", '{"b": [1.0, {"y": 1, "x": 2}], "a": "é"}')
    chat = parsed(messages=[USER], tools=[function("f")])
    known = remembering(chat, "", call)
    same = '{"a":"\\u00e9","b":[1,{"x":2,"y":1}]}'

    def found(*calls: tuple[str, str, str], text: str | None = None) -> Place | None:
        result = {"role": "tool", "tool_call_id": "other", "content": "ok"}
        return known.find(parsed(messages=[USER, answer(text, *calls), result], tools=[function("f")]))

    assert found(("other", "f", same)) == Place("chat", "answer", 2)
    assert found(("other", "f", same), text="") == Place("chat", "answer", 2)
    assert found(("other", "g", same)) is None
    assert found(("other", "f", "{}")) is None
    assert found(("a", "f", same), ("b", "f", same)) is None
    assert found() is None


def test_results_are_known_by_the_call_they_answer() -> None:
    def history(first: str, second: str, results: tuple[str, str]) -> list[Any]:
        told = [{"role": "tool", "tool_call_id": i, "content": i[-1]} for i in results]
        return [USER, answer(None, (first, "f", "{}"), (second, "f", "{}")), *told]

    known = remembering(parsed(messages=history("x1", "x2", ("x1", "x2"))))
    assert known.find(parsed(messages=[*history("y1", "y2", ("y1", "y2")), answer("Hi."), MORE])) is not None
    assert known.find(parsed(messages=[*history("y2", "y1", ("y1", "y2")), answer("Hi."), MORE])) is None


def test_calls_and_text_may_come_in_messages_of_their_own() -> None:
    known = remembering(parsed(messages=[USER]), "Hi.", ToolCall("c", "f", ""))
    split = [USER, answer("Hi."), answer(None, ("d", "f", "{}")), MORE]
    assert known.find(parsed(messages=split)) == Place("chat", "answer", 3)


def test_tools_that_are_not_offered_are_none() -> None:
    tools = [function("f")]
    body: dict[str, Any] = {"messages": [USER, answer("Hi."), MORE]}
    known = remembering(parsed(messages=[USER], tools=tools, tool_choice="none"))
    assert known.find(parsed(**body)) is not None
    assert known.find(parsed(**body, tools=tools)) is None
    known = remembering(parsed(messages=[USER], tools=tools, tool_choice="required"))
    assert known.find(parsed(**body, tools=tools)) is not None
    assert known.find(parsed(**body, tools=[function("f", description="new")])) is None


def test_pictures_are_compared() -> None:
    def look(url: str) -> dict[str, Any]:
        return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}

    known = remembering(parsed(messages=[look("data:image/png;base64,QUI=")]))
    assert known.find(parsed(messages=[look("data:image/png;base64,QUI="), answer("Hi."), MORE])) is not None
    assert known.find(parsed(messages=[look("data:image/png;base64,QUM="), answer("Hi."), MORE])) is None


def test_a_forgotten_chat_is_new() -> None:
    known = remembering(parsed(messages=[USER]))
    known.remember(known.begin(parsed(messages=[MORE])), "Hi.", (), "other", "answer")
    known.forget("chat")
    assert known.find(parsed(messages=[USER, answer("Hi."), MORE])) is None
    assert known.find(parsed(messages=[MORE, answer("Hi."), MORE])) == Place("other", "answer", 2)


def test_the_longest_unused_is_dropped() -> None:
    known = Conversations(limit=2)
    asks = [parsed(messages=[{"role": "user", "content": str(n)}]) for n in range(3)]
    later = [
        attrs.evolve(c, messages=(*c.messages, Message("assistant", (Text("Hi."),)), *c.messages))
        for c in asks
    ]
    for n in (0, 1):
        known.remember(known.begin(asks[n]), "Hi.", (), f"chat{n}", "a")
    assert known.find(later[0]) is not None
    known.remember(known.begin(asks[2]), "Hi.", (), "chat2", "a")
    assert [known.find(chat) is not None for chat in later] == [True, False, True]
    assert len(known) == 2


def test_no_text_is_kept() -> None:
    secret = "swordfish"
    chat = parsed(messages=[{"role": "user", "content": secret}], tools=[function("f", description=secret)])
    known = remembering(chat, secret, ToolCall(secret, secret, json.dumps(secret)))
    kept = known._places
    assert len(kept) == 1
    assert all(len(key) == 32 and place == ("chat", "answer") for key, place in kept.items())


words = st.sampled_from(["a", "b", "ab", ""]) | texts
turns = st.one_of(
    st.builds(lambda text: Message("user", (Text(text),)), words),
    st.builds(lambda text, calls: Message("assistant", (Text(text), *calls)), words, st.lists(st.builds(ToolCall, st.sampled_from("xy"), words, words), max_size=2)),
    st.builds(lambda id, text: Message("tool", (ToolResult(id, (Text(text),)),)), st.sampled_from("xy"), words),
)  # fmt: skip
chats = st.builds(
    ChatRequest,
    model=st.sampled_from("mn"),
    messages=st.lists(turns, min_size=1, max_size=4).map(
        lambda turns: (*turns, Message("user", (Text("?"),)))
    ),
    tools=st.sampled_from([(), (Tool("f"),)]),
    tool_choice=st.sampled_from([ToolChoice(), ToolChoice("none")]),
)


def going_on(chat: ChatRequest, text: str, *new: Message) -> ChatRequest:
    return attrs.evolve(chat, messages=(*chat.messages, Message("assistant", (Text(text),)), *new))


@settings(max_examples=80)
@given(st.lists(st.tuples(chats, words), min_size=1, max_size=5), words)
def test_every_answered_conversation_is_found_and_only_those(
    asked: list[tuple[ChatRequest, str]], new: str
) -> None:
    known, last = Conversations(), {}
    for number, (chat, text) in enumerate(asked):
        known.remember(known.begin(chat), text, (), f"chat{number}", f"answer{number}")
        last[_plain(going_on(chat, text))] = number
    for chat, text in asked:
        number = last[_plain(going_on(chat, text))]
        start = len(chat.messages) + 1
        more = going_on(chat, text, Message("user", (Text(new),)))
        assert known.find(more) == Place(f"chat{number}", f"answer{number}", start)
        other = going_on(chat, f"{text}!", Message("user", (Text(new),)))
        assert (known.find(other) is not None) == (_plain(going_on(chat, f"{text}!")) in last)


def _plain(chat: ChatRequest) -> str:
    """*chat* in a form of its own, which says the same for conversations that are the same."""
    offered = [] if chat.tool_choice.mode == "none" else [tool.name for tool in chat.tools]
    told: list[list[Any]] = []
    calls: dict[str, int] = {}
    for message in chat.messages:
        if message.role == "assistant":
            if not told or told[-1][0] != "assistant":
                told.append(["assistant", [], []])
            told[-1][1] += [part.text for part in message.parts if isinstance(part, Text)]
            for part in message.parts:
                if isinstance(part, ToolCall):
                    calls[part.id] = sum(len(turn[2]) for turn in told if turn[0] == "assistant")
                    told[-1][2].append([part.name, _arguments(part.arguments)])
        elif message.role == "tool":
            result = message.parts[0]
            assert isinstance(result, ToolResult)
            told.append(["tool", calls.get(result.id, result.id), message.text])
        else:
            told.append([message.role, message.text])
    for turn in told:
        if turn[0] == "assistant":
            turn[1] = _unthought("\n".join(turn[1]))
    return json.dumps([chat.model, offered, told])


def _unthought(text: str) -> str:
    if text.lstrip().startswith("<think>") and "</think>" in text:
        text = text.partition("</think>")[2]
    return text.strip()


def _arguments(text: str) -> Any:
    if not text.strip():
        return {}
    try:
        return json.loads(text)
    except ValueError:
        return ["text", text]


def test_a_question_is_remembered_after_its_request_is_gone() -> None:
    known = Conversations()
    question = known.begin(parsed(messages=[{"role": "user", "content": "swordfish"}]))
    assert "swordfish" not in repr(question)
    known.remember(question, "A.", (), "one", "a")
    known.remember(question, "B.", (), "two", "b")
    asked: Any = {"role": "user", "content": "swordfish"}
    assert known.find(parsed(messages=[asked, answer("A."), MORE])) == Place("one", "a", 2)
    assert known.find(parsed(messages=[asked, answer("B."), MORE])) == Place("two", "b", 2)


def test_an_answer_that_goes_on_the_clients_own_is_not_remembered() -> None:
    known = Conversations()
    known.remember(known.begin(parsed(messages=[USER, answer("Once upon")])), " a time.", (), "chat", "a")
    assert len(known) == 0
    assert known.last("chat") == "a"


def test_the_last_answer_of_a_chat() -> None:
    known = Conversations(limit=2)
    assert known.last("chat") is None
    known.remember(known.begin(parsed(messages=[USER])), "Hi.", (), "chat", "first")
    known.note("chat", "second")
    assert known.last("chat") == "second"
    known.note("b", "x")
    assert known.last("chat") == "second"
    known.note("c", "x")
    assert (known.last("b"), known.last("chat"), known.last("c")) == (None, "second", "x")
    known.forget("chat")
    assert known.last("chat") is None


class Hashes:
    """Counts what is hashed from the beginning."""

    def __init__(self) -> None:
        self.begun = 0

    def sha256(self) -> Any:
        self.begun += 1
        return hashlib.sha256()


def test_a_request_is_hashed_once_however_often_it_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = Hashes()
    monkeypatch.setattr(conversations, "hashlib", hashes)
    body: dict[str, Any] = {"messages": [USER, answer("Hi."), MORE], "tools": [function("f")]}
    known, chat = Conversations(), parsed(**body)
    question = known.begin(chat)
    assert known.find(chat) is None
    known.begin(attrs.evolve(chat, note="Again.", tool_choice=ToolChoice("required")))
    assert hashes.begun == 1
    known.remember(question, "Now.", (), "chat", "a")
    same = parsed(**body)
    known.find(same)
    assert hashes.begun == 2
    for other, chosen in [
        (same, "chosen"),
        (attrs.evolve(same, model="other"), ""),
        (attrs.evolve(same, tool_choice=ToolChoice("none")), ""),
        (attrs.evolve(same, tools=()), ""),
        (attrs.evolve(same, messages=same.messages[1:]), ""),
    ]:
        known.find(other, chosen)
        known.begin(same)
    assert hashes.begun == 12
    assert known.find(parsed(**{**body, "messages": [*body["messages"], answer("Now."), USER]})) is not None


def test_what_is_known_of_a_request_does_not_keep_it() -> None:
    known, chat = Conversations(), parsed(messages=[USER, answer("Hi."), MORE], tools=[function("f")])
    known.find(chat)
    kept: list[weakref.ref[Any]] = [weakref.ref(chat.messages[0]), weakref.ref(chat.tools[0])]
    del chat
    gc.collect()
    assert [each() for each in kept] == [None, None]


def test_a_chosen_chat_is_a_world_of_its_own() -> None:
    known = Conversations()
    known.remember(known.begin(parsed(messages=[USER]), "one"), "Hi.", (), "one", "a")
    more = parsed(messages=[USER, answer("Hi."), MORE])
    assert known.find(more) is None
    assert known.find(more, "two") is None
    assert known.find(more, "one") == Place("one", "a", 2)
