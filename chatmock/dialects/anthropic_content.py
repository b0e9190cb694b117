"""What an answer and its stream have in common: content blocks, the reason for the end, the token counts (spec upstreams.md, F)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from chatmock import jsontext
from chatmock.answer import Block, CompleteCall
from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects.anthropic_seals import signature_of
from chatmock.events import Finished, FinishReason, ReasoningSeal, Usage
from chatmock.jsontext import JSONError
from chatmock.thinking import PARAGRAPH

_STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def message_head(chat: ChatRequest, identity: Identity) -> dict[str, Any]:
    """The fields that a message begins with."""
    return {
        "model": chat.asked_model or chat.model,
        "id": f"msg_{identity.id}",
        "type": "message",
        "role": "assistant",
    }


def stop_reason(outcome: Finished, *, refused: bool, called: bool) -> str:
    """Why the answer ends.

    :param refused: whether the model has declined, *called* whether it has called a tool: some upstreams call that a
        plain end.
    """
    reason = outcome.reasons[0] if outcome.reasons else "stop"
    if reason == "stop" and outcome.stop is not None:
        return "stop_sequence"
    if reason == "stop" and (called or refused):
        return "tool_use" if called else "refusal"
    return _STOP_REASONS[reason]


def usage_body(usage: Usage | None) -> dict[str, Any]:
    """Anthropic's usage, where tokens read from a cache are no input tokens. What is not known is 0: clients add it up."""
    if usage is None:
        usage = Usage(0, 0)
    cached = usage.cached_tokens or 0
    body: dict[str, Any] = {
        "input_tokens": max(usage.prompt_tokens - cached, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.completion_tokens,
    }
    if usage.reasoning_tokens is not None:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return body


def content_blocks(blocks: Iterable[Block], *, omit_thinking: bool) -> list[dict[str, Any]]:
    """The content of a whole answer: the same as a stream of its events tells.

    :param omit_thinking: whether the client wants the thinking sealed, and not to read it.
    """
    return [_content(stretch, omit_thinking) for stretch in _stretches(blocks, omit_thinking)]


@attrs.define
class _Stretch:
    """What becomes one content block."""

    kind: str
    texts: list[str] = attrs.field(factory=list)
    seal: ReasoningSeal | None = None
    call: CompleteCall | None = None


def _stretches(blocks: Iterable[Block], omit_thinking: bool) -> list[_Stretch]:
    """*blocks* without the empty ones, and what then stands together in one: thinking up to its seal, text."""
    found: list[_Stretch] = []
    for block in blocks:
        text = "" if omit_thinking and block.kind == "thinking" else "".join(block.pieces)
        if not text and block.seal is None and block.call is None:
            continue
        last = found[-1] if found else None
        if last is None or last.kind != block.kind or last.seal is not None or last.call is not None:
            last = _Stretch(block.kind, call=block.call)
            found.append(last)
        last.texts.extend([text] if text else [])
        last.seal = block.seal
    return found


def _content(stretch: _Stretch, omit_thinking: bool) -> dict[str, Any]:
    if stretch.call is not None:
        call = stretch.call
        return {
            "type": "tool_use",
            "id": call.id,
            "name": call.name,
            "input": _input("".join(call.arguments)),
        }
    if stretch.kind != "thinking":
        return {"type": "text", "text": "".join(stretch.texts)}
    signature = signature_of(stretch.seal)
    if not stretch.texts and not omit_thinking:
        return {"type": "redacted_thinking", "data": signature}
    return {"type": "thinking", "thinking": PARAGRAPH.join(stretch.texts), "signature": signature}


def _input(arguments: str) -> Any:
    """The arguments of a call; those that are no JSON object are wrapped, as Anthropic tells clients to do it."""
    data = arguments.strip().encode()
    if not data:
        return {}
    if is_complete(arguments):
        return jsontext.Raw(data)  # as the model wrote it
    return {"INVALID_JSON": arguments}


def is_complete(arguments: str) -> bool:
    """Whether *arguments* are a whole JSON object, after which nothing can come."""
    if not arguments.rstrip().endswith("}"):
        return False
    try:
        data = arguments.encode()
        jsontext.check_foreign(data)
        jsontext.loads_object(data)
    except (JSONError, UnicodeEncodeError):
        return False
    return True
