"""What chat.qwen.ai answers when it does not answer (spec upstreams.md, A1.5). All with HTTP 200 unless said otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.upstreams.playing_site import Reply

CAPTCHA_URL = (
    "https://chat.qwen.ai:443//api/v2/chat/completions/_____tmd_____/punish"
    "?x5secdata=secret-of-the-gateway&x5step=2&action=captcha&pureCaptcha="
)
PAGE = """<!doctypehtml><html><head><meta name="aliyun_waf_aa" content="0123456789abcdef"><title></title></head>
<body><script>location.href = "/_____tmd_____/punish"</script></body></html>"""


def as_json(value: Any, status: int = 200) -> Reply:
    """*value* as an answer."""
    headers = {b"x-actual-status-code": str(status).encode()}
    body = json.dumps(value, ensure_ascii=False).encode()
    return Reply([body], status=status, content_type=b"application/json", headers=headers)


def success(data: Any) -> Reply:
    """The usual envelope around *data*."""
    return as_json({"success": True, "request_id": "request-1", "data": data})


def failure(code: str, details: str, status: int = 200, **more: Any) -> Reply:
    """The usual envelope around a fault."""
    data = {"code": code, "details": details, **more}
    return as_json({"success": False, "request_id": "request-1", "data": data}, status)


def rate_limited(num: int | None = 10) -> Reply:
    """The day's usage is spent; for *num* hours."""
    template = "You have reached the daily usage limit. Please wait {{num}} hours before trying again."
    more = {"template": template, "num": num} if num is not None else {}
    return failure("RateLimited", "You've reached the upper limit for today's usage.", **more)


def in_progress(status: int = 200) -> Reply:
    """The chat is still answering; with HTTP 400 or 200."""
    return failure("Bad_Request", "The chat is in progress!", status)


def unauthorized(status: int = 401) -> Reply:
    """The token is none; with HTTP 401 or 200."""
    return failure("Unauthorized", "Unauthorized", status)


def token_expired(status: int = 200) -> Reply:
    """The token has ended."""
    return as_json(
        {
            "success": False,
            "data": {
                "code": "unauthorized",
                "details": "Token has expired, please log in again.",
            },
        },
        status,
    )


def captcha() -> Reply:
    """The gateway's JSON instead of an answer."""
    said = ["FAIL_SYS_USER_VALIDATE", "RGV587_ERROR::SM::哎哟喂,被挤爆啦,请稍后重试"]
    return as_json({"ret": said, "data": {"url": CAPTCHA_URL}})


def waf_page() -> Reply:
    """The gateway's page instead of an answer."""
    return Reply([PAGE.encode()], content_type=b"text/html; charset=utf-8")


def chat_not_exist(chat_id: str) -> Reply:
    """The chat was deleted, or never was."""
    return failure("Not_Found", f"Chat {chat_id} not exist")


REFUSALS: Mapping[str, Callable[[], Reply]] = {
    "RateLimited": rate_limited,
    "RateLimited without hours": lambda: rate_limited(None),
    "quotaLimited": lambda: failure("quotaLimited", "The quota is used up."),
    "Too_Many_Requests": lambda: failure("Too_Many_Requests", "Too many requests.", 429),
    "ParallelLimited": lambda: failure("ParallelLimited", "Too many chats at once."),
    "in progress": in_progress,
    "in progress, 400": lambda: in_progress(400),
    "Unauthorized": unauthorized,
    "unauthorized, 200": lambda: unauthorized(200),
    "token expired": token_expired,
    "Forbidden": lambda: failure("Forbidden", "You have no right to do that.", 403),
    "captcha": captcha,
    "WAF page": waf_page,
    "model not found": lambda: failure("Not_Found", "Model not found"),
    "chat not exist": lambda: chat_not_exist("0f7a"),
    "ContextLengthExceeded": lambda: failure("ContextLengthExceeded", "The input is too long."),
    "Internal_Server_Error": lambda: failure("Internal_Server_Error", "Internal error", 500),
    "Server_Busy": lambda: failure("Server_Busy", "The server is busy."),
}
"""Every refusal, by a name for test cases."""
