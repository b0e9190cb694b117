"""Names over 64 characters, there and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.conversation import ChatRequest, Message, Tool, ToolCall
from chatmock.providers.chatgpt import tool_names
from chatmock.providers.chatgpt.request import original_names
from chatmock.providers.chatgpt.tool_names import shortened_names
from tests.providers.chatgpt.asking import asked, function, parsed

LONG = "n" * 65


def offering(*names: str, called: tuple[str, ...] = ()) -> ChatRequest:
    calls = tuple(ToolCall(f"call_{name}", name, "{}") for name in called)
    return ChatRequest("m", (Message("assistant", calls),), tools=tuple(Tool(name, "", {}) for name in names))


def test_a_name_of_64_characters_stays() -> None:
    assert not shortened_names(offering("n" * 64, "m"))


def test_two_names_that_share_64_characters_stay_apart() -> None:
    chat = offering("n" * 64 + "a", "n" * 64 + "b")
    short = shortened_names(chat)
    assert len(set(short.values())) == 2
    assert all(len(name) == 64 and name.startswith("nnn") for name in short.values())
    assert original_names(chat) == {
        short["n" * 64 + "a"]: "n" * 64 + "a",
        short["n" * 64 + "b"]: "n" * 64 + "b",
    }


def test_a_name_that_looks_shortened_is_not_taken_for_the_long_one() -> None:
    short = shortened_names(offering(LONG))[LONG]
    chat = offering(short, LONG)
    assert shortened_names(chat)[LONG] not in (short, LONG)
    assert list(original_names(chat).values()) == [LONG]


def test_long_names_whose_digests_agree_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_names, "_DIGEST_CHARS", 2)
    offered = [LONG + str(n) for n in range(60)]
    assert len(set(shortened_names(offering(*offered)).values())) == 60


def test_a_name_is_shortened_alike_in_every_turn() -> None:
    assert shortened_names(offering(LONG)) == shortened_names(offering("other", called=(LONG,)))


def test_everywhere_in_a_request() -> None:
    call = {"id": "c", "type": "function", "function": {"name": LONG, "arguments": "{}"}}
    history: Any = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    chat = parsed(messages=history, tools=[function(LONG)], tool_choice=function(LONG))
    made = asked(chat).body
    short = made["tools"][0]["name"]
    assert made["input"][0]["name"] == made["tool_choice"]["name"] == short
    assert original_names(chat) == {short: LONG}


names = st.one_of(st.text(min_size=1, max_size=3), st.text("ab", min_size=62, max_size=70), st.just(LONG))


@settings(max_examples=100)
@given(st.lists(names, max_size=8), st.lists(names, max_size=4))
def test_the_map_can_be_turned_round(offered: list[str], called: list[str]) -> None:
    chat = offering(*offered, called=tuple(called))
    every = {*offered, *called}
    short = shortened_names(chat)
    upstream = {name: short.get(name, name) for name in every}
    assert len(set(upstream.values())) == len(every)
    assert all(len(name) <= 64 for name in upstream.values())
    back = original_names(chat)
    assert {back.get(there, there) for there in upstream.values()} == every
    assert all(back.get(upstream[name], upstream[name]) == name for name in every)
