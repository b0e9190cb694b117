"""Why a request is not (or no longer) answered: one error, of few kinds, that only dialects turn into bytes."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs


class Kind(enum.Enum):
    """What went wrong, as clients tell faults apart, each with the HTTP status that goes with it."""

    BAD_REQUEST = ("bad request", 400)
    UNAUTHENTICATED = ("unauthenticated", 401)
    FORBIDDEN = ("forbidden", 403)
    NOT_FOUND = ("not found", 404)
    METHOD_NOT_ALLOWED = ("method not allowed", 405)
    TOO_SLOW = ("too slow", 408)
    """The client did not send its request in time."""
    TOO_LARGE = ("too large", 413)
    URI_TOO_LONG = ("URI too long", 414)
    UNSUPPORTED_MEDIA = ("unsupported media", 415)
    MISDIRECTED = ("misdirected", 421)
    """The client calls this machine by a name that it does not have."""
    HEAD_TOO_LARGE = ("head too large", 431)
    RATE_LIMITED = ("rate limited", 429)
    USAGE_EXHAUSTED = ("usage exhausted", 429)
    """A quota or a plan is used up: trying again soon does not help."""
    CANCELLED = ("cancelled", 499)
    NOT_IMPLEMENTED = ("not implemented", 501)
    """The provider has no such thing: another one may."""
    INTERNAL = ("internal", 500)
    """A fault of chatmock itself."""
    UPSTREAM_FAILED = ("upstream failed", 502)
    OVERLOADED = ("overloaded", 503)
    UPSTREAM_TIMED_OUT = ("upstream timed out", 504)

    def __init__(self, words: str, status: int) -> None:
        self.words = words
        self.status = status


@attrs.define(eq=False)
class Refusal(Exception):
    """A request is refused, or its answer failed, before or after its first byte."""

    kind: Kind
    message: str
    """For the person behind the client: what failed, whose fault it is, what to do next. Never a secret."""
    code: str | None = None
    """Machine-readable, in OpenAI's words where they have one: ``model_not_found``, ``context_length_exceeded``."""
    param: str | None = None
    """The request field at fault, such as ``messages[3].content``."""
    model: str = ""
    """The model that was asked for, as the client named it, once that is known."""
    retry_after: float | None = None
    """Seconds after which another try makes sense, where that is known."""
    more: Mapping[str, object] = attrs.field(factory=dict)
    """Further fields for the client, as the upstream names them: ``resets_at``, ``plan_type``."""
    resume: Any = None
    """Where the upstream stood, for another try of the same request (:class:`~chatmock.conversation.Resumption`);
    never for the client."""
    quoted: str = ""
    """The upstream's own words where they mean something to clients of its own dialect, who are told these alone."""
    retryable: bool = False
    """Whether chatmock itself may send the same request again (a passing fault upstream, nothing answered yet)."""

    def __str__(self) -> str:
        return self.message

    @property
    def status(self) -> int:
        """The HTTP status to answer with while that is still possible."""
        return self.kind.status


def bad_request(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """The client's request is at fault in the field *param*."""
    return Refusal(Kind.BAD_REQUEST, message, code=code, param=param)


def fault_of_ours() -> Refusal:
    """Something has happened to a request that should not; the log has it whole."""
    return Refusal(
        Kind.INTERNAL, "chatmock failed to handle this request. Its log says why; please report it."
    )


def truncated(upstream: str) -> Refusal:
    """The upstream's answer ended before it was complete."""
    return Refusal(
        Kind.UPSTREAM_FAILED,
        f"{upstream} ended its answer before it was complete. What came so far may be cut short; ask again.",
        code="upstream_truncated",
        retryable=True,
    )


def too_long(upstream: str, limit: int) -> Refusal:
    """The upstream's answer is longer than the *limit* in bytes to which answers are held whole."""
    message = f"{upstream} sent an answer of more than {limit} bytes."
    return Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_limit")
