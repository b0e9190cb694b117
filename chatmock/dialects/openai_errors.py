"""Refusals as OpenAI's error object (spec upstreams.md, D4)."""

from __future__ import annotations

from typing import Any

from chatmock import jsontext
from chatmock.errors import Kind, Refusal

_TYPES = {
    Kind.BAD_REQUEST: "invalid_request_error",
    Kind.UNAUTHENTICATED: "authentication_error",
    Kind.FORBIDDEN: "permission_error",
    Kind.NOT_FOUND: "invalid_request_error",
    Kind.METHOD_NOT_ALLOWED: "invalid_request_error",
    Kind.TOO_SLOW: "invalid_request_error",
    Kind.TOO_LARGE: "invalid_request_error",
    Kind.URI_TOO_LONG: "invalid_request_error",
    Kind.UNSUPPORTED_MEDIA: "invalid_request_error",
    Kind.MISDIRECTED: "invalid_request_error",
    Kind.HEAD_TOO_LARGE: "invalid_request_error",
    Kind.RATE_LIMITED: "rate_limit_error",
    Kind.USAGE_EXHAUSTED: "insufficient_quota",
}


def error_body(refusal: Refusal) -> bytes:
    """``{"error": {"message", "type", "param", "code"}}``, and what else the upstream told."""
    return jsontext.dumps({"error": error_fields(refusal)})


def error_fields(refusal: Refusal) -> dict[str, Any]:
    """What stands in the error object."""
    return {
        "message": refusal.message,
        "type": _TYPES.get(refusal.kind, "server_error"),
        "param": refusal.param,
        "code": refusal.code,
        **refusal.more,
    }
