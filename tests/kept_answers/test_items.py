"""The items of a conversation, and whose it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatmock.admission.client import Client, Key
from chatmock.jsontext import JSONError
from chatmock.kept_answers.entries import KeptAnswer, owner_of
from chatmock.kept_answers.items import as_items, conversation

ITEMS: list[dict[str, Any]] = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"type": "function_call", "id": "fc_9", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "42"},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And?"}]},
]
SAID = {"type": "message", "role": "assistant", "content": []}


def kept(items: Any = ITEMS, output: Any = (SAID,)) -> KeptAnswer:
    body = {"id": "resp_7", "output": output}
    return KeptAnswer("me", "resp_7", 0.0, json.dumps(items).encode(), json.dumps(body).encode())


def test_text_is_a_message() -> None:
    content = [{"type": "input_text", "text": "Hi"}]
    assert as_items("Hi") == [{"type": "message", "role": "user", "content": content}]
    assert as_items(ITEMS) == ITEMS
    assert as_items(None) == as_items("") == as_items(5) == []


def test_a_conversation_goes_on_after_its_answer() -> None:
    assert conversation(kept()) == [*ITEMS, SAID]


@pytest.mark.parametrize("broken", [kept(items={}), kept(output={}), kept(output=None)])
def test_what_is_no_conversation(broken: KeptAnswer) -> None:
    with pytest.raises(JSONError):
        conversation(broken)


def test_whose_an_answer_is() -> None:
    mine = Client("10.0.0.1", Key("laptop", id="1"))
    assert owner_of(mine) == owner_of(Client("10.0.0.2", Key("laptop", id="1", rpm=5)))
    assert owner_of(mine) != owner_of(Client("10.0.0.1", Key("laptop", id="2")))
    assert owner_of(mine) != owner_of(Client("10.0.0.1"))
    assert owner_of(Client("10.0.0.1")) == owner_of(Client("10.0.0.2"))
