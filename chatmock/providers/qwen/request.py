"""The JSON bodies that the site takes (spec upstreams.md, A1.1, A1.3). Times are milliseconds in one and seconds in another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chatmock import jsontext
from chatmock.errors import bad_request
from chatmock.providers.qwen import contract
from chatmock.providers.qwen.contract import MOST_BODY_BYTES, TITLE


def new_chat(model: str, now_ms: int) -> dict[str, Any]:
    """The body that opens a chat.

    :param now_ms: Unix time in milliseconds.
    """
    return {**contract.NEW_CHAT, "models": [model], "timestamp": now_ms}


def completion(
    chat_id: str,
    parent_id: str | None,
    model: str,
    content: str,
    files: Sequence[Mapping[str, Any]],
    features: Mapping[str, Any],
    now_s: int,
    new_id: Callable[[], str],
) -> dict[str, Any]:
    """The body that asks one message in a chat.

    :param parent_id: the id of the answer it goes on from; None for a chat's first message.
    :param files: uploaded pictures as a message names them.
    :param features: the ``feature_config``, see :func:`~chatmock.providers.qwen.features.asked_features`.
    :param now_s: Unix time in seconds.
    :param new_id: makes a fresh UUID; called twice.
    """
    going_on = {"parentId": parent_id, "parent_id": parent_id, "timestamp": now_s}
    message = {
        **contract.MESSAGE,
        **going_on,
        "fid": new_id(),
        "childrenIds": [new_id()],
        "content": content,
        "files": list(files),
        "models": [model],
        "feature_config": dict(features),
    }
    chat = {"chatId": chat_id, "chat_id": chat_id, "model": model}
    return {**contract.COMPLETION, **chat, **going_on, "messages": [message]}


def stop(chat_id: str, response_id: str) -> dict[str, Any]:
    """The body that ends an answer, so that its chat is free for the next message."""
    return {"chat_id": chat_id, "response_id": response_id}


def encoded(body: Mapping[str, Any], room: int = 0) -> bytes:
    """*body* as JSON, if the site's gateway lets it pass.

    :param room: bytes to be kept for what is not in it yet.
    :raises Refusal: bad request, code ``context_length_exceeded``, when it is longer than
        :data:`~chatmock.providers.qwen.contract.MOST_BODY_BYTES`.
    """
    data = jsontext.dumps(body)
    if (size := len(data) + room) > MOST_BODY_BYTES:
        raise bad_request(
            f"The conversation takes {size:,} bytes as {TITLE} is sent it; its web chat takes {MOST_BODY_BYTES:,} "
            "a message. Shorten 'messages' (earlier turns, results of tools, pasted files) or offer fewer 'tools', or "
            "go on from the last answer with everything before it unchanged: then only what is new is sent.",
            param="messages",
            code="context_length_exceeded",
        )
    return data
