"""Reads the error bodies of OpenAI-compatible upstreams into refusals (spec upstreams.md, B4, C2, D4, H)."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from typing import Any

import attrs

from chatmock import jsontext
from chatmock.durations import LONGEST, bounded
from chatmock.errors import Kind, Refusal
from chatmock.jsontext import JSONError
from chatmock.providers.interface import Headers

_BY_STATUS = {
    400: Kind.BAD_REQUEST,
    401: Kind.UNAUTHENTICATED,
    402: Kind.USAGE_EXHAUSTED,
    403: Kind.FORBIDDEN,
    404: Kind.NOT_FOUND,
    408: Kind.UPSTREAM_TIMED_OUT,
    413: Kind.TOO_LARGE,
    422: Kind.BAD_REQUEST,
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    504: Kind.UPSTREAM_TIMED_OUT,
    524: Kind.UPSTREAM_TIMED_OUT,
    529: Kind.OVERLOADED,
}
_STATUS_OF_CODE = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 402,
    "invalid_api_key": 401,
    "model_not_found": 404,
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
}
_EXHAUSTED = {"insufficient_quota", "billing_hard_limit_reached"}
_MOST_CHARS = 500
_MOST_READ = 4 * _MOST_CHARS
_SHORTEST_SECRET = 24
_WORD = re.compile(r"://[\w.-]+(?::[0-9]+)?(?=[/?#\s]|$)|[\w~+/=.%*…-]{6,}")
"""The host of a URL, or what a secret could be written in."""
_BEARER = re.compile(r"(\bbearer[ :=]+)(?![a-z]{1,20}(?:[^\w~+/=.-]|[.]?$))[^\s,;'\"]+", re.IGNORECASE)
"""What follows the word, unless it is a plain word."""
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:eyJ[\w*.…-]{4}|(?:sk|sess|xai|gsk)-(?!grok)[\w*.…-]{3}|rt[._][\w*.-]{12})"
)
_UUID = re.compile(r"(?<![\w-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-])", re.IGNORECASE)
_CHANGE = re.compile(r"(?<=[a-z])[A-Z0-9]|(?<=[A-Z])[0-9]|(?<=[0-9])[A-Za-z]")
_LONG_RUN = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{32}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def _word(text: str | None) -> str | None:
    return clean(text) or None


@attrs.frozen
class ErrorFacts:
    """What an upstream says of a fault, in whichever shape it says it."""

    status: int
    """The HTTP status, or the one the body names, or 502 where neither tells."""
    message: str
    code: str | None = attrs.field(default=None, converter=_word)
    param: str | None = attrs.field(default=None, converter=_word)
    status_told: bool = True
    """Whether somebody named a status: an error inside a stream mostly has none, and :attr:`status` only sorts it."""


def read_facts(status: int, body: Mapping[str, Any]) -> ErrorFacts:
    """The facts of an error object: ``{"error": {...}}``, ``{"error": "…", "code": …}``, ``{"message": …}``.

    :param status: the HTTP status, 200 for an error inside a stream or a success.
    """
    error = body.get("error") or body.get("detail") or body
    if not isinstance(error, Mapping):
        error = {"message": error, "code": body.get("code")}
    elif isinstance(error.get("error"), str):
        error = {"message": error["error"], "code": error.get("code")}
    message = clean(error.get("message"))
    code = error.get("code")
    if isinstance(code, str) and code.isascii() and code.isdecimal():
        code = int(code)
    status_told = status >= 400 or (isinstance(code, int) and 400 <= code < 600)
    if status < 400:
        status = code if isinstance(code, int) and 400 <= code < 600 else _STATUS_OF_CODE.get(str(code), 502)
    metadata = error.get("metadata")
    if isinstance(metadata, Mapping) and isinstance(metadata.get("raw"), str):
        message = f"{message}: {clean(metadata['raw'])}"
    param = error.get("param")
    return ErrorFacts(
        status,
        message,
        code=code if isinstance(code, str) and code else None,
        param=param if isinstance(param, str) else None,
        status_told=status_told,
    )


def facts_of_body(status: int, body: bytes) -> ErrorFacts:
    """The facts of an error answer; a body that is no JSON object (a page, nothing) is not quoted."""
    try:
        return read_facts(status, jsontext.loads_object(body))
    except JSONError:
        return ErrorFacts(status, "")


def is_page(headers: Headers, body: bytes) -> bool:
    """Whether an answer is a web page: of a captive portal, or of what guards a site."""
    return headers.get("content-type", "").lower().startswith("text/html") or body.lstrip()[:1] == b"<"


def tells_error(body: bytes) -> bool:
    """Whether the body of a success is an error object all the same."""
    try:
        return bool(jsontext.loads_object(body).get("error"))
    except JSONError:
        return False


def to_refusal(title: str, key_setting: str, facts: ErrorFacts, retry_after: float | None = None) -> Refusal:
    """The refusal for *facts*.

    :param title: the upstream's name, *key_setting* the variable that holds its key: both for the message.
    :param retry_after: seconds the upstream asked to wait.
    """
    kind = kind_of(facts)
    said = f": {facts.message}" if facts.message else "."
    if kind is Kind.UNAUTHENTICATED:
        # The upstream's own text may repeat parts of the key.
        message = f"{title} does not accept chatmock's key. Check {key_setting}."
        return Refusal(kind, message, code="invalid_api_key")
    code = facts.code
    if code is None and is_context_overflow(facts.message):
        code = "context_length_exceeded"
    elif kind is Kind.RATE_LIMITED:
        code = "rate_limit_exceeded"
    elif kind is Kind.USAGE_EXHAUSTED:
        code = "insufficient_quota"
    elif kind is Kind.NOT_FOUND and (code is None or " " in code):
        code = "model_not_found"
    return Refusal(
        kind,
        f"{title} answered {facts.status if facts.status_told else 'with an error'}{said}",
        code=code or ("upstream_error" if facts.status >= 500 else None),
        param=facts.param,
        retry_after=retry_after,
        retryable=kind is Kind.RATE_LIMITED or facts.status >= 500,
    )


def kind_of(facts: ErrorFacts) -> Kind:
    """The kind of fault by its code and status."""
    if facts.code in _EXHAUSTED:
        return Kind.USAGE_EXHAUSTED
    return _BY_STATUS.get(
        facts.status, Kind.BAD_REQUEST if 400 <= facts.status < 500 else Kind.UPSTREAM_FAILED
    )


def is_context_overflow(message: str) -> bool:
    """Whether *message* says that the conversation is longer than the model's window."""
    return "maximum context length" in message or "context_length" in message or "context window" in message


def retry_after(headers: Headers) -> float | None:
    """Seconds to wait by ``retry-after-ms`` or ``retry-after`` (a number, or a date against the answer's own)."""
    try:
        milliseconds = headers.get("retry-after-ms", "")
        if _NUMBER.fullmatch(milliseconds):
            return bounded(float(milliseconds) / 1000, LONGEST)
        value = headers.get("retry-after", "")
        if _NUMBER.fullmatch(value):
            return bounded(value, LONGEST)
        until = email.utils.parsedate_to_datetime(value)
        now = email.utils.parsedate_to_datetime(headers.get("date", ""))
        return bounded(max((until - now).total_seconds(), 0.0), LONGEST)
    except (ValueError, TypeError):
        return None


def clean(text: object, most: int = _MOST_CHARS) -> str:
    """*text* on one line of at most *most* characters, without control characters or words that may be a secret."""
    if not isinstance(text, str):
        return ""
    read = text[:_MOST_READ]
    if len(text) > _MOST_READ:
        read = read.rsplit(None, 1)[0]  # half a secret would not be known for one
    line = " ".join("".join(c if c.isprintable() else " " for c in read).split())
    line = _WORD.sub(_masked, _BEARER.sub(r"\1***", line))
    return line if len(line) <= most else line[:most] + "…"


def _masked(found: re.Match[str]) -> str:
    """A host or a word as it is, or stars for a word that may be a secret."""
    word = found[0]
    if word.startswith("://"):
        return word
    left = _UUID.sub("", word)
    secret = _KEY.search(left) or any(_is_random(piece) for piece in (left, *left.split("/")))
    return "***" if secret else word


def _is_random(word: str) -> bool:
    """Whether letters, case and digits alternate as in no word, name or date; or one long run mixes letters and digits."""
    if len(word) < _SHORTEST_SECRET:
        return False
    return len(_CHANGE.findall(word)) * 5 >= len(word) or bool(_LONG_RUN.search(word))
