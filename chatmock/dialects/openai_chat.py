"""OpenAI chat completions: ``POST /v1/chat/completions`` (spec upstreams.md, D1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from chatmock import jsontext
from chatmock.answer import Answer, AnswerChoice
from chatmock.conversation import ChatRequest, Identity, Thinking
from chatmock.dialects.openai_errors import error_body
from chatmock.dialects.openai_parse import parse_chat
from chatmock.errors import Refusal
from chatmock.events import (
    Annotation,
    Event,
    Failed,
    Finished,
    Opened,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from chatmock.framing import sse_comment, sse_record

DONE = sse_record(b"[DONE]")


@attrs.frozen
class OpenAIChat:
    """The :class:`~chatmock.dialects.interface.Dialect`."""

    thinking: Thinking = "reasoning-content"
    """How clients are shown the thinking of models whose upstream speaks another dialect."""
    name: str = attrs.field(default="openai-chat", init=False)
    stream_type: str = attrs.field(default="text/event-stream; charset=utf-8", init=False)
    request_id_header: None = attrs.field(default=None, init=False)

    def comment(self, text: str) -> bytes:
        """A comment of the event stream."""
        return sse_comment(text)

    def parse(self, body: bytes) -> ChatRequest:
        """Read a request."""
        chat = parse_chat(body, self.name)
        # Tags in the text would break the JSON that the client waits for.
        tagged = self.thinking == "think-tags" and chat.response_format.kind != "text"
        return attrs.evolve(chat, thinking="reasoning-content" if tagged else self.thinking)

    def encoder(self, chat: ChatRequest, identity: Identity) -> ChatEncoder:
        """A fresh encoder."""
        return ChatEncoder(chat, identity)

    def complete(self, chat: ChatRequest, identity: Identity, answer: Answer) -> bytes:
        """A whole answer."""
        body = head("chat.completion", f"chatcmpl-{identity.id}", chat, identity, answer.opened)
        body["choices"] = [_whole_choice(i, choice, chat) for i, choice in enumerate(answer.choices)]
        if answer.usage is not None:
            body["usage"] = usage_body(answer.usage)
        return jsontext.dumps(body)

    def refuse(self, refusal: Refusal, request_id: str = "") -> bytes:
        """An error body."""
        return error_body(refusal)

    def status(self, refusal: Refusal) -> int:
        """Its status."""
        return refusal.status


class ChatEncoder:
    """Events as chunks. Text is put between bytes made once for the stream: all else in a chunk stays the same."""

    answer: None = None

    def __init__(self, chat: ChatRequest, identity: Identity) -> None:
        self._chat = chat
        self._identity = identity
        self._head: dict[str, Any] = {}
        self._text_head: dict[int, bytes] = {}
        self._text_tail = b""
        self._spoken: set[int] = set()
        self._usage: Usage | None = None

    def encode(self, events: Iterable[Event]) -> bytes:
        """The records for *events*."""
        return b"".join([self._encode(event) for event in events])

    def _encode(self, event: Event) -> bytes:
        match event:
            case TextDelta(text, choice, None) if choice in self._text_head:
                return b"%b%b%b" % (self._text_head[choice], jsontext.dumps(text), self._text_tail)
            case Opened():
                return self._open(event)
            case TextDelta(text, choice, logprobs):
                return self._delta(choice, {"content": text}, logprobs)
            case ReasoningDelta(text=text, choice=choice):
                return self._delta(
                    choice, thinking_fields(self._chat.thinking, text, event.kind == "summary")
                )
            case RefusalDelta(text, choice):
                return self._delta(choice, {"refusal": text})
            case ToolCallDelta():
                return self._delta(event.choice, {"tool_calls": [_call_piece(event)]})
            case Annotation(value, choice):
                return self._delta(choice, {"annotations": [value]})
            case Usage():
                self._usage = event
                return b""
            case ReasoningSeal():
                return b""
            case Finished():
                return self._finish(event)
            case Failed(refusal):
                return sse_record(error_body(refusal)) + DONE

    def _open(self, event: Opened) -> bytes:
        self._head = head(
            "chat.completion.chunk", f"chatcmpl-{self._identity.id}", self._chat, self._identity, event
        )
        if self._chat.include_usage:
            self._head["usage"] = None
        record = self._record(
            [{"index": 0, "delta": {"content": "\0"}, "logprobs": None, "finish_reason": None}]
        )
        before, _, self._text_tail = record.partition(jsontext.dumps("\0"))
        index = b'"index":0,'
        self._text_head = {
            choice: before.replace(index, b'"index":%d,' % choice) for choice in range(self._chat.choices)
        }
        return b"".join(
            self._delta(choice, {"role": "assistant", "content": "", "refusal": None})
            for choice in range(self._chat.choices)
        )

    def _finish(self, event: Finished) -> bytes:
        records = [
            self._record([{"index": choice, "delta": {}, "logprobs": None, "finish_reason": reason}])
            for choice, reason in enumerate(event.reasons)
        ]
        if self._chat.include_usage and self._usage is not None:
            records.append(self._record([], usage=usage_body(self._usage)))
        return b"".join([*records, DONE])

    def _delta(self, choice: int, delta: dict[str, Any], logprobs: Any = None) -> bytes:
        wrapped = None if logprobs is None else {"content": logprobs, "refusal": None}
        return self._record([{"index": choice, "delta": delta, "logprobs": wrapped, "finish_reason": None}])

    def _record(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return sse_record(jsontext.dumps({**self._head, "choices": choices, **more}))


def head(kind: str, id: str, chat: ChatRequest, identity: Identity, opened: Opened) -> dict[str, Any]:
    """The fields that every record of an answer repeats; the upstream's own where it has told them."""
    return {
        "id": opened.id or id,
        "object": kind,
        "created": opened.created or identity.created,
        "model": opened.model or chat.model,
    }


def usage_body(usage: Usage) -> dict[str, Any]:
    """OpenAI's usage object. Details that are not known are left out."""
    body: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens is not None:
        body["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        body["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return body


def thinking_fields(thinking: Thinking, text: str, summary: bool = False) -> dict[str, Any]:
    """The fields of a delta or message for a piece of thinking (spec chatgpt.md, 3.7).

    :param summary: whether the piece is of a summary, which the older form says besides.
    """
    match thinking:
        case "o3":
            return {"reasoning": {"content": [{"type": "text", "text": text}]}}
        case "legacy" | "current":
            return {"reasoning_summary": text, "reasoning": text} if summary else {"reasoning": text}
        case _:
            return {"reasoning_content": text}


def _call_piece(event: ToolCallDelta) -> dict[str, Any]:
    if not event.id:
        return {"index": event.index, "function": {"arguments": event.arguments}}
    function = {"name": event.name, "arguments": event.arguments}
    return {"index": event.index, "id": event.id, "type": "function", "function": function}


def _whole_choice(index: int, choice: AnswerChoice, chat: ChatRequest) -> dict[str, Any]:
    text, refusal = "".join(choice.text), "".join(choice.refusal)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text if text or not (choice.calls or refusal) else None,
        "refusal": refusal or None,
    }
    if choice.reasoning:
        thought, summary = "".join(choice.reasoning), "".join(choice.summary)
        message.update(thinking_fields(chat.thinking, thought))
        if summary and chat.thinking in ("legacy", "current"):
            message["reasoning_summary"] = summary
    if choice.annotations:
        message["annotations"] = choice.annotations
    if choice.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.arguments)},
            }
            for call in choice.calls
        ]
    logprobs = None
    if chat.logprobs and choice.logprobs is not None:
        logprobs = {"content": choice.logprobs, "refusal": None}
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": choice.finish_reason}
