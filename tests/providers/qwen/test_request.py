"""The bodies, against the rules that the fake site enforces."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock import jsontext
from chatmock.errors import Kind, Refusal
from chatmock.providers.qwen.contract import MOST_BODY_BYTES
from chatmock.providers.qwen.features import asked_features
from chatmock.providers.qwen.request import completion, encoded, new_chat, stop
from tests.providers.qwen.asking import parsed, texts
from tests.upstreams.qwen_rules import check_completion, check_new_chat

CHAT = "004c84c5-0000-4000-8000-000000000001"
PARENT = "2b7b2da2-0000-4000-8000-000000000002"
FEATURES = asked_features(parsed()).config
SECONDS = 1_790_356_346


def ids() -> Callable[[], str]:
    made: Iterator[int] = iter(range(1, 1000))
    return lambda: str(uuid.UUID(int=next(made)))


def body(parent: str | None = PARENT, content: str = "Hi") -> dict[str, Any]:
    return completion(CHAT, parent, "qwen3.7-plus", content, [], FEATURES, SECONDS, ids())


def test_as_recorded() -> None:
    message = {
        "id": None,
        "fid": "00000000-0000-0000-0000-000000000001",
        "parentId": PARENT,
        "parent_id": PARENT,
        "childrenIds": ["00000000-0000-0000-0000-000000000002"],
        "role": "user",
        "content": "xin chào 2\n",
        "user_action": "chat",
        "files": [],
        "timestamp": SECONDS,
        "models": ["qwen3.7-plus"],
        "model": "",
        "chat_type": "t2t",
        "sub_chat_type": "t2t",
        "feature_config": FEATURES,
        "extra": {"meta": {"subChatType": "t2t"}},
    }
    assert body(content="xin chào 2\n") == {
        "stream": True,
        "version": "2.1",
        "incremental_output": True,
        "chatId": CHAT,
        "chat_id": CHAT,
        "chat_mode": "normal",
        "model": "qwen3.7-plus",
        "parentId": PARENT,
        "parent_id": PARENT,
        "messages": [message],
        "timestamp": SECONDS,
    }


def test_a_new_chat() -> None:
    made = new_chat("qwen3.7-plus", SECONDS * 1000)
    check_new_chat(made)
    assert made == {
        "title": "New Chat",
        "chatId": "",
        "models": ["qwen3.7-plus"],
        "project_id": "",
        "timestamp": SECONDS * 1000,
        "chat_type": "t2t",
        "chat_mode": "normal",
    }


def test_a_stop() -> None:
    assert stop(CHAT, PARENT) == {"chat_id": CHAT, "response_id": PARENT}


@settings(max_examples=50)
@given(st.none() | st.just(PARENT), texts)
def test_the_site_accepts_it(parent: str | None, content: str) -> None:
    made = jsontext.loads_object(encoded(body(parent, content)))
    check_completion(made, CHAT, ())
    (message,) = made["messages"]
    assert (message["content"], message["parent_id"]) == (content, parent)
    assert message["feature_config"]["output_schema"] == "phase"


def test_the_largest_body_passes_and_one_byte_more_does_not() -> None:
    room = MOST_BODY_BYTES - len(jsontext.dumps(body(content="")))
    assert len(encoded(body(content="é" * (room // 2) + "x" * (room % 2)))) == MOST_BODY_BYTES
    with pytest.raises(Refusal) as caught:
        encoded(body(content="x" * (room + 1)))
    refusal = caught.value
    assert (refusal.kind, refusal.code, refusal.param) == (
        Kind.BAD_REQUEST,
        "context_length_exceeded",
        "messages",
    )
    assert f"{MOST_BODY_BYTES:,}" in refusal.message
    assert f"{MOST_BODY_BYTES + 1:,}" in refusal.message
