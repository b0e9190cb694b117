"""Reads the records of an OpenAI chat stream as upstreams really send them (spec upstreams.md, D1 and H)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from chatmock import jsontext
from chatmock.errors import Kind, Refusal, truncated
from chatmock.events import Usage
from chatmock.framing import Record, RecordTooLarge, SSEParser
from chatmock.jsontext import JSONError, Meta, Raw, Struct

_LONG: Final = 1024
"""Bytes of a record from which on it may hold numbers or depths that clients stumble over."""


class FunctionPiece(Struct, gc=False):
    """A piece of a called function; upstreams send "" and null for "nothing new"."""

    name: str | None = None
    arguments: str | None = None


class CallPiece(Struct, gc=False):
    """A piece of a tool call."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionPiece | None = None
    custom: dict[str, Any] | None = None


class Delta(Struct, gc=False):
    """What a record adds to a choice."""

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallPiece] | None = None
    annotations: list[dict[str, Any]] | None = None


class ChoicePiece(Struct, gc=False):
    """One choice in a record."""

    index: Annotated[int, Meta(ge=0, lt=128)] = 0
    """Bounded, as OpenAI bounds ``n``: an answer is folded into as many choices as it counts."""
    delta: Delta | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    logprobs: Raw = Raw(b"null")


class Chunk(Struct, gc=False):
    """One record of the stream."""

    id: str | None = None
    created: int | float | None = None
    model: str | None = None
    choices: list[ChoicePiece] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    object: Any = None


_read_chunk = jsontext.reader(Chunk)
ReadError = Callable[[Mapping[str, Any]], Refusal]


class ChunkReader:
    """Bytes in, checked records out.

    :param title: the upstream's name for messages.
    :param read_error: turns the JSON object of an error record into a refusal.
    :param limit: the most bytes of one record.
    """

    __slots__ = (
        "_parser",
        "_read_error",
        "_title",
        "done",
        "failure",
        "records",
    )

    def __init__(self, title: str, read_error: ReadError, limit: int) -> None:
        self._title = title
        self._read_error = read_error
        self._parser = SSEParser(limit)
        self.done = False
        """Whether ``[DONE]`` has been read."""
        self.failure: Refusal | None = None
        """Set once the stream has said or shown that it failed; nothing is read after it."""
        self.records = 0

    @property
    def comments(self) -> int:
        """How many comments (keep-alives) have been read."""
        return self._parser.comments

    def feed(self, data: bytes) -> list[tuple[bytes, Chunk]]:
        """The records that *data* completes, each as received and as read, up to an end or a failure."""
        if self.done or self.failure is not None:
            return []
        try:
            records = self._parser.feed(data)
        except RecordTooLarge as error:
            message = f"{self._title} sent too much at once: {error}."
            self.failure = Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_limit")
            return []
        return self._read_all(records)

    def close(self) -> list[tuple[bytes, Chunk]]:
        """End of input. A last record that is cut short counts as truncation."""
        if self.done or self.failure is not None:
            return []
        chunks = self._read_all(self._parser.close())
        if self.failure is not None:
            self.failure = truncated(self._title)
        return chunks

    def _read_all(self, records: list[Record]) -> list[tuple[bytes, Chunk]]:
        chunks = []
        for data, event in records:
            self.records += 1
            if not data.isascii():
                data = data.decode("utf-8", "replace").encode()  # noqa: PLW2901
            try:
                chunk = _read_chunk(data)
            except JSONError as error:
                if data.startswith(b"[DONE]"):
                    self.done = True
                    break
                if (lenient := _read_leniently(data)) is None:
                    self.give_up(error)
                    break
                data, chunk = lenient  # noqa: PLW2901
            try:
                if (failure := self._failure_in(data, event, chunk)) is not None:
                    self.failure = failure
                    break
                if len(data) > _LONG:
                    jsontext.check_foreign(data)
            except JSONError as error:
                self.give_up(error)
                break
            chunks.append((data, chunk))
        return chunks

    def _failure_in(self, data: bytes, event: bytes, chunk: Chunk) -> Refusal | None:
        """What the record says has failed, if it says so."""
        if event == b"error" or chunk.object == "error":
            return self._read_error(jsontext.loads_object(data))
        if chunk.error or (b'"error"' in data and _ended_in_error(chunk)):
            return self._read_error(_error_of(data, chunk))
        return None

    def give_up(self, error: JSONError) -> None:
        """Read nothing more after a record that is no chunk."""
        self.failure = Refusal(
            Kind.UPSTREAM_FAILED,
            f"{self._title} sent a record that cannot be read ({error}). Ask again.",
            code="upstream_malformed",
        )


def _read_leniently(data: bytes) -> tuple[bytes, Chunk] | None:
    """A record whose shape is nearly right, put right: text in parts, arguments as an object, a number for an id."""
    try:
        record = jsontext.loads_object(data)
        if isinstance(record.get("id"), int):
            record["id"] = str(record["id"])
        for choice in record.get("choices") or ():
            delta = choice.get("delta") or {}
            if isinstance(delta.get("content"), list):
                delta["content"] = "".join(part.get("text") or "" for part in delta["content"])
            for call in delta.get("tool_calls") or ():
                function = call.get("function") or {}
                if isinstance(function.get("arguments"), dict):
                    function["arguments"] = jsontext.dumps(function["arguments"]).decode()
        written = jsontext.dumps(record)
        return written, _read_chunk(written)
    except (JSONError, AttributeError, TypeError):
        return None


def _ended_in_error(chunk: Chunk) -> bool:
    return any(choice.finish_reason == "error" for choice in chunk.choices or ())


def _error_of(data: bytes, chunk: Chunk) -> Mapping[str, Any]:
    if chunk.error:
        return jsontext.loads_object(data)
    return {"error": {"message": "The answer ended with an error that is not explained."}}


def whole_usage(usage: Mapping[str, Any]) -> Mapping[str, Any]:
    """*usage* with the reasoning tokens counted among the completion tokens, as OpenAI does.

    xAI leaves them out (upstreams.md §0.2), which shows in its own sum: total = prompt + completion + reasoning.
    """
    prompt, completion, total = (
        usage.get(key) for key in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    if not (isinstance(prompt, int) and isinstance(completion, int) and isinstance(total, int) and reasoning):
        return usage
    if total != prompt + completion + reasoning:
        return usage
    return {**usage, "completion_tokens": completion + reasoning}


def read_usage(usage: Mapping[str, Any]) -> Usage | None:
    """The counts of an OpenAI ``usage`` object; None when it lacks the two that matter."""
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    return Usage(
        prompt,
        completion,
        cached_tokens=_detail(usage, "prompt_tokens_details", "cached_tokens"),
        reasoning_tokens=_detail(usage, "completion_tokens_details", "reasoning_tokens"),
    )


def _detail(usage: Mapping[str, Any], group: str, key: str) -> int | None:
    details = usage.get(group)
    value = details.get(key) if isinstance(details, dict) else None
    return value if isinstance(value, int) else None


class CallNumbering:
    """Gives the tool calls of one choice their indices, whatever the upstream calls them.

    Some upstreams leave the index out, or give every parallel call the index 0 with an id of its own.
    """

    __slots__ = (
        "_by_index",
        "_ids",
        "_names",
    )

    def __init__(self) -> None:
        self._by_index: dict[int, int] = {}
        self._ids: list[str] = []
        self._names: list[str] = []

    def place(self, piece: CallPiece) -> tuple[int, bool]:
        """The index of the call that *piece* belongs to, and whether it is the call's first piece."""
        if piece.id and piece.id in self._ids:
            return self._ids.index(piece.id), False
        theirs = piece.index
        if theirs is None:
            theirs = len(self._ids) if piece.id or not self._ids else len(self._ids) - 1
        ours = self._by_index.get(theirs)
        if ours is not None and not self._begins_another(piece, ours):
            self._ids[ours] = self._ids[ours] or piece.id or ""
            return ours, False
        ours = self._by_index[theirs] = len(self._ids)
        self._ids.append(piece.id or "")
        self._names.append(_name_of(piece))
        return ours, True

    def names_now(self, piece: CallPiece, index: int) -> bool:
        """Whether *piece*, not the first of the call *index*, is the one that brings its name."""
        name = _name_of(piece)
        if not name or self._names[index]:
            return False
        self._names[index] = name
        return True

    def _begins_another(self, piece: CallPiece, ours: int) -> bool:
        """Whether a piece under an index that is taken begins a call of its own."""
        if piece.id and self._ids[ours]:
            return True
        name, known = _name_of(piece), self._names[ours]
        return not piece.id and bool(name and known) and name != known


def _name_of(piece: CallPiece) -> str:
    return (piece.function.name if piece.function else None) or ""
