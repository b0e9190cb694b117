"""What chat.qwen.ai asks of a request (spec upstreams.md, A1.1, A1.3, A1.6): assertions, whose words the fake answers with."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_FILE = {
    "type": "image",
    "showType": "image",
    "file_class": "vision",
    "status": "uploaded",
}
TOO_MANY = "Invalid input too many messages."
_SECONDS = (10**9, 10**10)
_MILLISECONDS = (10**12, 10**13)


def check_new_chat(body: Mapping[str, Any]) -> None:
    """The body of ``chats/new``."""
    assert isinstance(body.get("models"), list), "models is required"
    assert len(body["models"]) == 1, "one model is required"
    assert body.get("chat_type") == "t2t", "chat_type is required"
    assert body.get("chat_mode") in ("normal", "guest", "local"), "chat_mode is required"
    _check_time(body, _MILLISECONDS)


def check_completion(body: Mapping[str, Any], chat_id: str, seen: Collection[str]) -> None:
    """The body of ``chat/completions``.

    :param chat_id: the one in the URL. *seen*: the ids of messages before.
    """
    assert body.get("stream") is True, "stream must be true"
    assert body.get("incremental_output") is True, "incremental_output must be true"
    assert body.get("chat_id") == body.get("chatId", chat_id) == chat_id, (
        "chat_id differs from that of the URL"
    )
    assert body.get("parent_id") == body.get("parentId"), "parent_id and parentId differ"
    messages = body.get("messages")
    assert isinstance(messages, list), "messages is required"
    assert messages, "messages is empty"
    assert len(messages) == 1, TOO_MANY
    _check_time(body, _SECONDS)
    _check_message(messages[0], body, seen)


def _check_message(message: Mapping[str, Any], body: Mapping[str, Any], seen: Collection[str]) -> None:
    assert message.get("role") == "user", "role must be user"
    assert isinstance(message.get("content"), str | list), "content is required"
    assert message.get("user_action") in ("chat", "edit"), "user_action is required"
    assert message.get("chat_type") == message.get("sub_chat_type") == "t2t", "chat_type is required"
    assert message.get("models") == [body.get("model")], "models of the message differ from the model"
    assert message.get("parent_id") == message.get("parentId") == body.get("parent_id"), (
        "parent_id of the message differs"
    )
    children = message.get("childrenIds")
    assert isinstance(children, list), "childrenIds is required"
    assert len(children) == 1, "childrenIds is not one id"
    for id in (message.get("fid"), children[0]):
        assert isinstance(id, str), "fid and childrenIds are ids"
        assert _UUID.fullmatch(id), f"no UUID: {id}"
        assert id not in seen, f"not fresh: {id}"
    assert message["fid"] != children[0], "fid and childrenIds are the same"
    config = message.get("feature_config")
    assert isinstance(config, dict), "feature_config is required"
    assert isinstance(config.get("thinking_enabled"), bool), "thinking_enabled is required"
    _check_time(message, _SECONDS)
    for file in message.get("files", ()):
        _check_file(file)


def _check_file(file: Mapping[str, Any]) -> None:
    for name, value in _FILE.items():
        assert file.get(name) == value, f"a file's {name} is {file.get(name)!r}"
    for name in ("name", "url", "file_type"):
        assert file.get(name), f"a file's {name} is missing"


def check_grant(body: Mapping[str, Any]) -> None:
    """The body of ``getstsToken``."""
    assert isinstance(body.get("filename"), str), "filename is required"
    assert re.fullmatch(r"[\w.-]+\.[a-z]+", body["filename"]), "filename has no type"
    assert isinstance(body.get("filesize"), int), "filesize is required"
    assert body["filesize"] > 0, "the file is empty"
    assert body.get("filetype") == "image", "filetype must be image"


def _check_time(body: Mapping[str, Any], unit: tuple[int, int]) -> None:
    told = body.get("timestamp")
    assert isinstance(told, int), "timestamp is required"
    assert unit[0] <= told < unit[1], "timestamp is in another unit"
