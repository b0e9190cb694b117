"""Names of functions that are longer than the backend takes: shortened, and found again (spec chatgpt.md, 2.4).

A short name depends on the long one only, so a conversation keeps its names, and with them its prompt cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from chatmock.conversation import ChatRequest, ToolCall
from chatmock.providers.chatgpt.contract import MOST_NAME_CHARS, WIRE
from chatmock.providers.responses_items import CALL_KINDS

_TOOLS = ("function", "custom")
_DIGEST_CHARS = 12


def shortened_names(chat: ChatRequest) -> Mapping[str, str]:
    """The long names that *chat* offers or has called, each to the name that goes upstream. Shorter ones are left out."""
    names = set(_names(chat))
    long = sorted(name for name in names if len(name) > MOST_NAME_CHARS)
    shortened: dict[str, str] = {}
    for name in long:
        shortened[name] = short = _shorten(name, names)
        names.add(short)
    return shortened


def original_names(chat: ChatRequest) -> Mapping[str, str]:
    """The names that go upstream in place of longer ones, each to the client's name, for reading the answer."""
    return {short: name for name, short in shortened_names(chat).items()}


def renamed(value: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A copy of *value*, a tool or what names one, with the name that goes upstream."""
    name = value.get("name")
    return {**value, "name": names.get(name, name)} if isinstance(name, str) else dict(value)


def _names(chat: ChatRequest) -> Iterator[str]:
    if chat.source is not None and chat.source.wire == WIRE:
        yield from _passed_names(chat.source.body)
    for tool in chat.tools:
        yield tool.name
    for message in chat.messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                yield part.name


def _passed_names(body: Mapping[str, Any]) -> Iterator[str]:
    """The names in a request of the backend's own dialect: in its tools, and in the items of its input that call some."""
    for field, kinds in (("tools", _TOOLS), ("input", CALL_KINDS)):
        listed = body.get(field)
        for value in listed if isinstance(listed, list) else ():
            if (
                isinstance(value, Mapping)
                and value.get("type") in kinds
                and isinstance(value.get("name"), str)
            ):
                yield value["name"]


def _shorten(name: str, taken: set[str]) -> str:
    start = name[: MOST_NAME_CHARS - _DIGEST_CHARS - 1]
    encoded = name.encode("utf-8", "surrogatepass")
    attempt = 0
    while True:
        salt = b"%d" % attempt if attempt else b""
        short = f"{start}_{hashlib.sha256(encoded + salt).hexdigest()[:_DIGEST_CHARS]}"
        if short not in taken:
            return short
        attempt += 1
