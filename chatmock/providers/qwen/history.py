"""Reads what a chat at the site holds: which answer it goes on from (spec upstreams.md, A1.1; the form is that of Open WebUI,
of which the site is a descendant: ``data.chat.history`` with ``messages`` by id and ``currentId``, the leaf shown)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatmock import jsontext
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError
from chatmock.providers.qwen.contract import TITLE
from chatmock.providers.qwen.errors import read_refusal, tells_error


def read_leaf(body: bytes) -> str | None:
    """The id of the last answer on the branch that the site shows; None for a chat that has no answer yet.

    :raises Refusal: what the site said instead, or that it has changed.
    """
    try:
        told = jsontext.loads_object(body)
    except JSONError:
        raise read_refusal(200, {}, body) from None
    if tells_error(told):
        raise read_refusal(200, {}, body)
    history = _inner(told, "data", "chat", "history")
    messages = None if history is None else history.get("messages")
    if history is None or not isinstance(messages, Mapping):
        raise Refusal(
            Kind.UPSTREAM_FAILED,
            f"{TITLE} does not tell what the chat holds in the form it used to: its web API is private and may have "
            "changed. Look for a newer chatmock, or ask without a chat_id.",
            code="upstream_changed",
        )
    return _last_answer(messages, history.get("currentId"))


def _last_answer(messages: Mapping[str, Any], id: object) -> str | None:
    """The nearest answer at *id* or above it; each message is looked at once, whatever the links say."""
    left = dict(messages)
    while isinstance(id, str):
        message = left.pop(id, None)
        if not isinstance(message, Mapping):
            return None
        if message.get("role") == "assistant":
            return id
        id = message.get("parentId")
    return None


def _inner(value: object, *keys: str) -> Mapping[str, Any] | None:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else None
