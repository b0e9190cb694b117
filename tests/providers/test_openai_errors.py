"""Error bodies and waits in every shape upstreams send."""

from __future__ import annotations

import json

import pytest

from chatmock.errors import Kind
from chatmock.providers.compatible import DIFFERENCES
from chatmock.providers.openai_compatible import OpenAICompatible
from chatmock.providers.openai_errors import retry_after

PROVIDER = OpenAICompatible("compatible", "http://x/v1", DIFFERENCES)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after-ms": "inf"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (400, {"error": {"message": "bad", "param": "x"}}, Kind.BAD_REQUEST, "bad"),
        (400, {"error": "bad"}, Kind.BAD_REQUEST, "bad"),
        (400, {"code": "c", "error": "bad"}, Kind.BAD_REQUEST, "bad"),
        (400, {"message": "bad"}, Kind.BAD_REQUEST, "bad"),
        (400, {"detail": "bad"}, Kind.BAD_REQUEST, "bad"),
        (400, {"error": {"message": "bad", "code": "²"}}, Kind.BAD_REQUEST, "bad"),
        (
            400,
            {"error": {"message": "Provider", "metadata": {"raw": "deep"}}},
            Kind.BAD_REQUEST,
            "Provider: deep",
        ),
        (403, {}, Kind.FORBIDDEN, "403"),
        (418, [], Kind.BAD_REQUEST, "418"),
        (302, {}, Kind.UPSTREAM_FAILED, "redirect"),
        (500, {"error": {"message": "a\nb\x00c"}}, Kind.UPSTREAM_FAILED, "a b c"),
        (503, {}, Kind.OVERLOADED, "503"),
        (524, {}, Kind.UPSTREAM_TIMED_OUT, "524"),
        (200, {"error": {"message": "slow down", "code": 429}}, Kind.RATE_LIMITED, "slow down"),
        (200, {"error": {"message": "slow down", "code": "429"}}, Kind.RATE_LIMITED, "slow down"),
        (200, {"choices": []}, Kind.UPSTREAM_FAILED, "did not answer as a stream"),
    ],
)
def test_refusals(status: int, body: object, kind: Kind, says: str) -> None:
    refusal = PROVIDER.refusal(status, {}, json.dumps(body).encode())
    assert refusal.kind is kind
    assert says in refusal.message


def test_an_answer_that_is_no_stream_is_not_asked_for_again() -> None:
    assert not PROVIDER.refusal(200, {"content-type": "application/json"}, b'{"choices":[]}').retryable


def test_a_key_is_never_repeated() -> None:
    body = {"error": {"message": "Incorrect API key provided: sk-abc***xyz"}}
    assert "sk-" not in PROVIDER.refusal(401, {}, json.dumps(body).encode()).message


def test_a_page_is_not_quoted_and_a_text_is_bounded() -> None:
    assert "<" not in PROVIDER.refusal(502, {}, b"<html>portal</html>").message
    long = json.dumps({"error": {"message": "x" * 10_000}}).encode()
    assert len(PROVIDER.refusal(400, {}, long).message) < 600
