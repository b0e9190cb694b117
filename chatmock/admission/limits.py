"""How much one request may bring, the same in every dialect. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from chatmock.conversation import Attachment, ChatRequest, Image, Message, Part, ToolResult
from chatmock.errors import Refusal, bad_request
from chatmock.settings import Settings

CLAMPED = "X-Chatmock-Clamped"


@attrs.frozen
class Limits:
    """The limits of the settings of the same names."""

    max_messages: int
    max_message_chars: int
    max_total_bytes: int
    max_image_bytes: int
    max_tokens: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that *settings* set."""
        return cls(**{field.name: getattr(settings, field.name) for field in attrs.fields(cls)})

    @property
    def max_body_bytes(self) -> int:
        """The most bytes a request's HTTP body may have: text may be escaped, pictures are base64."""
        return 4 * self.max_total_bytes + 2 * self.max_image_bytes

    def apply(self, chat: ChatRequest) -> tuple[ChatRequest, Mapping[str, str]]:
        """*chat* with its ``max_tokens`` clamped, and the response headers that say so.

        :raises Refusal: bad request that names the limit and its setting.
        """
        if len(chat.messages) > self.max_messages:
            raise _over(
                "messages", f"{len(chat.messages)} messages", self.max_messages, "CHATMOCK_MAX_MESSAGES"
            )
        total = 0
        for position, message in enumerate(chat.messages):
            total += self._check(message, f"messages[{position}]")
        if total > self.max_total_bytes:
            raise _over(
                "messages", f"{total} bytes of text", self.max_total_bytes, "CHATMOCK_MAX_TOTAL_BYTES"
            )
        if chat.max_tokens is not None and chat.max_tokens > self.max_tokens:
            return attrs.evolve(chat, max_tokens=self.max_tokens), {CLAMPED: f"max_tokens={self.max_tokens}"}
        return chat, {}

    def _check(self, message: Message, where: str) -> int:
        """Check one message; returns the bytes of its text."""
        chars = size = 0
        for text in message.texts():
            chars += len(text)
            size += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        if chars > self.max_message_chars:
            raise _over(where, f"{chars} characters", self.max_message_chars, "CHATMOCK_MAX_MESSAGE_CHARS")
        for part in message.parts:
            inline = _inline_bytes(part)
            if inline > self.max_image_bytes:
                raise _over(
                    where, f"a file of about {inline} bytes", self.max_image_bytes, "CHATMOCK_MAX_IMAGE_BYTES"
                )
        return size


def _inline_bytes(part: Part) -> int:
    """The size of the picture or file carried in *part*, decoded, in bytes."""
    match part:
        case Image():
            return part.inline_bytes * 3 // 4
        case Attachment(value=value):
            return _longest_text(value) * 3 // 4
        case ToolResult(parts=parts):
            return max((_inline_bytes(inner) for inner in parts), default=0)
        case _:
            return 0


def _longest_text(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return max(map(_longest_text, value.values()), default=0)
    return max(map(_longest_text, value), default=0) if isinstance(value, list) else 0


def _over(where: str, found: str, most: int, setting: str) -> Refusal:
    return bad_request(
        f"{where!r} has {found}; at most {most} are allowed. The owner can raise {setting}.",
        param=where,
        code="limit_exceeded",
    )
