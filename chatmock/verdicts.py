"""What a refusal says of the provider it came from: nothing, something of one model, or something of the whole account. Pure."""

from __future__ import annotations

from typing import Final

import attrs

from chatmock.errors import Kind, Refusal

LONG_WAIT: Final = 10.0
"""Seconds: what an upstream wants to be waited for longer is not waited out by the request that is told so."""
_NEVER: Final = frozenset(
    {
        "chat_busy",
        "shutdown",
        "upstream_limit",
        "upstream_empty",
        "upstream_cancelled",
        "upstream_upload_failed",
        "upstream_no_tool_call",
        "upstream_invalid_tool_call",
    }
)
"""Codes of what is wrong with one request or one answer."""
_WHOLE: Final = frozenset(
    {
        "upstream_connect",
        "upstream_dns",
        "upstream_tls",
        "upstream_protocol",
        "upstream_encoding",
        "upstream_redirect",
        "upstream_page",
        "upstream_blocked",
        "login_refresh_failed",
        "login_locked",
    }
)
"""Codes of faults that every model of the provider has."""
_FAULTY: Final = (Kind.UPSTREAM_FAILED, Kind.UPSTREAM_TIMED_OUT, Kind.OVERLOADED)


@attrs.frozen
class Verdict:
    """What a refusal says of the provider."""

    whole: bool
    """Whether it is about all of it, not just the model that was asked."""
    at_once: bool
    """Whether it counts by itself, not only after others."""


def judge(refusal: Refusal) -> Verdict | None:
    """What *refusal* says of the provider; None where it is about the request, the client, or one moment."""
    kind, code = refusal.kind, refusal.code or ""
    if code in _NEVER:
        return None
    if kind is Kind.UNAUTHENTICATED or code == "upstream_captcha":
        return Verdict(whole=True, at_once=True)
    if kind is Kind.USAGE_EXHAUSTED:
        if "max_tokens" in refusal.message:  # what is left would do for a smaller request
            return None
        return Verdict(whole=code == "usage_limit_reached", at_once=True)
    if kind is Kind.RATE_LIMITED:
        lasts = not refusal.retryable if refusal.retry_after is None else refusal.retry_after > LONG_WAIT
        return Verdict(whole=False, at_once=True) if lasts else None
    if kind in _FAULTY or code == "upstream_blocked":
        unreachable = code == "upstream_timeout" and refusal.retryable  # else it was reached, and was slow
        return Verdict(whole=code in _WHOLE or unreachable, at_once=False)
    return None
