"""Reads the errors inside a Responses stream, which come after an HTTP 200, into refusals (spec chatgpt.md 2.11, 3.2; upstreams.md D4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from chatmock.durations import LATEST, LONGEST, bounded, rfc3339
from chatmock.errors import Kind, Refusal
from chatmock.providers.openai_errors import ErrorFacts, is_context_overflow, kind_of, read_facts
from chatmock.providers.responses_records import FAILURES
from chatmock.providers.responses_usage_limits import Reset, read_reset, usage_limit

_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(["rate_limit_exceeded", "rate_limit_error", "too_many_requests"], Kind.RATE_LIMITED),
    **dict.fromkeys(
        ["insufficient_quota", "billing_hard_limit_reached"],
        Kind.USAGE_EXHAUSTED,
    ),
    **dict.fromkeys(
        ["server_error", "internal", "internal_error", "internal_server_error"], Kind.UPSTREAM_FAILED
    ),
    **dict.fromkeys(
        ["model_at_capacity", "server_is_overloaded", "overloaded_error", "slow_down"], Kind.OVERLOADED
    ),
    **dict.fromkeys(["context_length_exceeded", "context_too_large"], Kind.BAD_REQUEST),
    **dict.fromkeys(
        [
            "content_policy_violation",
            "image_content_policy_violation",
            "content_filter",
            "moderation_blocked",
        ],
        Kind.BAD_REQUEST,
    ),
    "model_not_found": Kind.NOT_FOUND,
    **dict.fromkeys(
        [
            "invalid_prompt",
            "invalid_request_error",
            "invalid_image",
            "invalid_image_format",
            "invalid_image_mode",
            "invalid_image_url",
            "invalid_base64_image",
            "image_too_large",
            "image_too_small",
            "image_file_too_large",
            "image_file_not_found",
            "image_parse_error",
            "unsupported_image_media_type",
            "empty_image_file",
            "failed_to_download_image",
        ],
        Kind.BAD_REQUEST,
    ),
}
"""By the error's code, or by its type where it has no code that is known."""
_CODES: Final[Mapping[str, str]] = {
    "context_too_large": "context_length_exceeded",
    "image_content_policy_violation": "content_policy_violation",
    "moderation_blocked": "content_policy_violation",
}
"""Codes that OpenAI calls by another name; the others stay as they are."""
_DEFAULT_CODES: Final = {
    Kind.RATE_LIMITED: "rate_limit_exceeded",
    Kind.USAGE_EXHAUSTED: "insufficient_quota",
    Kind.OVERLOADED: "upstream_overloaded",
    Kind.NOT_FOUND: "model_not_found",
    Kind.UNAUTHENTICATED: "invalid_api_key",
    Kind.UPSTREAM_FAILED: "upstream_error",
}
_OVERLOADED: Final = ("at capacity", "currently unavailable", "overloaded")
"""What the text says when everything else says nothing; xAI's code may be a sentence (upstreams.md B4)."""
_PASSING: Final = frozenset([Kind.RATE_LIMITED, Kind.OVERLOADED])
_SENTENCES: Final = {
    Kind.RATE_LIMITED: ("{title} is asked too much at once", "Try again later."),
    Kind.USAGE_EXHAUSTED: ("The usage that {title} allows the account is used up", ""),
    Kind.OVERLOADED: ("{title} is at capacity", "Try again shortly, or ask for another model."),
    Kind.BAD_REQUEST: ("{title} does not accept the request", ""),
    Kind.NOT_FOUND: ("{title} does not have the model", "Ask for one that it lists."),
}
_FAILED: Final = ("{title} failed while it answered", "Ask again.")
_TRY_AGAIN_IN: Final = re.compile(r"try again in ([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s)\b", re.IGNORECASE)


def told_failure(title: str, kind: str, record: Mapping[str, Any], now: float | None) -> Refusal:
    """The refusal for a record that ends its answer with a failure.

    :param kind: the record's type: one of :data:`~chatmock.providers.responses_records.FAILURES`, or any other of a record
        with an ``error``, in which the error may also be spread over the record itself.
    :param now: as :func:`failure` takes it.
    """
    if kind not in FAILURES:
        error = record.get("error")
        return failure(title, error if isinstance(error, Mapping) else record, None, now)
    response = record.get("response")
    response = response if isinstance(response, Mapping) else {}
    error = response.get("error")
    if kind == "response.cancelled" and not error:
        message = f"{title} cancelled its answer. Ask again."
        return Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_cancelled")
    return failure(title, error if isinstance(error, Mapping) else {}, response, now)


def failure(
    title: str, error: Mapping[str, Any], response: Mapping[str, Any] | None, now: float | None = None
) -> Refusal:
    """The refusal for an answer that its own stream says has failed.

    :param title: the upstream's name for messages.
    :param error: the error object, ``{"code", "message"}`` with or without ``type`` and ``param``; it may be empty.
    :param response: the response object of ``response.failed``, whose error counts where *error* is empty.
    :param now: when the answer began by the upstream's clock, in Unix seconds, unless *response* tells.
    """
    if response is not None:
        now = bounded(response.get("created_at"), LATEST) or now
    if not error and response is not None:
        told = response.get("error")
        error = told if isinstance(told, Mapping) else {"message": told}
    facts = read_facts(200, {"error": error} if error else {})
    exhausted = usage_limit(title, error, facts.message, now)
    return exhausted or _other_failure(title, error, facts, now)


def _other_failure(title: str, error: Mapping[str, Any], facts: ErrorFacts, now: float | None) -> Refusal:
    words = [word.lower() for word in (facts.code, error.get("type")) if isinstance(word, str)]
    word = next((word for word in words if word in _KINDS), None)
    kind, code = _classify(word, words, facts.message)
    if kind is None:
        kind = kind_of(facts)
    if kind is Kind.UNAUTHENTICATED:
        # The upstream's own text may repeat parts of the key.
        message = f"{title} does not accept chatmock's key or login. Renew it on chatmock's machine."
        return Refusal(kind, message, code="invalid_api_key")
    reset = read_reset(error, now) if kind is Kind.USAGE_EXHAUSTED else Reset()
    return Refusal(
        kind,
        _message(title, kind, facts.message, reset.at),
        code=code or _default_code(kind, facts.code),
        param=facts.param,
        retry_after=_seconds_to_wait(facts.message) if kind is Kind.RATE_LIMITED else reset.seconds,
        more={"type": word, **reset.told} if reset.told and word else reset.told,
        retryable=kind in _PASSING or _is_passing(word, facts.status),
    )


def _classify(word: str | None, words: list[str], message: str) -> tuple[Kind | None, str | None]:
    """The kind and the code by *word*, which is in the table, by all *words* said, by the text; None for unknown."""
    text = " ".join([*words, message.lower()])
    if word in ("context_length_exceeded", "context_too_large") or is_context_overflow(message):
        return Kind.BAD_REQUEST, "context_length_exceeded"
    if "at capacity" in text:
        return Kind.OVERLOADED, "upstream_overloaded"
    if word is not None:
        # A type is wider than a code: `invalid_request_error` names no fault that a client could look for.
        return _KINDS[word], None if word.endswith("_error") else _CODES.get(word, word)
    if "usage-exhausted" in text:
        return Kind.USAGE_EXHAUSTED, "insufficient_quota"
    if any(phrase in text for phrase in _OVERLOADED):
        return Kind.OVERLOADED, "upstream_overloaded"
    return None, None


def _default_code(kind: Kind, said: str | None) -> str | None:
    return said if said is not None and " " not in said else _DEFAULT_CODES.get(kind)


def _is_passing(word: str | None, status: int) -> bool:
    """Whether a fault of the upstream's own passes by itself; one that it does not name does not count."""
    return (word is not None and _KINDS[word] is Kind.UPSTREAM_FAILED) or (word is None and status > 502)


def _message(title: str, kind: Kind, said: str, resets_at: float | None) -> str:
    what, advice = _SENTENCES.get(kind, _FAILED)
    text = what.format(title=title) + (f": {said}" if said else "")
    if kind is Kind.USAGE_EXHAUSTED:
        advice = "Wait until it is renewed." if resets_at is None else f"It resets at {rfc3339(resets_at)}."
    return f"{text if text.endswith(('.', '!', '?', '…')) else text + '.'} {advice}".rstrip()


def _seconds_to_wait(message: str) -> float | None:
    found = _TRY_AGAIN_IN.search(message)
    if found is None:
        return None
    return bounded(float(found[1]) / (1000 if found[2].lower() == "ms" else 1), LONGEST)
