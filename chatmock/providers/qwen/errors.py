"""Reads Qwen's errors into refusals: those that come instead of a stream, with any status, and those inside one.

Spec upstreams.md, A1.5. Two layers write them: the site, ``{"success": false, "data": {"code", "details"}}`` with
status 200 as a rule, and the gateway in front of it, ``{"ret": […], "data": {"url"}}`` or a page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from chatmock import jsontext
from chatmock.durations import duration
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError
from chatmock.providers.interface import Headers
from chatmock.providers.openai_errors import ErrorFacts, clean, is_context_overflow, kind_of, retry_after
from chatmock.providers.qwen import contract
from chatmock.providers.qwen.contract import SITE, TITLE

_RENEW: Final = (
    f"Log in at {SITE} in a browser, put its token into QWEN_AUTH_TOKEN and its cookies into QWEN_COOKIES, "
    "and start chatmock again."
)
_CHANGED: Final = "its web API is private and may have changed: look for a newer chatmock."
_TEXTS: Final = ("details", "detail", "message", "msg", "error", "template")
_MOST_HOURS: Final = 24 * 366
_MOST_READ: Final = 64 * 1024
_TAG: Final = re.compile(r"<[a-zA-Z!/?]")
_SECRET: Final = re.compile(r"eyJ[\w.-]{8,}|[\w+/=%*~-]{48,}", re.ASCII)
"""A JSON Web Token, or anything as long as the values of the site's cookies."""


@attrs.frozen
class _Told:
    """What an error says, in whichever shape it says it."""

    code: str = ""
    """In lower case, without separators."""
    text: str = ""
    """Fit to be quoted."""
    status: int | None = None
    """An HTTP status, where the error names one in place of a code."""
    hours: float | None = None
    """How long to wait."""
    gateway: bool = False
    """Whether the gateway wrote it."""

    def says(self, codes: frozenset[str], phrases: tuple[str, ...] = ()) -> bool:
        """Whether it names one of *codes*, which may be all its text is, or has one of *phrases*."""
        text = self.text.lower()
        return self.code in codes or _bare(text) in codes or any(phrase in text for phrase in phrases)


def read_refusal(status: int, headers: Headers, body: bytes) -> Refusal:
    """The refusal for an answer that is no stream, of any HTTP status, 200 too; of a page nothing is quoted.

    What a caller may act on is in its code: :data:`~chatmock.providers.qwen.contract.CHAT_BUSY`,
    :data:`~chatmock.providers.qwen.contract.CHAT_NOT_FOUND`,
    :data:`~chatmock.providers.qwen.contract.PARENT_NOT_FOUND`, ``model_not_found``, ``invalid_api_key``,
    :data:`~chatmock.providers.qwen.contract.CAPTCHA`.
    """
    if _is_gateways(headers.get("location", "")):
        return _captcha()
    if 300 <= status < 400:
        message = (
            f"{TITLE} answered with a redirect, which chatmock does not follow: check CHATMOCK_QWEN_BASE_URL."
        )
        return Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_redirect")
    text = body.decode("utf-8", "replace")
    try:
        body_told = jsontext.loads_object(text)
    except JSONError:
        return _of_a_page(status, headers, text[:_MOST_READ])
    told = _read(body_told)
    if 200 <= status < 300 and not told.gateway and (body_told.get("success") is True or told == _Told()):
        return _not_a_stream()
    return _refusal(told, status, retry_after(headers))


def failure(error: Mapping[str, Any] | str) -> Refusal:
    """The refusal for an answer that its own stream says has failed.

    :param error: the error, ``{"code", "details"}`` or a text, or the record that holds it; it may be empty.
    """
    return _refusal(_read(error if isinstance(error, Mapping) else {"error": error}), 200, None)


def tells_error(body: Mapping[str, Any]) -> bool:
    """Whether *body*, the JSON of an answer with status 200 or a record of a stream, is an error all the same."""
    return bool(body.get("error")) or body.get("success") is False or "ret" in body


def _read(body: Mapping[str, Any]) -> _Told:
    places = [place for key in ("error", "data") if isinstance(place := body.get(key), Mapping)]
    places.append(body)
    code = next((code for place in places if (code := _code(place))), "")
    text = next((text for place in places if (text := _text(place))), "")
    number = next((number for place in places if (number := place.get("num")) is not None), None)
    ret, data = body.get("ret"), body.get("data")
    url = data.get("url") if isinstance(data, Mapping) else None
    return _Told(
        code="" if code.isdecimal() else code,
        text=text,
        status=int(code) if re.fullmatch("[45][0-9]{2}", code) else None,
        hours=number if _is_hours(number) else None,
        gateway=any(isinstance(mark, str) and _is_gateways(mark) for mark in (*_list(ret), url)),
    )


def _code(place: Mapping[str, Any]) -> str:
    code = place.get("code")
    return _bare(str(code)) if isinstance(code, str | int) and not isinstance(code, bool) else ""


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(place: Mapping[str, Any]) -> str:
    return next((text for key in _TEXTS if (text := _quotable(place.get(key)))), "")


def _quotable(text: object) -> str:
    """*text* on a line, without what might be a secret; nothing of a page."""
    if not isinstance(text, str) or _TAG.search(text):
        return ""
    return clean(_SECRET.sub("***", text[:_MOST_READ]))


def _bare(code: str) -> str:
    return "".join(c for c in code.lower() if c.isascii() and c.isalnum())


def _is_hours(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _MOST_HOURS


def _is_gateways(text: str) -> bool:
    text = text.lower()
    return any(mark in text for mark in contract.CAPTCHA_MARKS)


def _refusal(told: _Told, status: int, wait: float | None) -> Refusal:
    """The refusal for what was *told*. What is said of a chat goes first: it may come with any code and status."""
    if told.gateway:
        return _captcha()
    status = told.status if told.status is not None and status < 400 else status
    return _of_the_chat(told) or _of_the_account(told, status, wait) or _of_the_site(told, status, wait)


def _of_the_chat(told: _Told) -> Refusal | None:
    missing = contract.MISSING.search(told.text.lower())
    if told.says(contract.CHAT_BUSY_CODES, contract.CHAT_BUSY_PHRASES):
        message = f"{TITLE} still answers something else in this chat, and does one thing at a time. Ask again in a few seconds."
        return Refusal(Kind.RATE_LIMITED, message, code=contract.CHAT_BUSY, retry_after=contract.BUSY_WAIT)
    if told.says(contract.CONTEXT_LENGTH_CODES) or is_context_overflow(told.text):
        message = _sentence("The conversation is too long for the model", told.text, "Send less of it.")
        return Refusal(Kind.BAD_REQUEST, message, code="context_length_exceeded")
    if missing is None:
        return None
    if missing[1] == "parent":
        message = f"{TITLE} does not have the answer any more that this conversation goes on from. Ask again."
        return Refusal(Kind.NOT_FOUND, message, code=contract.PARENT_NOT_FOUND)
    if missing[1] == "model":
        message = (
            f"{TITLE} does not have this model, or no longer. Ask for one that chatmock lists at /v1/models."
        )
        return Refusal(Kind.NOT_FOUND, message, code="model_not_found", param="model")
    message = (
        f"{TITLE} does not have this chat: it was deleted, or is another account's. Ask again without a chat_id, "
        "or check QWEN_CHAT_ID."
    )
    return Refusal(Kind.NOT_FOUND, message, code=contract.CHAT_NOT_FOUND)


def _of_the_account(told: _Told, status: int, wait: float | None) -> Refusal | None:
    expired = told.says(frozenset(), contract.EXPIRED_PHRASES)
    if expired or status == 401 or told.says(contract.UNAUTHORIZED_CODES):
        # The site's own text may repeat parts of the token.
        fault = "has expired" if expired else "is not accepted: it has expired or was revoked"
        return Refusal(
            Kind.UNAUTHENTICATED, f"The token for {TITLE} {fault}. {_RENEW}", code="invalid_api_key"
        )
    used_up = told.says(contract.USED_UP_CODES)
    if used_up or status == 429 or told.says(contract.TOO_MANY_CODES):
        wait = wait if told.hours is None else told.hours * 3600
        when = "later" if wait is None else f"in {duration(wait, 2)}"
        what = f"{TITLE} lets the account ask no more for now"
        return Refusal(
            Kind.RATE_LIMITED,
            _sentence(what, told.text, f"Try again {when}, or ask for another model."),
            code="rate_limit_exceeded",
            retry_after=wait,
            retryable=not used_up and wait is not None,
        )
    if status == 403 or told.says(contract.FORBIDDEN_CODES):
        advice = f"If the account may do this at {SITE} in a browser: {_RENEW[0].lower()}{_RENEW[1:]}"
        message = _sentence(f"{TITLE} forbids the account this", told.text, advice)
        return Refusal(Kind.FORBIDDEN, message, code="upstream_forbidden")
    return None


def _of_the_site(told: _Told, status: int, wait: float | None) -> Refusal:
    if told.says(contract.SERVER_BUSY_CODES, contract.SERVER_BUSY_PHRASES):
        kind = Kind.OVERLOADED
    elif told.says(contract.INTERNAL_CODES, contract.INTERNAL_PHRASES):
        kind = Kind.UPSTREAM_FAILED
    elif told.says(contract.BAD_REQUEST_CODES):
        kind = Kind.BAD_REQUEST
    elif status >= 400:
        return _of_a_status(told.text, status, wait)
    else:
        message = _sentence(
            f"{TITLE} did not answer", told.text, f"Ask again; if that does not help, {_CHANGED}"
        )
        return Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_error")
    return _of_a_kind(kind, told.text, wait)


def _of_a_status(text: str, status: int, wait: float | None) -> Refusal:
    """The refusal where only the status tells; an address that is gone is not the client's fault."""
    if status in (404, 405, 410):
        message = _sentence(
            f"{TITLE} does not know what chatmock asked it ({status})", text, _capital(_CHANGED)
        )
        return Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_changed")
    return _of_a_kind(kind_of(ErrorFacts(status, "")), text, wait)


def _of_a_kind(kind: Kind, text: str, wait: float | None) -> Refusal:
    if kind is Kind.TOO_LARGE:
        message = _sentence(f"{TITLE} does not take a request this large", text, "Send less.")
        return Refusal(kind, message)
    if kind.status < 500:
        advice = f"If other requests work, change this one; if none does, {_CHANGED}"
        return Refusal(Kind.BAD_REQUEST, _sentence(f"{TITLE} does not accept the request", text, advice))
    busy = kind is Kind.OVERLOADED
    return Refusal(
        kind,
        _sentence(f"{TITLE} {'is too busy' if busy else 'failed'}", text, "Ask again shortly."),
        code="upstream_overloaded" if busy else "upstream_error",
        retry_after=wait,
        retryable=True,
    )


def _of_a_page(status: int, headers: Headers, page: str) -> Refusal:
    """The refusal for what is no JSON object."""
    if _is_gateways(page):
        return _captcha()
    html = "html" in headers.get("content-type", "") or page.lstrip("\ufeff \t\r\n").startswith("<")
    if html and (200 <= status < 300 or status in (403, 405)):
        message = (
            f"{TITLE} answered with a web page instead of its API. {_RENEW} If that does not help, {_CHANGED}"
        )
        return Refusal(Kind.FORBIDDEN, message, code="upstream_blocked")
    if 200 <= status < 300:
        return _not_a_stream()
    return _refusal(_Told(), status, retry_after(headers))


def _captcha() -> Refusal:
    message = (
        f"The gateway in front of {TITLE} wants a captcha solved, which only a person can do. Solve it at {SITE} in a "
        "browser, put the token into QWEN_AUTH_TOKEN and the cookies into QWEN_COOKIES, and start chatmock again. "
        "If only long requests are stopped, send less: it takes up to about 128 KB."
    )
    return Refusal(Kind.FORBIDDEN, message, code=contract.CAPTCHA)


def _not_a_stream() -> Refusal:
    message = f"{TITLE} did not answer as a stream, although it was asked to: {_CHANGED}"
    return Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_not_a_stream")


def _sentence(what: str, text: str, advice: str) -> str:
    said = f"{what}: {text}" if text else what
    return f"{said if said.endswith(('.', '!', '?', '…')) else said + '.'} {advice}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
