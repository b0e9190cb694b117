"""The key under which the backend keeps a conversation's prompt cache (spec chatgpt.md, 2.6)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator

from chatmock.conversation import ChatRequest, Image, Text
from chatmock.providers.chatgpt.contract import CACHE_NAMESPACE
from chatmock.providers.client_fields import ClientFields

_MOST_HEADER_CHARS = 256


def cache_key(chat: ChatRequest, fields: ClientFields, account_id: str, instructions: str) -> str:
    """The client's own key or name of the conversation, else one made of what the conversation begins with.

    A made key is the same after a restart, and differs between accounts and between a client's users.

    :raises Refusal: bad request, when a field of the client that goes into it is no string.
    """
    given = fields.take_text("prompt_cache_key")
    users = [fields.take_text("user") or "", fields.take_text("safety_identifier") or ""]
    if given or chat.session:
        return given or chat.session or ""
    return _made(account_id, "begins", *users, instructions, *_first_said(chat))


def header_value(key: str, account_id: str) -> str:
    """*key* where it may stand in a header, else one made of it: a client's key is any text."""
    if key.isascii() and key.isprintable() and key == key.strip() and len(key) <= _MOST_HEADER_CHARS:
        return key
    return _made(account_id, "key", key)


def _first_said(chat: ChatRequest) -> Iterator[str]:
    """The texts and pictures of the first message of the user, each after its kind."""
    for message in chat.messages:
        if message.role == "user":
            for part in message.parts:
                if isinstance(part, Text):
                    yield from ("text", part.text)
                elif isinstance(part, Image):
                    yield from ("image", part.url)
            return


def _made(account_id: str, *texts: str) -> str:
    """A UUID of *texts*, which are hashed one by one: a picture may be large."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return str(uuid.uuid5(CACHE_NAMESPACE, f"{account_id} {digest.hexdigest()}"))
