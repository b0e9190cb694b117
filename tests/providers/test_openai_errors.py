"""Error bodies and waits in every shape upstreams send."""

from __future__ import annotations

import json

import pytest

from chatmock.errors import Kind
from chatmock.providers.compatible import DIFFERENCES
from chatmock.providers.openai_compatible import OpenAICompatible
from chatmock.providers.openai_errors import clean, retry_after

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
        ({"retry-after": "999999999"}, None),
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
        (
            200,
            {"error": {"message": "slow down", "code": "429"}},
            Kind.RATE_LIMITED,
            "answered 429: slow down",
        ),
        (200, {"error": {"message": "broken"}}, Kind.UPSTREAM_FAILED, "answered with an error: broken"),
        (
            200,
            {"error": {"message": "no", "code": "insufficient_quota"}},
            Kind.USAGE_EXHAUSTED,
            "with an error: no",
        ),
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


JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjE5MzQ0ZTY1In0.eyJhdWQiOlsiaHR0cHM6Ly9hcGkub3BlbmFpLmNvbS92MSJdfQ.sflKxwRJ-Sw5c_"


@pytest.mark.parametrize(
    "secret",
    [
        JWT,
        JWT[:60],
        JWT[:14] + "…" + JWT[-6:],
        "sk-abc***xyz",
        "sk-proj-abcdEFGH1234",
        "xai-Zk3h9Qw2LmN8",
        "rt_a1B2c3D4e5F6g7H8",
        "0123456789abcdef0123456789abcdef",
        "Zk3h9Qw2LmN8pR7sT4vX6yB1",
        "aGVsbG8g/d29ybGQh+MTIzNDU2Nzg5MGFiY2RlZmdo==",
        "req_0a1b2c3d4e5f60718293a4b5c6d7",
    ],
)
@pytest.mark.parametrize("around", ["Bad token {} here", "'{}'", "https://a.test/x?code={}&y=1", "key:{}"])
def test_what_may_be_a_secret_is_masked(secret: str, around: str) -> None:
    line = clean(around.format(secret))
    assert "***" in line
    rest = line.replace("***", "")
    assert not any(secret[at : at + 5] in rest for at in range(len(secret) - 4))


@pytest.mark.parametrize("word", ["Bearer Zk3h9", "bearer: abc-1.x", "Authorization: Bearer a1"])
def test_what_follows_bearer_is_masked(word: str) -> None:
    assert clean(f"It was {word}, sorry").endswith("***, sorry")


@pytest.mark.parametrize(
    "text",
    [
        "The model gpt-5.3-codex-spark-2026-01-01 is not there",
        "Qwen3-Coder-480B-A35B-Instruct-Turbo-2025 and meta-llama/Llama-3.1-8B-Instruct",
        "See https://platform.openai.com/docs/guides/error-codes/api-errors-2026-01-01.",
        "See https://my-gateway-in-front-of-things-0123456789.eu-central-1.example.com:8443/v1/x",
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
        "x-codex-primary-over-secondary-limit-percent",
        "InvalidRequestErrorBecauseOfTheResponseFormat",
        "3f2b8c1a-9d4e-4f60-8a7b-1c2d3e4f5a6b",
        "The Bearer token is missing. A Bearer authentication is required",
        "messages[3].content[0].image_url.url: Expected a base64-encoded data URL with a MIME type",
    ],
)
def test_what_is_no_secret_is_told(text: str) -> None:
    assert clean(text) == text


def test_a_secret_at_the_end_of_what_is_read_is_not_told_in_part() -> None:
    for length in range(1900, 2001, 9):
        assert "eyJ" not in clean(" " * (length - 5) + "word " + JWT)


def test_the_message_of_an_upstream_is_masked() -> None:
    body = {"error": {"message": f"Bad {JWT}", "metadata": {"raw": f"Bearer {JWT}"}}}
    assert "eyJ" not in PROVIDER.refusal(400, {}, json.dumps(body).encode()).message


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418])
@pytest.mark.parametrize(
    ("headers", "body"),
    [({"content-type": "text/html; charset=utf-8"}, b"Log in"), ({}, b"\n <!doctype html>")],
)
def test_a_page_blames_neither_client_nor_key(status: int, headers: dict[str, str], body: bytes) -> None:
    refusal = PROVIDER.refusal(status, headers, body)
    assert (refusal.kind, refusal.code, refusal.retryable) == (Kind.UPSTREAM_FAILED, "upstream_page", False)


def test_a_page_that_comes_with_a_limit_is_one() -> None:
    assert PROVIDER.refusal(429, {"content-type": "text/html"}, b"<p>slow").kind is Kind.RATE_LIMITED
