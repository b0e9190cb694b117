"""Reads the answers of ChatGPT's backend that are no success (spec chatgpt.md, 2.4, 2.11).

Their bodies differ by the layer that made them: ``{"detail": …}`` from the validation, ``{"error": {…}}`` from the
models and the plan's limits, a page from the edge in front of it all.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from typing import Any, Final

from chatmock import jsontext
from chatmock.durations import sane
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError
from chatmock.providers.chatgpt.contract import TITLE
from chatmock.providers.interface import Headers
from chatmock.providers.openai_errors import ErrorFacts, clean, retry_after, to_refusal
from chatmock.providers.responses_usage_limits import usage_limit

_REQUEST_IDS: Final = (
    "x-request-id",
    "x-openai-request-id",
    "x-oai-request-id",
    "openai-request-id",
    "request-id",
    "cf-ray",
)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
"""Told as it is, although it may look like a secret: whoever asks for support needs it."""
_TOLD: Final = ("message", "detail", "error_description", "title", "reason")


def read_refusal(status: int, headers: Headers, body: bytes) -> Refusal:
    """The refusal for an answer with *status*; of a page nothing is quoted."""
    if 300 <= status < 400:
        message = f"{TITLE} answered with a redirect, which chatmock does not follow: check CHATMOCK_CHATGPT_BASE_URL."
        return Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_redirect")
    try:
        told = jsontext.loads_object(body)
    except JSONError:
        return _of_a_page(status, headers)
    error = told.get("error")
    error = error if isinstance(error, dict) else told
    exhausted = usage_limit(TITLE, error, _message({"error": error}), _date(headers), retry_after(headers))
    if exhausted is not None:
        return exhausted
    if status == 401:
        return _login_refused(headers)
    if 200 <= status < 300:
        message = f"{TITLE} did not answer as a stream, although it was asked to."
        return Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_not_a_stream")
    code, param = error.get("code"), error.get("param")
    facts = ErrorFacts(
        status,
        _message(told) + _request_id(headers),
        code if isinstance(code, str) else None,
        param if isinstance(param, str) else None,
    )
    return to_refusal(TITLE, "the login", facts, retry_after(headers))


def _date(headers: Headers) -> float | None:
    """When it was answered, in Unix seconds."""
    try:
        return sane(email.utils.parsedate_to_datetime(headers.get("date", "")).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def _login_refused(headers: Headers) -> Refusal:
    # The backend's own text may repeat parts of the token.
    message = (
        f"{TITLE} does not accept the login{_request_id(headers)}. On chatmock's machine run: chatmock login"
    )
    return Refusal(Kind.UNAUTHENTICATED, message, code="login_required")


def _of_a_page(status: int, headers: Headers) -> Refusal:
    if status == 401:
        return _login_refused(headers)
    if status == 403:
        message = f"The gateway in front of {TITLE} blocked the request{_request_id(headers)}."
        return Refusal(Kind.FORBIDDEN, message, code="upstream_blocked")
    if 200 <= status < 300:
        message = f"{TITLE} did not answer as a stream, although it was asked to."
        return Refusal(Kind.UPSTREAM_FAILED, message, code="upstream_not_a_stream")
    return to_refusal(
        TITLE, "the login", ErrorFacts(status, _request_id(headers).strip()), retry_after(headers)
    )


def _message(told: Mapping[str, Any]) -> str:
    """The first text that says what is wrong, wherever it stands."""
    error = told.get("error")
    if isinstance(error, str):
        return clean(error)
    for place in (error, told):
        if not isinstance(place, Mapping):
            continue
        for key in _TOLD:
            if message := _text(place.get(key)):
                return message
    errors = told.get("errors")
    return _text(errors)


def _text(value: object) -> str:
    """*value* on a line: a text, or a list of texts or of objects with a message."""
    if isinstance(value, list):
        return "; ".join(filter(None, (_text(each) for each in value[:5])))
    if isinstance(value, Mapping):
        return _text(value.get("message") or value.get("msg"))
    return clean(value)


def _request_id(headers: Headers) -> str:
    found = next((headers[name] for name in _REQUEST_IDS if headers.get(name)), "")
    return f" (request {found})" if _REQUEST_ID.fullmatch(found) else ""
