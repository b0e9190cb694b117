"""Errors inside a Responses stream, into refusals."""

from __future__ import annotations

import email.utils
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.errors import Kind, Refusal
from chatmock.providers.chatgpt.errors import read_refusal
from chatmock.providers.responses_errors import failure


def of(**error: Any) -> Refusal:
    return failure("Upstream", error, None)


@pytest.mark.parametrize(
    ("error", "kind", "code", "retryable"),
    [
        ({"code": "rate_limit_exceeded", "type": "tokens"}, Kind.RATE_LIMITED, "rate_limit_exceeded", True),
        ({"type": "rate_limit_error"}, Kind.RATE_LIMITED, "rate_limit_exceeded", True),
        ({"code": "insufficient_quota"}, Kind.USAGE_EXHAUSTED, "insufficient_quota", False),
        ({"type": "usage_limit_reached"}, Kind.USAGE_EXHAUSTED, "usage_limit_reached", False),
        ({"code": "usage_not_included"}, Kind.USAGE_EXHAUSTED, "usage_not_included", False),
        ({"code": "server_error"}, Kind.UPSTREAM_FAILED, "server_error", True),
        ({"code": None, "type": "internal_error"}, Kind.UPSTREAM_FAILED, "upstream_error", True),
        ({"code": "model_at_capacity"}, Kind.OVERLOADED, "model_at_capacity", True),
        ({"message": "Selected model is at capacity."}, Kind.OVERLOADED, "upstream_overloaded", True),
        (
            {"code": "server_error", "message": "Selected model is at capacity."},
            Kind.OVERLOADED,
            "upstream_overloaded",
            True,
        ),
        (
            {"code": "Service: The service is currently unavailable"},
            Kind.OVERLOADED,
            "upstream_overloaded",
            True,
        ),
        ({"code": "context_length_exceeded"}, Kind.BAD_REQUEST, "context_length_exceeded", False),
        ({"code": "context_too_large"}, Kind.BAD_REQUEST, "context_length_exceeded", False),
        (
            {
                "type": "invalid_request_error",
                "message": "Your input exceeds the context window of this model.",
            },
            Kind.BAD_REQUEST,
            "context_length_exceeded",
            False,
        ),
        ({"code": "invalid_prompt"}, Kind.BAD_REQUEST, "invalid_prompt", False),
        ({"type": "invalid_request_error", "code": None}, Kind.BAD_REQUEST, None, False),
        ({"code": "image_too_large"}, Kind.BAD_REQUEST, "image_too_large", False),
        ({"code": "model_not_found"}, Kind.NOT_FOUND, "model_not_found", False),
        ({"code": "content_policy_violation"}, Kind.BAD_REQUEST, "content_policy_violation", False),
        ({"code": "content_filter"}, Kind.BAD_REQUEST, "content_filter", False),
        ({"code": "moderation_blocked"}, Kind.BAD_REQUEST, "content_policy_violation", False),
        ({"code": "something_new", "message": "?"}, Kind.UPSTREAM_FAILED, "something_new", False),
        ({"code": "some sentence"}, Kind.UPSTREAM_FAILED, "upstream_error", False),
        ({}, Kind.UPSTREAM_FAILED, "upstream_error", False),
        ({"code": 429, "message": "slow down"}, Kind.RATE_LIMITED, "rate_limit_exceeded", True),
        ({"code": 402}, Kind.USAGE_EXHAUSTED, "insufficient_quota", False),
        ({"code": "503"}, Kind.OVERLOADED, "upstream_overloaded", True),
        ({"code": "subscription:free-usage-exhausted"}, Kind.USAGE_EXHAUSTED, "insufficient_quota", False),
    ],
)
def test_kinds(error: dict[str, Any], kind: Kind, code: str | None, retryable: bool) -> None:
    refusal = of(**error)
    assert (refusal.kind, refusal.code, refusal.retryable) == (kind, code, retryable)
    assert "Upstream" in refusal.message


def test_the_text_of_the_upstream_is_told_on_one_line() -> None:
    refusal = of(code="server_error", message="It broke\nhere", param="input[0]")
    assert refusal.message == "Upstream failed while it answered: It broke here. Ask again."
    assert refusal.param == "input[0]"


@pytest.mark.parametrize(
    "error",
    [
        {"type": "error", "code": "server_error", "message": "It broke."},
        {"code": "server_error", "error": "It broke."},
        {"type": "server_error", "message": "It broke."},
    ],
)
def test_shapes(error: dict[str, Any]) -> None:
    refusal = failure("Upstream", error, None)
    assert refusal.kind is Kind.UPSTREAM_FAILED
    assert "It broke." in refusal.message
    assert refusal.retryable


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        ({"error": {"code": "rate_limit_exceeded", "message": "m"}}, Kind.RATE_LIMITED),
        ({"error": "at capacity"}, Kind.OVERLOADED),
        ({"error": None}, Kind.UPSTREAM_FAILED),
        ({}, Kind.UPSTREAM_FAILED),
    ],
)
def test_the_response_tells_what_the_error_does_not(response: dict[str, Any], kind: Kind) -> None:
    assert failure("Upstream", {}, response).kind is kind


def test_usage_limit() -> None:
    refusal = of(
        type="usage_limit_reached",
        message="The usage limit has been reached",
        plan_type="plus",
        resets_at=1_790_000_000,
        resets_in_seconds=86,
    )
    assert refusal.retry_after == 86
    assert refusal.message == (
        "The Upstream plan's usage limit is reached: The usage limit has been reached. "
        "It resets at 2026-09-21T14:13:20Z. See: chatmock info"
    )
    assert refusal.more == {
        "type": "usage_limit_reached",
        "plan_type": "plus",
        "resets_at": 1_790_000_000,
        "resets_in_seconds": 86,
    }


@pytest.mark.parametrize("code", ["usage_limit_reached", "insufficient_quota"])
@pytest.mark.parametrize(
    "at", [None, True, "soon", -5, 1e300, 10**30, 1_790_000_000_000, [1], float("nan"), float("inf"), "-1"]
)
def test_a_reset_that_is_no_time(at: object, code: str) -> None:
    refusal = failure("Upstream", {"code": code, "resets_at": at, "resets_in_seconds": at}, None, 1.0)
    assert refusal.retry_after is None
    assert "resets at" not in refusal.message
    assert "resets_at" not in refusal.more
    assert "resets_in_seconds" not in refusal.more


def test_numbers_of_a_reset_may_be_texts() -> None:
    refusal = of(code="usage_limit_reached", resets_at="1990000000", resets_in_seconds="120")
    assert refusal.retry_after == 120
    assert refusal.more == {
        "type": "usage_limit_reached",
        "resets_at": 1_990_000_000,
        "resets_in_seconds": 120,
    }


def test_a_reset_counts_from_when_the_response_was_created() -> None:
    error = {"code": "usage_limit_reached", "resets_at": 1_790_000_100}
    assert failure("Upstream", error, {"created_at": 1_790_000_000}, 5.0).retry_after == 100
    assert failure("Upstream", error, {"created_at": 1e300}, 1_790_000_090).retry_after == 10
    assert failure("Upstream", error, None).retry_after is None


@pytest.mark.parametrize("kind", ["usage_limit_reached", "usage_not_included"])
@pytest.mark.parametrize("reset", [{"resets_at": 1_790_000_100}, {"resets_in_seconds": 60}, {}])
def test_a_usage_limit_reads_the_same_as_a_status_and_in_a_stream(kind: str, reset: dict[str, int]) -> None:
    error = {"type": kind, "message": "It is reached.", "plan_type": "plus", **reset}
    date = email.utils.formatdate(1_790_000_000, usegmt=True)
    told = read_refusal(429, {"date": date}, json.dumps({"error": error}).encode())
    said = failure("ChatGPT", error, {"created_at": 1_790_000_000})
    assert (told.message, told.code, told.more) == (said.message, said.code, said.more)
    assert (told.kind, told.retry_after) == (said.kind, said.retry_after)
    assert bool(reset) == (told.retry_after is not None)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [("Please try again in 6.5s.", 6.5), ("Try again in 20ms.", 0.02), ("Please try again later.", None)],
)
def test_a_rate_limit_says_when_to_try_again(message: str, seconds: float | None) -> None:
    assert of(code="rate_limit_exceeded", message=message).retry_after == seconds


@pytest.mark.parametrize("code", ["invalid_api_key", 401])
def test_a_key_is_not_repeated(code: object) -> None:
    refusal = of(code=code, message="Incorrect API key provided: sk-abc")
    assert refusal.kind is Kind.UNAUTHENTICATED
    assert "sk-" not in refusal.message


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_KEYS = ["code", "type", "message", "param", "error", "detail", "resets_at", "resets_in_seconds", "plan_type"]
_error = st.dictionaries(st.sampled_from(_KEYS), _json, max_size=6)


@settings(max_examples=100, deadline=None)
@given(_error, st.none() | st.dictionaries(st.just("error"), _json))
def test_anything_becomes_a_refusal(error: dict[str, Any], response: dict[str, Any] | None) -> None:
    refusal = failure("Upstream", error, response)
    assert refusal.status >= 400
    assert refusal.message.isprintable()
