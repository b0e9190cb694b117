"""The Responses API's ``response`` object (spec upstreams.md, D3): what was asked, repeated, and what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chatmock.conversation import ChatRequest, Identity
from chatmock.dialects.openai_errors import error_fields
from chatmock.dialects.responses_items import Ending, Value
from chatmock.errors import Kind, Refusal
from chatmock.events import Finished, FinishReason, Usage

_INCOMPLETE: Final[Mapping[FinishReason, str]] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
"""Finish reasons that leave an answer incomplete, with OpenAI's words for them."""

_TOLD_CODES: Final = frozenset(
    {
        "context_length_exceeded",
        "insufficient_quota",
        "invalid_image",
        "invalid_image_url",
        "invalid_prompt",
        "rate_limit_exceeded",
        "server_error",
        "usage_not_included",
    }
)
"""Codes that clients of failed answers know."""
_CODES: Final[Mapping[Kind, str]] = {
    Kind.RATE_LIMITED: "rate_limit_exceeded",
    Kind.USAGE_EXHAUSTED: "insufficient_quota",
    Kind.BAD_REQUEST: "invalid_prompt",
}


def begun_response(chat: ChatRequest, identity: Identity) -> Value:
    """The answer to *chat* before anything has been said. What the client has sent is repeated as it is."""
    body = chat.source.body if chat.source is not None else {}
    reasoning, text = body.get("reasoning") or {}, body.get("text") or {}
    return {
        "id": f"resp_{identity.id}",
        "object": "response",
        "created_at": identity.created,
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "model": chat.asked_model or chat.model,
        "output": [],
        "parallel_tool_calls": chat.parallel_tool_calls,
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "reasoning": {"effort": None, "summary": None, **reasoning},
        "safety_identifier": body.get("safety_identifier"),
        "service_tier": body.get("service_tier"),
        "store": chat.keep and body.get("store") is not False,
        "temperature": body.get("temperature"),
        "text": {**text, "format": text.get("format") or {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_logprobs": body.get("top_logprobs") or 0,
        "top_p": body.get("top_p"),
        "truncation": body.get("truncation") or "disabled",
        "usage": None,
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }


def ending_of(finished: Finished) -> Ending:
    """How the answer has ended: whole, or cut short."""
    return "completed" if _why_incomplete(finished) is None else "incomplete"


def ended_response(
    begun: Value, identity: Identity, output: list[Value], usage: Usage | None, finished: Finished
) -> Value:
    """The answer that *begun* was the beginning of, whole."""
    reason = _why_incomplete(finished)
    ended = (identity.created_ns + identity.elapsed()) // 1_000_000_000
    return {
        **begun,
        "status": "completed" if reason is None else "incomplete",
        "completed_at": ended if reason is None else None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output,
        "usage": None if usage is None else usage_body(usage),
    }


def failed_response(begun: Value, refusal: Refusal) -> Value:
    """The answer that *begun* was the beginning of, and that has failed."""
    code = refusal.code
    if code not in _TOLD_CODES:
        code = _CODES.get(refusal.kind, "server_error")
    return {**begun, "status": "failed", "error": {"code": code, "message": refusal.message}}


def error_record(refusal: Refusal) -> Value:
    """The fields of an ``error`` record: within ``error`` as OpenAI sends them, and beside it as its description and
    types have them."""
    error = error_fields(refusal)
    return {**{name: error[name] for name in ("code", "message", "param")}, "error": error}


def _why_incomplete(finished: Finished) -> str | None:
    return _INCOMPLETE.get(finished.reasons[0]) if finished.reasons else None


def usage_body(usage: Usage) -> Value:
    """The ``usage`` object.

    Clients insist on numbers: ``cached_tokens`` and ``reasoning_tokens`` are 0 where the upstream does not tell them,
    ``cache_write_tokens`` always, since no upstream of another dialect tells it.
    """
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens,
    }
