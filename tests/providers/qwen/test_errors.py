"""Qwen's errors, instead of a stream and inside one, into refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.errors import Kind, Refusal
from chatmock.providers.qwen.errors import failure, read_refusal, tells_error

JSON = {"content-type": "application/json; charset=utf-8"}
HTML = {"content-type": "text/html; charset=utf-8"}
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6InUifQ.c2lnbmF0dXJl"
LIMIT = "You've reached the upper limit for today's usage."
TEMPLATE = "You have reached the daily usage limit. Please wait {{num}} hours before trying again."


def site(code: str | None = None, details: str | None = None, **more: Any) -> dict[str, Any]:
    """An error as the site writes it."""
    told = {key: value for key, value in (("code", code), ("details", details)) if value is not None}
    return {"success": False, "request_id": "r-1", "data": {**told, **more}}


def read(body: Any, status: int = 200, **headers: str) -> Refusal:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_refusal(status, {**JSON, **told}, json.dumps(body, ensure_ascii=False).encode())


_TABLE = [
    ("RateLimited", LIMIT, Kind.RATE_LIMITED, "rate_limit_exceeded", False),
    ("quotaLimited", "", Kind.RATE_LIMITED, "rate_limit_exceeded", False),
    ("Too_Many_Requests", "Slow down", Kind.RATE_LIMITED, "rate_limit_exceeded", False),
    ("ParallelLimited", "One at a time", Kind.RATE_LIMITED, "chat_busy", False),
    ("Bad_Request", "The chat is in progress!", Kind.RATE_LIMITED, "chat_busy", False),
    ("Bad_Request", "Invalid input too many messages.", Kind.BAD_REQUEST, None, False),
    ("Unauthorized", "", Kind.UNAUTHENTICATED, "invalid_api_key", False),
    (
        "unauthorized",
        "Token has expired, please log in again.",
        Kind.UNAUTHENTICATED,
        "invalid_api_key",
        False,
    ),
    ("Forbidden", "Not for you", Kind.FORBIDDEN, "upstream_forbidden", False),
    ("Not_Found", "Model not found", Kind.NOT_FOUND, "model_not_found", False),
    ("Bad_Request", "The model qwen3-chat does not exist", Kind.NOT_FOUND, "model_not_found", False),
    ("Bad_Request", "The chat 12 is not exist.", Kind.NOT_FOUND, "chat_not_found", False),
    ("Not_Found", "chat_id 12 not exist", Kind.NOT_FOUND, "chat_not_found", False),
    ("Bad_Request", "Parent of the model's answer not found", Kind.NOT_FOUND, "chat_parent_not_found", False),
    ("ContextLengthExceeded", "Too long", Kind.BAD_REQUEST, "context_length_exceeded", False),
    (
        "Bad_Request",
        "Longer than the maximum context length",
        Kind.BAD_REQUEST,
        "context_length_exceeded",
        False,
    ),
    ("Internal_Server_Error", "", Kind.UPSTREAM_FAILED, "upstream_error", True),
    ("Something", "Internal error", Kind.UPSTREAM_FAILED, "upstream_error", True),
    ("Server_Busy", "", Kind.OVERLOADED, "upstream_overloaded", True),
    ("Something", "The server is busy, wait", Kind.OVERLOADED, "upstream_overloaded", True),
]


@pytest.mark.parametrize(("code", "details", "kind", "word", "retryable"), _TABLE)
def test_the_table(code: str, details: str, kind: Kind, word: str | None, retryable: bool) -> None:
    wanted = (kind, word, retryable)
    error = {"code": code, "details": details}
    for refusal in (
        read(site(code, details)),
        read(site(code, details), 400 if kind is Kind.RATE_LIMITED else kind.status),
        read({"success": False, "error": error}),
        failure(error),
        failure({"error": error}),
        failure(site(code, details)),
    ):
        assert (refusal.kind, refusal.code, refusal.retryable) == wanted
        assert "Qwen" in refusal.message or "chatmock" in refusal.message or "conversation" in refusal.message
        assert refusal.message.endswith(".")


def test_an_unknown_code_is_tried_again_only_where_the_status_says_it_passes() -> None:
    for status, retryable in ((200, False), (502, True)):
        refusal = read(site("Something", "Odd"), status)
        assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_FAILED, "upstream_error")
        assert refusal.retryable is retryable
        assert "Odd" in refusal.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("RateLimited", "rate_limit_exceeded"),
        ("The chat is in progress!", "chat_busy"),
        ("Internal error", "upstream_error"),
        ("Server_Busy", "upstream_overloaded"),
        ("Model not found", "model_not_found"),
        ("Token has expired", "invalid_api_key"),
        ("", "upstream_error"),
    ],
)
def test_an_error_that_is_a_text(text: str, code: str) -> None:
    assert failure(text).code == code
    if text:
        assert read({"error": text}).code == code
        assert read({"detail": text}).code == code


@pytest.mark.parametrize(("hours", "seconds"), [(10, 36_000), (0.5, 1800), (1, 3600)])
def test_a_used_up_day_tells_when_to_come_back(hours: float, seconds: float) -> None:
    for refusal in (
        read(site("RateLimited", LIMIT, template=TEMPLATE, num=hours)),
        failure({"code": "RateLimited", "num": hours}),
    ):
        assert (refusal.status, refusal.retry_after) == (429, seconds)
    assert read(site("RateLimited", LIMIT, num=10)).message == (
        f"Qwen lets the account ask no more for now: {LIMIT} Try again in 10h, or ask for another model."
    )


@pytest.mark.parametrize("hours", [None, 0, -1, True, "10", 1e9, [1]])
def test_hours_that_are_none(hours: Any) -> None:
    refusal = read(site("RateLimited", LIMIT, num=hours))
    assert refusal.retry_after is None
    assert "Try again later" in refusal.message
    assert read(site("RateLimited", LIMIT, num=hours), retry_after="30").retry_after == 30


def test_a_busy_chat_says_when_to_come_back() -> None:
    refusal = read(site("ParallelLimited"))
    assert refusal.retry_after is not None
    assert 2 <= refusal.retry_after <= 4


CAPTCHA = {
    "ret": ["FAIL_SYS_USER_VALIDATE", "RGV587_ERROR::SM::哎哟喂,被挤爆啦,请稍后重试"],
    "data": {
        "url": "https://chat.qwen.ai:443//api/v2/chat/completions/_____tmd_____/punish?x5secdata=SECRET&x5step=2&action=captcha&pureCaptcha="
    },
}
PAGES = [
    b'<!doctypehtml><meta name="aliyun_waf_aa" content="SECRET">',
    b"<html><script>location='/_____tmd_____/punish?x5secdata=SECRET'</script>",
    "\ufeff<HTML>哎哟喂 RGV587_ERROR SECRET".encode("utf-16"),
]


@pytest.mark.parametrize("status", [200, 302, 403, 405, 429, 500])
def test_the_captcha(status: int) -> None:
    refusals = [read_refusal(status, HTML, page) for page in PAGES[:2]] if status != 302 else []
    refusals += [read(CAPTCHA, status)] if status != 302 else []
    refusals.append(
        read_refusal(302, {"location": "https://chat.qwen.ai/_____tmd_____/punish?x5secdata=SECRET"}, b"")
    )
    refusals += [failure(CAPTCHA), read({"data": CAPTCHA["data"]})]
    for refusal in refusals:
        assert (refusal.kind, refusal.code, refusal.retryable) == (Kind.FORBIDDEN, "upstream_captcha", False)
        assert refusal.retry_after is None
        assert "SECRET" not in refusal.message
        assert "QWEN_AUTH_TOKEN" in refusal.message
        assert "QWEN_COOKIES" in refusal.message


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (200, Kind.FORBIDDEN, "upstream_blocked"),
        (401, Kind.UNAUTHENTICATED, "invalid_api_key"),
        (403, Kind.FORBIDDEN, "upstream_blocked"),
        (404, Kind.UPSTREAM_FAILED, "upstream_changed"),
        (405, Kind.FORBIDDEN, "upstream_blocked"),
        (413, Kind.TOO_LARGE, None),
        (429, Kind.RATE_LIMITED, "rate_limit_exceeded"),
        (500, Kind.UPSTREAM_FAILED, "upstream_error"),
        (503, Kind.OVERLOADED, "upstream_overloaded"),
        (504, Kind.UPSTREAM_TIMED_OUT, "upstream_error"),
    ],
)
def test_pages_are_not_quoted(status: int, kind: Kind, code: str | None) -> None:
    for page, headers in ((b"<p>SECRET</p>", HTML), (b"\n <html>SECRET", {}), (PAGES[2], HTML)):
        refusal = read_refusal(status, headers, page)
        assert (refusal.kind, refusal.code) == (kind, code)
        assert "SECRET" not in refusal.message


@pytest.mark.parametrize(
    ("status", "kind", "code", "retryable"),
    [
        (200, Kind.UPSTREAM_FAILED, "upstream_not_a_stream", False),
        (307, Kind.UPSTREAM_FAILED, "upstream_redirect", False),
        (400, Kind.BAD_REQUEST, None, False),
        (401, Kind.UNAUTHENTICATED, "invalid_api_key", False),
        (403, Kind.FORBIDDEN, "upstream_forbidden", False),
        (404, Kind.UPSTREAM_FAILED, "upstream_changed", False),
        (405, Kind.UPSTREAM_FAILED, "upstream_changed", False),
        (409, Kind.BAD_REQUEST, None, False),
        (413, Kind.TOO_LARGE, None, False),
        (429, Kind.RATE_LIMITED, "rate_limit_exceeded", False),
        (500, Kind.UPSTREAM_FAILED, "upstream_error", True),
        (502, Kind.UPSTREAM_FAILED, "upstream_error", True),
        (503, Kind.OVERLOADED, "upstream_overloaded", True),
        (504, Kind.UPSTREAM_TIMED_OUT, "upstream_error", True),
    ],
)
@pytest.mark.parametrize("body", [b"", b"{}", b"SECRET", b"[1]", b'{"code": 0}'])
def test_where_only_the_status_tells(
    status: int, kind: Kind, code: str | None, retryable: bool, body: bytes
) -> None:
    refusal = read_refusal(status, {"content-type": "text/plain"}, body)
    assert (refusal.kind, refusal.code, refusal.retryable) == (kind, code, retryable)
    assert "SECRET" not in refusal.message


def test_a_status_in_place_of_a_code() -> None:
    assert failure({"code": 429, "details": "x"}).kind is Kind.RATE_LIMITED
    assert failure({"code": "503"}).kind is Kind.OVERLOADED
    assert read({"success": False, "code": 401}).kind is Kind.UNAUTHENTICATED
    assert read(site("500"), 400).kind is Kind.BAD_REQUEST


@pytest.mark.parametrize(
    "body", [{"success": True, "data": {"id": "1"}}, {"success": True, "message": "fine"}, {"data": []}]
)
def test_a_success_is_no_stream(body: Any) -> None:
    refusal = read(body)
    assert (refusal.kind, refusal.code) == (Kind.UPSTREAM_FAILED, "upstream_not_a_stream")


@pytest.mark.parametrize(
    ("body", "is_error"),
    [
        ({"success": True, "data": {}}, False),
        ({"data": []}, False),
        ({"error": None}, False),
        (site("x"), True),
        ({"error": "x"}, True),
        (CAPTCHA, True),
    ],
)
def test_errors_are_told_from_successes(body: dict[str, Any], is_error: bool) -> None:
    assert tells_error(body) is is_error


@pytest.mark.parametrize(
    "details",
    [
        f"bad token {TOKEN}",
        "bad cookie ssxmod_itna=" + "Qqmx0D+/*" * 8,
        f"<b>{TOKEN}</b>",
        f"expired: {TOKEN}",
    ],
)
@pytest.mark.parametrize("code", ["Unauthorized", "Bad_Request", "RateLimited", "Something"])
def test_no_secret_is_repeated(code: str, details: str) -> None:
    for refusal in (read(site(code, details)), failure({"code": code, "details": details}), failure(details)):
        assert "eyJ" not in refusal.message
        assert "mx0D" not in refusal.message


def test_who_has_to_log_in_again_is_told_how() -> None:
    refusal = read(site("unauthorized", "Token has expired, please log in again."))
    assert refusal.message == (
        "The token for Qwen has expired. Log in at https://chat.qwen.ai in a browser, put its token into QWEN_AUTH_TOKEN "
        "and its cookies into QWEN_COOKIES, and start chatmock again."
    )


def test_texts_are_quoted_on_one_line_in_any_script() -> None:
    long = "请稍后重试" * 30
    assert long in failure({"details": f"{long}\nnow"}).message
    assert failure({"details": "a\n b\x00"}).message.startswith("Qwen did not answer: a b. Ask again;")


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_KEYS = ["code", "details", "detail", "message", "error", "data", "num", "ret", "url", "success", "template"]
_body = st.dictionaries(
    st.sampled_from(_KEYS), _json | st.dictionaries(st.sampled_from(_KEYS), _json, max_size=4), max_size=5
)


@settings(max_examples=100, deadline=None)
@given(_body, st.sampled_from([200, 201, 302, 400, 401, 404, 418, 429, 500, 599]))
def test_anything_becomes_a_refusal(body: dict[str, Any], status: int) -> None:
    for refusal in (read(body, status), failure(body)):
        assert refusal.status >= 400
        assert refusal.message.isprintable()
        assert refusal.retry_after is None or refusal.retry_after > 0


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([200, 403, 502]))
def test_any_bytes_become_a_refusal(body: bytes, status: int) -> None:
    assert read_refusal(status, {}, body).message.isprintable()
