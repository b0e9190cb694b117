"""ChatGPT's login as pure functions: the requests to its issuer and what the answers mean (spec chatgpt.md, 1.2 to 1.9)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import attrs

from chatmock import jsontext
from chatmock.jsontext import JSONError
from chatmock.providers.chatgpt import contract
from chatmock.providers.chatgpt.oauth_errors import ISSUER_TITLE, LoginFailed, clean, denied, refused
from chatmock.providers.interface import UpstreamRequest
from chatmock.settings import Secret

__all__ = [
    "ISSUER_TITLE", "STATE_BYTES", "VERIFIER_BYTES", "DeviceCode", "Grant", "LoginFailed", "Pkce", "StrayRedirect",
    "authorize_url", "device_code_request", "device_page", "device_redirect_uri", "device_token_request",
    "exchange_request", "pkce", "read_device_code", "read_device_token", "read_issued", "read_redirect",
    "redirect_uri", "refresh_request",
]  # fmt: skip

VERIFIER_BYTES: Final = 64
STATE_BYTES: Final = 32
_DEVICE_INTERVAL: Final = 5.0
_LEAST_INTERVAL: Final = 1.0
_NUMBER: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


class StrayRedirect(Exception):
    """A redirect that is not the answer to this login; the message says why, as half a sentence."""


@attrs.frozen
class Pkce:
    """The proof that who exchanges the code is who asked for it (1.2)."""

    verifier: Secret
    challenge: str


@attrs.frozen
class DeviceCode:
    """A device login that waits for its owner (1.8)."""

    device_auth_id: Secret
    user_code: str
    """What the owner types into :func:`device_page`."""
    interval: float
    """Seconds between two questions whether that has happened."""


@attrs.frozen
class Grant:
    """What is exchanged for tokens: a code, and the verifier that belongs to it."""

    code: Secret
    verifier: Secret


def pkce(random: bytes) -> Pkce:
    """The verifier and its S256 challenge out of :data:`VERIFIER_BYTES` random bytes."""
    verifier = random.hex()
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return Pkce(Secret(verifier), base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii"))


def redirect_uri(port: int = contract.CALLBACK_PORT) -> str:
    """Where the issuer sends the browser; the real one knows the default port only (1.1)."""
    return f"http://localhost:{port}{contract.CALLBACK_PATH}"


def device_redirect_uri(issuer: str) -> str:
    """The redirect URI that codes of the device login belong to (1.8)."""
    return _at(issuer, contract.DEVICE_REDIRECT_PATH)


def device_page(issuer: str) -> str:
    """The page on which the owner types the user code (1.8)."""
    return _at(issuer, contract.DEVICE_PAGE)


def authorize_url(issuer: str, client_id: str, redirect: str, challenge: str, state: str) -> str:
    """The page on which the owner logs in and agrees (1.2).

    :param client_id: the OAuth client that logs in, here and below.
    """
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect,
        "scope": contract.SCOPE,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "id_token_add_organizations": "true",
        "codex_cli_simplified_flow": "true",
        "state": state,
        "originator": contract.ORIGINATOR,
    }
    return f"{_at(issuer, contract.AUTHORIZE_PATH)}?{urlencode(query)}"


def read_redirect(query: str, state: str) -> Secret:
    """The code in the *query* of a redirect that answers the login of *state*; compared in constant time.

    :raises LoginFailed: when the issuer says that the login failed.
    :raises StrayRedirect: when it is no answer to this login, as is everything without its *state*: any page can send
        a browser here. What such a query says is not repeated.
    """
    try:
        fields = parse_qs(query, max_num_fields=50)
    except ValueError:
        raise StrayRedirect("it has too many parameters") from None
    once = {name: values[0] for name, values in fields.items() if len(values) == 1}
    given = once.get("state")
    matches = given is not None and hmac.compare_digest(
        given.encode(errors="surrogatepass"), state.encode("ascii")
    )
    if given is None:
        raise StrayRedirect("it has no state, so it cannot be told which login it belongs to")
    if not matches:
        raise StrayRedirect("its state belongs to another login, perhaps an earlier one")
    if "error" in fields:
        raise denied(once.get("error", ""), once.get("error_description", ""))
    if "code" not in once:
        raise StrayRedirect("it has no code")
    return Secret(once["code"])


def exchange_request(issuer: str, client_id: str, grant: Grant, redirect: str) -> UpstreamRequest:
    """Exchange a code for tokens (1.5); the answer is for :func:`read_issued`.

    :param redirect: the redirect URI that the code was given for.
    """
    return _form(
        _at(issuer, contract.TOKEN_PATH),
        {
            "grant_type": "authorization_code",
            "code": grant.code.reveal(),
            "redirect_uri": redirect,
            "client_id": client_id,
            "code_verifier": grant.verifier.reveal(),
        },
    )


def refresh_request(issuer: str, client_id: str, refresh_token: Secret) -> UpstreamRequest:
    """Exchange a refresh token, which works once, for new tokens (1.9); the answer is for :func:`read_issued`."""
    return _form(
        _at(issuer, contract.TOKEN_PATH),
        {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token.reveal(),
            "client_id": client_id,
            "scope": contract.SCOPE,
        },
    )


def read_issued(status: int, body: bytes, new: bool = False) -> Mapping[str, Any]:
    """The answer of the token endpoint, of which :func:`~chatmock.providers.chatgpt.tokens.issued` makes a login.

    :param new: whether a code was exchanged, and not a refresh token: a refusal is then no word on the login there is.
    :raises LoginFailed: when it is an error.
    """
    return _read_success(status, body, refreshing=not new)


def device_code_request(issuer: str, client_id: str) -> UpstreamRequest:
    """Begin a device login (1.8); the answer is for :func:`read_device_code`."""
    return _json(_at(issuer, contract.DEVICE_CODE_PATH), {"client_id": client_id})


def read_device_code(status: int, body: bytes) -> DeviceCode:
    """The device login that has begun.

    :raises LoginFailed: when there is none; 404 means that the account or the issuer does not have it.
    """
    if status == 404:
        raise LoginFailed(
            "Logging in with a code is not enabled here. Switch on the device code login in ChatGPT's settings"
            " under Security (in a workspace its administrator does), or log in without --headless.",
            status=status,
        )
    answer = _read_success(status, body)
    device = _text(answer.get("device_auth_id"))
    user_code = clean(_text(answer.get("user_code")) or _text(answer.get("usercode")))
    if device is None or not user_code:
        raise LoginFailed(
            f"{ISSUER_TITLE} gave no code to type in. That is a fault on its side: try again later.",
            status=status,
        )
    return DeviceCode(Secret(device), user_code, _interval(answer.get("interval")))


def device_token_request(issuer: str, device: DeviceCode) -> UpstreamRequest:
    """Ask whether the owner has typed the code (1.8); the answer is for :func:`read_device_token`."""
    return _json(
        _at(issuer, contract.DEVICE_TOKEN_PATH),
        {"device_auth_id": device.device_auth_id.reveal(), "user_code": device.user_code},
    )


def read_device_token(status: int, body: bytes) -> Grant | None:
    """What to exchange for tokens, with :func:`device_redirect_uri`; None while the owner has not typed the code.

    :raises LoginFailed: when the device login has come to nothing.
    """
    if status in (403, 404):
        return None
    answer = _read_success(status, body)
    code, verifier = _text(answer.get("authorization_code")), _text(answer.get("code_verifier"))
    if code is None or verifier is None:
        raise LoginFailed(
            f"{ISSUER_TITLE} let the device in but gave no code. That is a fault on its side: try again later.",
            status=status,
        )
    return Grant(Secret(code), Secret(verifier))


def _at(issuer: str, path: str) -> str:
    return f"{issuer.rstrip('/')}{path}"


def _form(url: str, fields: Mapping[str, str]) -> UpstreamRequest:
    return _post(url, "application/x-www-form-urlencoded", urlencode(fields).encode("ascii"))


def _json(url: str, fields: Mapping[str, str]) -> UpstreamRequest:
    return _post(url, "application/json", jsontext.dumps(fields))


def _post(url: str, content_type: str, body: bytes) -> UpstreamRequest:
    headers = {
        "Content-Type": content_type,
        "Accept": "application/json",
        "User-Agent": contract.USER_AGENT,
    }
    return UpstreamRequest("POST", url, headers, body)


def _interval(value: object) -> float:
    """Seconds out of a number or its text (1.8)."""
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    return max(float(text), _LEAST_INTERVAL) if _NUMBER.fullmatch(text.strip()) else _DEVICE_INTERVAL


def _read_success(status: int, body: bytes, refreshing: bool = False) -> Mapping[str, Any]:
    if not 200 <= status < 300:
        raise refused(status, body, refreshing)
    try:
        answer = jsontext.loads_object(body)
    except JSONError:
        raise LoginFailed(
            f"{ISSUER_TITLE} did not answer in JSON. Something between here and it, such as a proxy or the login"
            " page of a network, may have answered in its place.",
            status=status,
        ) from None
    if answer.get("error"):
        raise refused(status, body)
    return answer


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
