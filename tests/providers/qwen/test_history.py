"""Which answer a chat goes on from, out of what the site says it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatmock.errors import Refusal
from chatmock.providers.qwen.history import read_leaf


def body(messages: Any, current: Any) -> bytes:
    chat = {"history": {"messages": messages, "currentId": current}}
    return json.dumps({"success": True, "data": {"id": "c", "chat": chat}}).encode()


def message(role: str, parent: str | None) -> dict[str, Any]:
    return {"role": role, "parentId": parent}


TREE = {
    "u1": message("user", None),
    "a1": message("assistant", "u1"),
    "b1": message("assistant", "u1"),
    "u2": message("user", "a1"),
    "x": message("user", "y"),
    "y": message("user", "x"),
    "odd": 1,
}


@pytest.mark.parametrize(
    ("current", "leaf"),
    [
        ("a1", "a1"),
        ("b1", "b1"),
        ("u2", "a1"),
        ("u1", None),
        ("x", None),
        ("odd", None),
        ("gone", None),
        (None, None),
        (7, None),
    ],
)
def test_the_last_answer_on_the_branch_that_is_shown(current: Any, leaf: str | None) -> None:
    assert read_leaf(body(TREE, current)) == leaf


def test_an_empty_chat_has_none() -> None:
    assert read_leaf(body({}, None)) is None


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"success": True, "data": {"id": "c"}}, "upstream_changed"),
        ({"success": True, "data": {"chat": {"history": {"messages": []}}}}, "upstream_changed"),
        ({"success": False, "data": {"code": "Not_Found", "details": "Chat c not exist"}}, "chat_not_found"),
        ({"ret": ["FAIL_SYS_USER_VALIDATE"], "data": {"url": "x"}}, "upstream_captcha"),
    ],
)
def test_what_else_is_said_is_a_refusal(told: Any, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_leaf(json.dumps(told).encode())
    assert caught.value.code == code


def test_a_page_is_a_refusal() -> None:
    with pytest.raises(Refusal):
        read_leaf(b"<html></html>")
