"""How much one request may bring, the same in every dialect. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from chatmock.conversation import Attachment, ChatRequest, Image, Message, Part, ToolResult
from chatmock.errors import Refusal, bad_request
from chatmock.settings import Settings
from chatmock.vectors import EmbeddingRequest

CLAMPED = "X-Chatmock-Clamped"

MOST_STOP_BYTES = 4096
"""Of all stop sequences together: what may be the beginning of one is looked for in each piece of an answer."""
_FILE_FIELDS = ("data", "file_data")
"""In which audio and files stand in base64 (OpenAI's ``input_audio`` and ``file``)."""
_SEALED_FIELDS = ("result", "image_url", "encrypted_content")
"""In which items of the Responses API that are no messages have pictures and sealed thinking in base64."""
_LONG_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}")
_DATA_URL = re.compile(r"data:[^,\s]{0,200};base64,")


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
        whole = re.split(r"[.\[]", chat.places[-1])[0] if chat.places else "messages"
        if len(chat.messages) > self.max_messages:
            raise _over(whole, f"{len(chat.messages)} messages", self.max_messages, "CHATMOCK_MAX_MESSAGES")
        said = inline = 0
        for position, message in enumerate(chat.messages):
            said += self._check(message, chat.places[position] if chat.places else f"messages[{position}]")
            inline += sum(map(_inline_bytes, message.parts))
        if said > self.max_total_bytes:
            raise _over(whole, f"{said} bytes of text", self.max_total_bytes, "CHATMOCK_MAX_TOTAL_BYTES")
        inline = max(inline, 0 if chat.source is None else _inline_bytes_of_items(chat.source.body))
        if inline * 3 // 4 > self.max_image_bytes:
            found = f"about {inline * 3 // 4} bytes of images and files"
            raise _over(whole, found, self.max_image_bytes, "CHATMOCK_MAX_IMAGE_BYTES")
        if chat.source is not None:
            self._check_rest(_size(chat.source.body) - said - inline)
        _check_stop(chat.stop)
        if chat.max_tokens is not None and chat.max_tokens > self.max_tokens:
            return attrs.evolve(chat, max_tokens=self.max_tokens), {CLAMPED: f"max_tokens={self.max_tokens}"}
        return chat, {}

    def check_embedding(self, asked: EmbeddingRequest) -> None:
        """See that *asked* is no more than the texts of a chat may be; a token's number counts as four bytes.

        :raises Refusal: bad request that names the limit and its setting.
        """
        size = sum(_utf8_bytes(text) if isinstance(text, str) else 4 * len(text) for text in asked.inputs)
        if size > self.max_total_bytes:
            raise _over("input", f"{size} bytes of text", self.max_total_bytes, "CHATMOCK_MAX_TOTAL_BYTES")
        self._check_rest(_size(asked.extras) + _size(asked.own))

    def _check(self, message: Message, where: str) -> int:
        """Check one message; returns the bytes of its text."""
        chars = size = 0
        for text in message.texts():
            chars += len(text)
            size += _utf8_bytes(text)
        if chars > self.max_message_chars:
            raise _over(where, f"{chars} characters", self.max_message_chars, "CHATMOCK_MAX_MESSAGE_CHARS")
        return size

    def _check_rest(self, size: int) -> None:
        """Check what is neither said in a message nor a picture or file, since most upstreams are sent that as well."""
        if size > self.max_total_bytes:
            raise bad_request(
                f"The request has {size} bytes of text outside of what its messages say, such as tools, schemas and"
                f" other fields; at most {self.max_total_bytes} are allowed. The owner can raise"
                " CHATMOCK_MAX_TOTAL_BYTES.",
                code="limit_exceeded",
            )


def _check_stop(stop: Sequence[str]) -> None:
    size = sum(map(_utf8_bytes, stop))
    if size > MOST_STOP_BYTES:
        words = f"'stop' has {size} bytes of stop sequences; at most {MOST_STOP_BYTES} are allowed."
        raise bad_request(words, param="stop", code="limit_exceeded")


def _inline_bytes(part: Part) -> int:
    """The size of the pictures and files carried in *part*, as they are encoded, in bytes."""
    match part:
        case Image():
            return part.inline_bytes
        case Attachment(value=value):
            return sum(len(text) for field, text in _strings(value) if _is_file(field, text))
        case ToolResult(parts=parts):
            return sum(map(_inline_bytes, parts))
        case _:
            return 0


def _inline_bytes_of_items(body: Mapping[str, Any]) -> int:
    """The size of the pictures, files and sealed thinking in the items of a Responses *body*, messages among them; 0 for
    another dialect's."""
    items = body.get("input")
    if not isinstance(items, list):
        return 0
    return sum(
        len(text)
        for field, text in _strings(items)
        if _is_file(field, text) or (field in _SEALED_FIELDS and _LONG_BASE64.fullmatch(text))
    )


def _is_file(field: str, text: str) -> bool:
    """Whether *text* is a file in base64. Prose has blanks, wherever it is put."""
    return (field in _FILE_FIELDS or _DATA_URL.match(text) is not None) and text.isascii() and " " not in text


def _size(value: Any) -> int:
    """The bytes of all strings and keys in the decoded JSON *value*, as UTF-8."""
    size = 0
    left = [value]
    for each in left:  # which grows meanwhile
        if isinstance(each, str):
            size += len(each) if each.isascii() else _utf8_bytes(each)
        elif isinstance(each, dict):
            left += each
            left += each.values()
        elif isinstance(each, list):
            left += each
    return size


def _strings(value: Any) -> Iterator[tuple[str, str]]:
    """The strings in the decoded JSON *value*, each after the name of its field."""
    left = [("", value)]
    for field, each in left:  # which grows meanwhile
        if isinstance(each, str):
            yield field, each
        elif isinstance(each, Mapping):
            left += each.items()
        elif isinstance(each, list):
            left += [(field, item) for item in each]


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _over(where: str, found: str, most: int, setting: str) -> Refusal:
    return bad_request(
        f"{where!r} has {found}; at most {most} are allowed. The owner can raise {setting}.",
        param=where,
        code="limit_exceeded",
    )
