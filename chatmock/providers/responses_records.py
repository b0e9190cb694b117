"""The records of a Responses stream in typed shapes (spec chatgpt.md 3.2; upstreams.md D3).

A delta, which is nearly every record, costs one typed read. The others are rare: they are read a second time, in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from chatmock import jsontext
from chatmock.events import FinishReason, Usage
from chatmock.jsontext import JSONError, Struct

Channel = Literal["text", "refusal", "summary", "reasoning", "arguments"]
"""What a piece of text belongs to: the answer, a refusal, a summary or the whole text of thinking, a tool call."""

DELTAS: Final[Mapping[str, Channel]] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "summary",
    "response.reasoning_text.delta": "reasoning",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
}
WHOLES: Final[Mapping[str, Channel]] = {
    kind.removesuffix("delta") + "done": channel for kind, channel in DELTAS.items()
}
"""Events that repeat a text as a whole."""
PART_DONE: Final = frozenset(["response.content_part.done", "response.reasoning_summary_part.done"])
ITEM_ADDED: Final = "response.output_item.added"
ITEM_DONE: Final = "response.output_item.done"
ANNOTATION_ADDED: Final = "response.output_text.annotation.added"
BEGINNINGS: Final = frozenset(["response.created", "response.in_progress", "response.queued"])
COMPLETED: Final = "response.completed"
INCOMPLETE: Final = "response.incomplete"
FAILURES: Final = frozenset(["response.failed", "response.cancelled"])
ERRORS: Final = frozenset(["error", "response.error"])
KNOWN: Final = frozenset(
    [
        *DELTAS,
        *WHOLES,
        *PART_DONE,
        *BEGINNINGS,
        *FAILURES,
        *ERRORS,
        ITEM_ADDED,
        ITEM_DONE,
        ANNOTATION_ADDED,
        COMPLETED,
        INCOMPLETE,
    ]
)
"""The event types that are read; all others, those of tools that run upstream included, are passed over."""


class Place(Struct, gc=False):
    """Which part of which output item a record is about."""

    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None


class Delta(Place, gc=False):
    """A record as far as the frequent ones go."""

    type: str | None = None
    delta: str | None = None


class ContentPart(Struct):
    """A complete part of a message or of the model's thinking."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None


class MessageItem(Struct):
    """A complete output item of type ``message``."""

    content: list[ContentPart] | None = None


class ReasoningItem(Struct):
    """A complete output item of type ``reasoning``."""

    id: str | None = None
    summary: list[ContentPart] | None = None
    content: list[ContentPart] | None = None
    encrypted_content: str | None = None
    """The thinking in the form that only its upstream reads, where that was asked for."""


class CallItem(Struct):
    """An output item of type ``function_call`` (JSON text in *arguments*) or ``custom_tool_call`` (text in *input*)."""

    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None


class ResponseObject(Struct):
    """The ``response`` that the first and the last events carry."""

    id: str | None = None
    created_at: Any = None
    """Unix time in seconds; whether it is one has yet to be checked."""
    model: str | None = None
    status: str | None = None
    output: list[dict[str, Any]] | None = None
    usage: Any = None
    incomplete_details: Any = None


class FullRecord(Place):
    """A record that is no delta."""

    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    name: str | None = None
    part: ContentPart | None = None
    item: dict[str, Any] | None = None
    annotation: dict[str, Any] | None = None
    response: ResponseObject | None = None


class Passing(Struct, gc=False):
    """What decides whether a record is passed on as it is."""

    type: str | None = None
    sequence_number: int | None = None
    error: Any = None
    """Set, it makes an error of every record: the official clients raise it."""


read_delta: Final = jsontext.reader(Delta)
read_passing: Final = jsontext.reader(Passing)
_read_full = jsontext.reader(FullRecord)


def read_full(data: bytes) -> FullRecord:
    """A record that is no delta; bytes that are not UTF-8 are replaced.

    :raises JSONError: when it has another shape.
    """
    return _read_full(_as_utf8(data))


def read_object(data: bytes) -> dict[str, Any]:
    """A record as plain values; bytes that are not UTF-8 are replaced.

    :raises JSONError: when it is no JSON object.
    """
    return jsontext.loads_object(_as_utf8(data))


def reread(data: bytes, event: str) -> Delta | None:
    """A record that :data:`read_delta` did not take: once more with what is not UTF-8 replaced; None when it says nothing to us.

    :param event: the type by the stream's ``event`` field, for a record without one of its own.
    :raises JSONError: when it is not JSON, or of a known type and another shape.
    """
    if not data.strip() or data.startswith(b"[DONE]"):
        return None
    data = _as_utf8(data)
    try:
        return read_delta(data)
    except JSONError:
        kind = jsontext.loads_object(data).get("type") or event
        if isinstance(kind, str) and kind not in KNOWN:
            return None
        raise


def _as_utf8(data: bytes) -> bytes:
    return data if data.isascii() else data.decode("utf-8", "replace").encode()


def read_usage(usage: Any) -> Usage | None:
    """The counts of a ``usage`` object, whose output tokens include reasoning; None when it lacks the two that matter."""
    prompt, completion = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    if prompt is None or completion is None:
        return None
    return Usage(
        prompt,
        completion,
        cached_tokens=_count(usage.get("input_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count(usage.get("output_tokens_details"), "reasoning_tokens"),
    )


def why_cut_short(details: Any) -> FinishReason:
    """The reason for an answer's end by its ``incomplete_details``; what is none of ours means an end."""
    reason = details.get("reason") if isinstance(details, Mapping) else None
    if reason == "max_output_tokens":
        return "length"
    return "content_filter" if reason == "content_filter" else "stop"


def _count(counts: Any, key: str) -> int | None:
    value = counts.get(key) if isinstance(counts, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
