"""About how many tokens a request takes, for clients that ask before they send it. Pure.

Nobody but the model's own vocabulary can tell. Text is counted as it is where conversations are cut to a window; for
pictures and files there are round figures.
"""

from __future__ import annotations

from typing import Final

from chatmock import jsontext
from chatmock.conversation import Attachment, ChatRequest, Image, Message, Part, Text, ToolResult
from chatmock.providers.truncation import estimate_tokens

IMAGE_TOKENS: Final = 1600
"""Of a picture that fills what models look at; smaller ones take less."""
FILE_TOKENS: Final = 3000
"""Of each :data:`FILE_BYTES` of a file, or what is left of it: about a page of a PDF, its text and its picture."""
FILE_BYTES: Final = 100_000
"""As it is encoded in the request."""

ESTIMATE: Final = "X-Chatmock-Estimate"
"""The response header that says which token counts are estimates, or how they are made."""
METHOD: Final = f"text by its characters, {IMAGE_TOKENS} tokens a picture, {FILE_TOKENS} for each {FILE_BYTES} bytes of a file"
"""How it is counted, for a response header."""


def count_tokens(chat: ChatRequest) -> int:
    """The estimate for all that *chat* brings: conversation, tools, the form of the answer."""
    told = [
        jsontext.dumps([tool.name, tool.description, tool.parameters]).decode() for tool in chat.tools
    ] + [jsontext.dumps(tool).decode() for tool in chat.other_tools]
    if chat.response_format.schema is not None:
        told.append(jsontext.dumps(chat.response_format.schema).decode())
    texts = sum(estimate_tokens(Message("system", (Text(text),))) for text in told)
    said = sum(estimate_tokens(message) for message in chat.messages)
    return texts + said + sum(_of_part(part) for message in chat.messages for part in message.parts)


def _of_part(part: Part) -> int:
    match part:
        case Image():
            return IMAGE_TOKENS
        case Attachment():
            return FILE_TOKENS * (1 + len(jsontext.dumps(part.value)) // FILE_BYTES)
        case ToolResult(parts=parts):
            return sum(map(_of_part, parts))
        case _:
            return 0
