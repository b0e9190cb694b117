"""Refusals as Anthropic's error object (spec upstreams.md, F)."""

from __future__ import annotations

import re
from typing import Final

from chatmock import jsontext
from chatmock.errors import Kind, Refusal

_TYPES: Final = {
    Kind.UNAUTHENTICATED: "authentication_error",
    Kind.FORBIDDEN: "permission_error",
    Kind.NOT_FOUND: "not_found_error",
    Kind.TOO_LARGE: "request_too_large",
    Kind.RATE_LIMITED: "rate_limit_error",
    Kind.USAGE_EXHAUSTED: "rate_limit_error",
    Kind.NOT_IMPLEMENTED: "api_error",
    Kind.INTERNAL: "api_error",
    Kind.UPSTREAM_FAILED: "api_error",
    Kind.OVERLOADED: "overloaded_error",
    Kind.UPSTREAM_TIMED_OUT: "timeout_error",
}
"""The others are the client's: ``invalid_request_error``."""
_OVERLOADED: Final = 529
_UNPAID: Final = 402
_TOO_LONG: Final = "prompt is too long"
"""What Claude Code looks for, to sum the conversation up and go on."""
_MOST: Final = re.compile(
    r"(?:maximum|available|max) (?:context|prompt|input) (?:length|size|window)(?: is| of)? ?\(?(\d{1,9})"
)
_ASKED: Final = re.compile(
    r"(?:resulted in|requested(?: about)?|contains|has|request \() ?(\d{1,9}) ?(?:tokens|in)?"
)


def error_body(refusal: Refusal, request_id: str = "") -> bytes:
    """``{"type": "error", "error": {"type", "message"}, "request_id"}``.

    :param request_id: left out where it is not known: in a stream, whose head has it already.
    """
    kind = "billing_error" if _is_unpaid(refusal) else _TYPES.get(refusal.kind, "invalid_request_error")
    error = {"type": kind, "message": _message(refusal)}
    body: dict[str, object] = {"type": "error", "error": error}
    if request_id:
        body["request_id"] = request_id
    return jsontext.dumps(body)


def status_of(refusal: Refusal) -> int:
    """Its HTTP status: Anthropic has one of its own for an overload, and for an account that has to be paid into."""
    if _is_unpaid(refusal):
        return _UNPAID
    return _OVERLOADED if refusal.kind is Kind.OVERLOADED else refusal.status


def _is_unpaid(refusal: Refusal) -> bool:
    """Whether it is money that is missing at the upstream, where a plan's limit is only to be waited for."""
    return refusal.kind is Kind.USAGE_EXHAUSTED and refusal.code == "insufficient_quota"


def _message(refusal: Refusal) -> str:
    if refusal.code != "context_length_exceeded":
        return refusal.message
    most, asked = _MOST.search(refusal.message), _ASKED.search(refusal.message)
    if most and asked and int(asked[1]) > int(most[1]):
        return f"{_TOO_LONG}: {asked[1]} tokens > {most[1]} maximum"
    return f"{_TOO_LONG}: {refusal.message}"
