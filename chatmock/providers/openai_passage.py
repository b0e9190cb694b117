"""Carries OpenAI chat answers to OpenAI chat clients: records as received, but for these rules.

* one id, one ``created``: those of the first record (or our own where it has none);
* the role stands in a choice's first delta and nowhere else, since SDKs add strings up;
* a tool call's id, type and name stand in its first delta only; indices count up from 0;
* a choice finishes once, and not before the upstream can no longer say that it failed;
* thinking is found under ``reasoning_content`` whatever else the upstream calls it;
* the usage record has ``choices: []``, counts reasoning, comes last, and only when asked for.
"""

from __future__ import annotations

from typing import Any

from chatmock import jsontext
from chatmock.conversation import ChatRequest, Identity
from chatmock.errors import Refusal, truncated
from chatmock.events import Failed, Finished, FinishReason, Usage
from chatmock.framing import sse_record
from chatmock.jsontext import JSONError
from chatmock.providers.openai_chunks import (
    CallNumbering,
    ChoicePiece,
    Chunk,
    ChunkReader,
    read_usage,
    whole_usage,
)
from chatmock.providers.openai_differences import Differences
from chatmock.providers.openai_whole import read_whole, settle_whole, unreadable

KEEP_ALIVE = b": keep-alive\n\n"
_DONE = b"data: [DONE]\n\n"


class ChatPassage:
    """A :class:`~chatmock.providers.interface.Passage` of the OpenAI chat wire."""

    answer: None = None
    folds: bool = False

    __slots__ = (
        "_calls",
        "_choices",
        "_comments",
        "_created",
        "_differences",
        "_fallback",
        "_finished",
        "_held",
        "_id",
        "_include_usage",
        "_model",
        "_reader",
        "_title",
        "_usage_record",
        "outcome",
        "usage",
    )

    def __init__(
        self, title: str, differences: Differences, limit: int, chat: ChatRequest, identity: Identity
    ) -> None:
        self._title = title
        self._differences = differences
        self._reader = ChunkReader(title, differences.read_error, limit)
        self._include_usage = chat.include_usage
        self._choices = chat.choices
        self._model = chat.model
        self._fallback = identity
        self._id = ""
        self._created: int | float = 0
        self._finished: dict[int, FinishReason | None] = {}
        self._calls: dict[int, CallNumbering] = {}
        self._held: list[bytes] = []
        self._usage_record: bytes | None = None
        self._comments = 0
        self.outcome: Finished | Failed | None = None
        self.usage: Usage | None = None

    @property
    def records(self) -> int:
        """How many records have been read."""
        return self._reader.records

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of a stream, return those for the client."""
        out = self._carry_all(self._reader.feed(data))
        if self._reader.comments != self._comments:
            self._comments = self._reader.comments
            if not out and self._id:
                out.append(KEEP_ALIVE)
        if self._reader.done or self._reader.failure is not None:
            out.append(self._end())
        return out[0] if len(out) == 1 else b"".join(out)

    def close(self) -> bytes:
        """End of the stream."""
        out = self._carry_all(self._reader.close())
        out.append(self._end())
        return b"".join(out)

    def _end(self) -> bytes:
        if self.outcome is not None:
            return b""
        reasons = [self._finished.get(choice) for choice in range(len(self._finished))]
        if self._reader.failure is not None:
            self.outcome = Failed(self._reader.failure)
        elif not reasons or None in reasons or (len(reasons) < self._choices and not self._reader.done):
            self.outcome = Failed(truncated(self._title))
        else:
            self.outcome = Finished(tuple(reason for reason in reasons if reason is not None))
            usage = [self._usage_record] if self._usage_record and self._include_usage else []
            return b"".join([*self._held, *usage, _DONE])
        return b""

    def _carry_all(self, records: list[tuple[bytes, Chunk]]) -> list[bytes]:
        out = []
        try:
            for raw, chunk in records:
                out.append(self._carry(raw, chunk))
        except JSONError as error:  # a field that is not ours holds what nobody can read
            self._reader.give_up(error)
        return out

    def _carry(self, raw: bytes, chunk: Chunk) -> bytes:
        if self._passes_as_is(chunk):
            return b"data: %b\n\n" % raw
        if not self._id:
            if not chunk.id and not chunk.choices and not chunk.usage:
                return b""  # Azure's first record names nothing yet (upstreams.md D1)
            self._id = chunk.id or f"chatcmpl-{self._fallback.id}"
            self._created = chunk.created if chunk.created is not None else self._fallback.created
        record = jsontext.loads_object(raw)
        changed = self._name(record)
        out: list[bytes] = []
        for piece, choice in zip(chunk.choices or (), record.get("choices") or (), strict=False):
            changed |= self._settle_choice(piece, choice)
        if chunk.usage:
            changed = True
            self._keep_usage(record)
        if changed:
            out.extend(self._split(record, had_usage=bool(chunk.usage)))
            return b"".join(out)
        return sse_record(raw)

    def _passes_as_is(self, chunk: Chunk) -> bool:
        """Whether no rule touches the record: the common case, decided without opening it further."""
        if chunk.id != self._id or chunk.created != self._created or chunk.usage:
            return False
        choices = chunk.choices
        if not choices or len(choices) != 1:
            return False
        piece = choices[0]
        delta = piece.delta
        return (
            piece.finish_reason is None
            and delta is not None
            and delta.role is None
            and delta.tool_calls is None
            and delta.reasoning is None
            and piece.index in self._finished
        )

    def _name(self, record: dict[str, Any]) -> bool:
        """Give *record* the stream's id and time; whether that changed it."""
        changed = record.get("id") != self._id or record.get("created") != self._created
        record["id"], record["created"] = self._id, self._created
        if not record.get("model"):
            record["model"], changed = self._model, True
        if record.get("object") != "chat.completion.chunk":
            record["object"], changed = "chat.completion.chunk", True
        return changed

    def _settle_choice(self, piece: ChoicePiece, choice: dict[str, Any]) -> bool:
        index = piece.index
        first = index not in self._finished
        self._finished.setdefault(index, None)
        delta = choice.get("delta")
        changed = False
        if not isinstance(delta, dict):
            delta = choice["delta"] = {}
            changed = True
        if first and not delta.get("role"):
            choice["delta"] = delta = {**delta, "role": "assistant"}
            changed = True
        elif not first and "role" in delta:
            del delta["role"]
            changed = True
        if delta.get("reasoning") and not delta.get("reasoning_content"):
            delta["reasoning_content"] = delta["reasoning"]
            changed = True
        if piece.delta is not None and piece.delta.tool_calls:
            changed |= self._settle_calls(piece, delta)
        return changed | self._settle_finish(piece, choice)

    def _settle_calls(self, piece: ChoicePiece, delta: dict[str, Any]) -> bool:
        numbering = self._calls.setdefault(piece.index, CallNumbering())
        changed = False
        calls = piece.delta.tool_calls if piece.delta is not None else None
        for read, call in zip(calls or (), delta["tool_calls"], strict=True):
            index, first = numbering.place(read)
            changed |= call.get("index") != index
            call["index"] = index
            function = call.get("function")
            if first:
                changed |= not call.get("id") or not call.get("type")
                call["id"] = call.get("id") or f"call_{piece.index}_{index}"
                call["type"] = call.get("type") or "function"
                continue
            spare = [(call, "id"), (call, "type")]
            if not numbering.names_now(read, index):
                spare.append((function, "name"))
            for holder, key in spare:
                if isinstance(holder, dict) and key in holder:
                    del holder[key]
                    changed = True
        return changed

    def _settle_finish(self, piece: ChoicePiece, choice: dict[str, Any]) -> bool:
        if not piece.finish_reason:
            return False
        reason = self._differences.reason(piece.finish_reason, piece.native_finish_reason)
        repeated = self._finished[piece.index] is not None
        self._finished[piece.index] = reason
        told = piece.finish_reason if piece.finish_reason == "function_call" else reason
        choice["finish_reason"] = None if repeated else told
        return True

    def _keep_usage(self, record: dict[str, Any]) -> None:
        usage = whole_usage(record.pop("usage"))
        self.usage = read_usage(usage) or self.usage
        self._usage_record = sse_record(jsontext.dumps({**record, "choices": [], "usage": usage}))

    def _split(self, record: dict[str, Any], had_usage: bool) -> list[bytes]:
        """The record to send now, if it says anything; its finish is held for the end of the stream."""
        choices = record.get("choices") or []
        ending = [choice for choice in choices if choice.get("finish_reason")]
        for choice in ending:
            last = {**choice, "delta": {}}
            if choice.get("logprobs") is not None:
                last["logprobs"] = None  # they belong to the text, which goes first
            self._held.append(sse_record(jsontext.dumps({**record, "choices": [last]})))
            choice["finish_reason"] = None
        speaking = [choice for choice in choices if any(choice["delta"].values())]
        if not speaking and (ending or had_usage):
            return []
        return [sse_record(jsontext.dumps({**record, "choices": choices}))]

    def whole(self, body: bytes) -> bytes:
        """Carry a complete answer; sets the outcome."""
        try:
            answer = read_whole(body, self._differences)
        except (JSONError, Refusal) as error:
            self.outcome = Failed(
                error if isinstance(error, Refusal) else unreadable(self._title, str(error))
            )
            return b""
        reasons = settle_whole(answer, self._differences, self._model, self._fallback)
        self.usage = read_usage(answer["usage"]) if "usage" in answer else None
        self.outcome = Finished(reasons)
        return jsontext.dumps(answer)
