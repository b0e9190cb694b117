"""The login's tokens, the file that keeps them, and what they say of the account (spec chatgpt.md, 1.6, 1.7).

The tokens' signatures are not checked: they come from the issuer over TLS, and only the issuer's answer counts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import attrs

from chatmock import jsontext
from chatmock.jsontext import JSONError
from chatmock.providers.chatgpt.contract import AUTH_CLAIM
from chatmock.providers.jwt import claims, expiry
from chatmock.settings import Secret

FILE_KEYS = ("tokens", "last_refresh", "login_needed")
"""What of the file is chatmock's to write; the rest is kept."""
_TOKEN_KEYS = ("id_token", "access_token", "refresh_token", "account_id")


@attrs.frozen
class Tokens:
    """A login."""

    id_token: Secret
    access_token: Secret
    refresh_token: Secret | None = None
    account_id: str = ""
    last_refresh: str = ""
    """When they were issued, as ISO 8601 in UTC; empty where that is not known."""
    login_needed: str = ""
    """The issuer's final error, after which only a new login helps; empty while all is well."""
    more: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """What else the file holds; kept when it is rewritten."""
    more_tokens: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """What else its ``tokens`` object holds."""

    @property
    def expires_at(self) -> float | None:
        """When the access token ends, in Unix seconds; None where it does not say."""
        return expiry(self.access_token)


@attrs.frozen
class Owner:
    """Whose login it is, as far as the tokens tell."""

    login: str | None
    plan: str | None
    account_id: str | None
    plan_until: str | None
    """The end of the subscription, as the issuer writes it."""


def account_id(id_token: Secret) -> str:
    """The account that an id token names; empty for none."""
    return _text(_auth(id_token).get("chatgpt_account_id")) or ""


def owner(tokens: Tokens) -> Owner:
    """What the tokens say of their owner."""
    identity, auth, access = claims(tokens.id_token), _auth(tokens.id_token), _auth(tokens.access_token)
    until = auth.get("chatgpt_subscription_active_until")
    return Owner(
        login=_text(identity.get("email")) or _text(identity.get("preferred_username")),
        plan=_text(access.get("chatgpt_plan_type")) or _text(auth.get("chatgpt_plan_type")),
        account_id=tokens.account_id or _text(auth.get("chatgpt_account_id")),
        plan_until=_text(until),
    )


def read_tokens(data: bytes) -> Tokens | None:
    """The login in an ``auth.json``; None for a file without one.

    :raises JSONError: when it is no JSON object.
    """
    body = jsontext.loads_object(data)
    held = body.get("tokens")
    if not isinstance(held, dict):
        return None
    access = _text(held.get("access_token"))
    if access is None:
        return None
    refresh = _text(held.get("refresh_token"))
    id_token = Secret(_text(held.get("id_token")) or "")
    return Tokens(
        id_token,
        Secret(access),
        None if refresh is None else Secret(refresh),
        _text(held.get("account_id")) or account_id(id_token),
        _text(body.get("last_refresh")) or "",
        _text(body.get("login_needed")) or "",
        {key: value for key, value in body.items() if key not in FILE_KEYS},
        {key: value for key, value in held.items() if key not in _TOKEN_KEYS},
    )


def write_tokens(tokens: Tokens) -> bytes:
    """The ``auth.json`` that keeps *tokens*, with all that was in it before."""
    refresh = tokens.refresh_token
    held = {
        **tokens.more_tokens,
        "id_token": tokens.id_token.reveal(),
        "access_token": tokens.access_token.reveal(),
        "refresh_token": "" if refresh is None else refresh.reveal(),
        "account_id": tokens.account_id,
    }
    body = {**tokens.more, "tokens": held, "last_refresh": tokens.last_refresh}
    if tokens.login_needed:
        body["login_needed"] = tokens.login_needed
    return jsontext.indented(jsontext.dumps(body)) + b"\n"


def issued(answer: Mapping[str, Any], now: float, before: Tokens | None = None) -> Tokens:
    """The login out of an answer of the token endpoint; what the answer leaves out stays as *before* (1.9).

    A refresh token is kept whatever else is amiss, since the one before it may be spent: an answer without an access
    token then leaves the old one.

    :param now: Unix time in seconds.
    :param before: the login that was refreshed; None for a new one, which must have an id token.
    :raises JSONError: when the answer holds no tokens.
    """
    access, identity, refresh = (
        _secret(answer.get(name)) for name in ("access_token", "id_token", "refresh_token")
    )
    issued_at = dt.datetime.fromtimestamp(now, dt.UTC).isoformat().replace("+00:00", "Z")
    if before is None:
        if access is None or identity is None:
            raise JSONError("the answer holds no id_token and access_token")
        return Tokens(identity, access, refresh, account_id(identity), issued_at)
    if access is None and refresh is None:
        raise JSONError("the answer holds no access_token")
    return attrs.evolve(
        before,
        id_token=identity or before.id_token,
        access_token=access or before.access_token,
        refresh_token=refresh or before.refresh_token,
        account_id=(identity and account_id(identity)) or before.account_id,
        last_refresh=issued_at,
        login_needed="",
    )


def _auth(token: Secret) -> Mapping[str, Any]:
    auth = claims(token).get(AUTH_CLAIM)
    return auth if isinstance(auth, dict) else {}


def _secret(value: object) -> Secret | None:
    text = _text(value)
    return None if text is None else Secret(text)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
