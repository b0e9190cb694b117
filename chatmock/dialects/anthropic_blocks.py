"""The content blocks of a Messages request as parts of a message (spec upstreams.md, F).

What Anthropic's own servers have done (searches, code that ran) is kept as text where it holds any. What holds none is
left out, and named to the client.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from chatmock import jsontext
from chatmock.conversation import Attachment, Image, Part, Text, ToolCall, ToolResult
from chatmock.dialects.anthropic_fields import MISSING, fault, read
from chatmock.dialects.anthropic_seals import unsealed
from chatmock.jsontext import Struct

Speaker = Literal["user", "assistant", "system", "tool"]
"""Whose content it is; ``tool`` within a tool's result."""
Content = str | list[dict[str, Any]]

FAILED: Final = "The tool failed: "
"""What a result begins with whose ``is_error`` is set."""
SERVER_BLOCKS: Final = frozenset(
    [
        "advisor_tool_result",
        "bash_code_execution_tool_result",
        "browser_state",
        "code_execution_tool_result",
        "compaction",
        "container_upload",
        "fallback",
        "mcp_tool_listing",
        "mcp_tool_result",
        "mcp_tool_use",
        "server_tool_use",
        "text_editor_code_execution_tool_result",
        "tool_addition",
        "tool_reference",
        "tool_removal",
        "tool_search_tool_result",
        "web_fetch_tool_result",
        "web_search_tool_result",
    ]
)
"""Of what Anthropic's own servers do."""
PICTURES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
"""The media types of pictures."""
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}", re.IGNORECASE)
_NO_FILES: Final = "There is no Files API here. Send the bytes in base64, or a URL."


class TextBlock(Struct):
    """What is said."""

    text: str


class SourceBody(Struct):
    """Where a picture or a document is."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: str | list[dict[str, Any]] | None = None


class ImageBlock(Struct):
    """A picture."""

    source: SourceBody


class DocumentBlock(Struct):
    """A document; what it says of citations is of no use here."""

    source: SourceBody
    title: str | None = None
    context: str | None = None


class SearchResultBlock(Struct):
    """What the client's own search has found."""

    source: str
    title: str
    content: list[dict[str, Any]]


class ToolUseBlock(Struct):
    """The model asked for a tool."""

    id: str
    name: str
    input: dict[str, Any]


class ToolResultBlock(Struct):
    """What the tool answered."""

    tool_use_id: str
    content: str | list[dict[str, Any]] | None = None
    is_error: bool | None = None


class ThinkingBlock(Struct):
    """The model's thinking."""

    thinking: str
    signature: str | None = None


class RedactedThinkingBlock(Struct):
    """Thinking that only its upstream can read."""

    data: str


def read_content(content: Content, speaker: Speaker, where: str, ignored: list[str]) -> list[Part]:
    """The parts of *content*, which stands at *where* in the request.

    :param ignored: is given the names of blocks that are left out.
    :raises Refusal: bad request, naming the block at fault.
    """
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts: list[Part] = []
    for position, block in enumerate(content):
        parts.extend(_block(block, speaker, f"{where}.{position}", ignored))
    return parts


def _block(block: Mapping[str, Any], speaker: Speaker, where: str, ignored: list[str]) -> Sequence[Part]:
    kind = block.get("type")
    if not isinstance(kind, str):
        raise fault(f"{where}.type", MISSING)
    if kind in SERVER_BLOCKS and speaker != "system":
        text = "\n".join(_texts(block))
        if text:
            return [Text(text)]
        ignored.append(f"content.{kind}")
        return []
    reader = _READERS.get(kind)
    if reader is None:
        raise fault(where, f"{kind[:50]!r} is no type of content block that is known here.")
    if kind not in BLOCKS_OF[speaker]:
        raise fault(where, f"A {kind} block has no place in the content of role {speaker!r}.")
    return reader(block, f"{where}.{kind}", ignored)


def _text(block: Mapping[str, Any], where: str, _: list[str]) -> Sequence[Part]:
    text = read(block, TextBlock, where).text
    return [Text(text)] if text else []


def _image(block: Mapping[str, Any], where: str, _: list[str]) -> Sequence[Part]:
    source = read(block, ImageBlock, where).source
    if source.type == "base64" and source.media_type not in PICTURES:
        words = f"Input should be {', '.join(map(repr, PICTURES[:-1]))} or {PICTURES[-1]!r}"
        raise fault(f"{where}.source.base64.media_type", words)
    return [Image(_url_of(source, f"{where}.source"))]


def _document(block: Mapping[str, Any], where: str, ignored: list[str]) -> Sequence[Part]:
    document = read(block, DocumentBlock, where)
    source, where = document.source, f"{where}.source"
    about = [text for text in (document.title, document.context) if text]
    if source.type == "text":
        return [Text("\n\n".join([*about, _needed(source.data, f"{where}.data")]))]
    if source.type == "content":
        if source.content is None:
            raise fault(f"{where}.content", MISSING)
        told = read_content(source.content, "tool", f"{where}.content", ignored)
        return [*([Text("\n\n".join(about) + "\n\n")] if about else []), *told]
    # A URL stands where the bytes would: upstreams that fetch it look there.
    file = {"filename": _file_name(document.title), "file_data": _url_of(source, where)}
    context = [Text(document.context)] if document.context else []
    return [*context, Attachment("file", {"type": "file", "file": file})]


def _search_result(block: Mapping[str, Any], where: str, ignored: list[str]) -> Sequence[Part]:
    found = read(block, SearchResultBlock, where)
    parts = read_content(found.content, "system", f"{where}.content", ignored)
    texts = [part.text for part in parts if isinstance(part, Text)]
    return [Text("\n".join([found.title, found.source, *texts]))]


def _tool_use(block: Mapping[str, Any], where: str, _: list[str]) -> Sequence[Part]:
    call = read(block, ToolUseBlock, where)
    return [ToolCall(call.id, call.name, jsontext.dumps(call.input).decode())]


def _tool_result(block: Mapping[str, Any], where: str, ignored: list[str]) -> Sequence[Part]:
    result = read(block, ToolResultBlock, where)
    parts = [
        part
        for part in read_content(result.content or "", "tool", f"{where}.content", ignored)
        if isinstance(part, Text | Image | Attachment)
    ]
    if result.is_error:
        first = parts[0] if parts else None
        parts[:1] = [Text(FAILED + first.text)] if isinstance(first, Text) else [Text(FAILED), *parts[:1]]
    return [ToolResult(result.tool_use_id, tuple(parts) or (Text(""),))]


def _thinking(block: Mapping[str, Any], where: str, _: list[str]) -> Sequence[Part]:
    thought = read(block, ThinkingBlock, where)
    reasoning = unsealed(thought.thinking, thought.signature or "")
    return [reasoning] if reasoning.text or reasoning.sealed else []


def _redacted_thinking(block: Mapping[str, Any], where: str, ignored: list[str]) -> Sequence[Part]:
    reasoning = unsealed("", read(block, RedactedThinkingBlock, where).data)
    if reasoning.sealed:
        return [reasoning]
    ignored.append("content.redacted_thinking")
    return []


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any], str, list[str]], Sequence[Part]]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
}
BLOCKS_OF: Final[Mapping[Speaker, frozenset[str]]] = {
    "user": frozenset(["text", "image", "document", "search_result", "tool_result"]),
    "assistant": frozenset(["text", "tool_use", "thinking", "redacted_thinking"]),
    "system": frozenset(["text"]),
    "tool": frozenset(["text", "image", "document", "search_result"]),
}
"""The blocks that stand in each one's content, besides :data:`SERVER_BLOCKS`."""


def _url_of(source: SourceBody, where: str) -> str:
    """The ``data:`` URL or the link that *source* is.

    :raises Refusal: bad request, for another source.
    """
    match source.type:
        case "base64":
            media_type, data = source.media_type or "", _needed(source.data, f"{where}.data")
            if not _MEDIA_TYPE.fullmatch(media_type):
                raise fault(f"{where}.base64.media_type", "It is not a media type, such as image/png.")
            if not _is_base64(data):
                raise fault(f"{where}.base64.data", "invalid base64 data")
            return f"data:{media_type};base64,{data}"
        case "url":
            url = _needed(source.url, f"{where}.url")
            if not url.lower().startswith(("https://", "http://")):
                raise fault(f"{where}.url", "It is not an https: URL.")
            return url
        case "file":
            raise fault(where, _NO_FILES)
        case other:
            raise fault(f"{where}.type", f"{other[:50]!r} is no source of this block.")


def _is_base64(data: str) -> bool:
    try:
        return bool(binascii.a2b_base64(data, strict_mode=True))
    except ValueError:
        return False


def _needed(value: str | None, where: str) -> str:
    if not value:
        raise fault(where, MISSING)
    return value


def _file_name(title: str | None) -> str:
    """What to call a document; its readers know a PDF by the end of its name."""
    name = title or "document"
    return name if name.lower().endswith(".pdf") else f"{name}.pdf"


def _texts(value: Any) -> Iterator[str]:
    """The texts in a block of a server's, in their order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            if not isinstance(each, str):
                yield from _texts(each)
    elif isinstance(value, Mapping):
        for field in ("title", "url", "text", "stdout", "stderr"):
            said = value.get(field)
            if isinstance(said, str) and said:
                yield said
        if value.get("content"):
            yield from _texts(value["content"])
        source = value.get("source")
        if isinstance(source, Mapping) and source.get("type") == "text":
            yield from _texts(source.get("data"))
