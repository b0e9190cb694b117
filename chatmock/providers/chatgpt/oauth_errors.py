"""What the issuer says when it does not log somebody in (spec chatgpt.md, 1.9)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

from chatmock import jsontext
from chatmock.jsontext import JSONError
from chatmock.providers import openai_errors
from chatmock.providers.chatgpt import contract

ISSUER_TITLE: Final = "ChatGPT's login server"
"""What people are told that the issuer is."""
_MOST_CHARS: Final = 300
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@attrs.define(eq=False)
class LoginFailed(Exception):
    """A login or a refresh did not succeed."""

    message: str
    """What failed, whose fault it is and what to do next; never a secret."""
    code: str | None = None
    """The issuer's error code, where it gave one."""
    status: int | None = None
    """The HTTP status of the issuer's answer, where there was one."""
    passing: bool = False
    """Whether the same request may well succeed a little later."""
    final: bool = False
    """Whether only a new login helps (1.9)."""

    def __str__(self) -> str:
        return self.message


def refused(status: int, body: bytes, refreshing: bool = False) -> LoginFailed:
    """The failure that an error answer means.

    :param refreshing: whether it answers a refresh. A refusal then ends the login, be its code known or not: nothing
        would come of asking again and again.
    """
    code, said = _facts(body)
    why = _because(code, said) or "it does not say why"
    final = code in contract.LOG_IN_AGAIN or (refreshing and _ends_login(status, code, body))
    failed = LoginFailed("", code, status, passing=status == 429 or status >= 500, final=final)
    if final:
        advice = "Log in again: chatmock login"
    elif status == 429:
        advice = "Wait a few minutes, then try again."
    elif status >= 500:
        advice = "That is a fault on its side: try again later."
    else:
        advice = "Try again; if that does not help, log in again: chatmock login"
    failed.message = f"{ISSUER_TITLE} answered {status}: {why}. {advice}"
    return failed


def _ends_login(status: int, code: str | None, body: bytes) -> bool:
    """Whether it is the issuer that refuses, and for good: a page is some proxy's, or of the guard before it."""
    if status not in (400, 401, 403) or code in contract.PASSING_REFUSALS:
        return False
    try:
        return bool(jsontext.loads_object(body))
    except JSONError:
        return False


def denied(code: str, description: str) -> LoginFailed:
    """The failure that a redirect with an ``error`` means."""
    known = code if _CODE.fullmatch(code) else None
    why = _because(known, clean(description) or ("" if known else clean(code)))
    said = f"ChatGPT did not let you in: {why}." if why else "ChatGPT did not let you in."
    return LoginFailed(f"{said} Nothing was changed; start again with: chatmock login", known)


def _because(code: str | None, said: str) -> str:
    said = said.rstrip(". ")
    if code is None or code in said:
        return said
    return f"{said} ({code})" if said else code


def _facts(body: bytes) -> tuple[str | None, str]:
    """The code and the message of an error body, whichever of the issuer's shapes it has; a page is not quoted."""
    try:
        answer = jsontext.loads_object(body)
    except JSONError:
        return None, ""
    error = answer.get("error") or answer.get("detail") or answer
    if isinstance(error, list):
        error = error[0] if error else None
    if isinstance(error, Mapping):
        code = error.get("code") or error.get("type")
        said = error.get("message") or error.get("error_description") or error.get("msg")
    else:
        code, said = error, answer.get("error_description") or answer.get("message")
    if isinstance(code, str) and _CODE.fullmatch(code):
        return code, clean(said)
    return None, clean(said) or clean(code)


def clean(text: object) -> str:
    """*text* on one line, of bounded length, without control characters or what may be a token."""
    return openai_errors.clean(text, _MOST_CHARS)
