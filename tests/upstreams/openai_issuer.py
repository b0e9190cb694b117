"""A fake of ChatGPT's issuer over real HTTP, which refuses what the real one refuses (spec chatgpt.md, 1.2 to 1.9).

Codes and refresh tokens work once. A refresh token that comes a second time ends its whole chain. The owner is
imagined to agree to everything at once, unless `denial` says otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

import attrs

from tests.upstreams.issuer_answers import Answer, error, oauth_error, page
from tests.upstreams.playing_site import Asked, PlayingSite, Reply

CLIENT = "app_EMoamEEZ73f0CkXaXp7hrann"
SCOPE = {"openid", "profile", "email", "offline_access"}
AUTH_CLAIM = "https://api.openai.com/auth"
_LOOPBACK = re.compile(r"http://localhost:([0-9]+)/auth/callback")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


@attrs.define
class _Code:
    challenge: str
    redirect_uri: str


@attrs.define
class _Chain:
    """One login: its refresh tokens, of which only the last one works."""

    current: str = ""
    dead: bool = False


class OpenAIIssuer(PlayingSite):
    """The fake.

    :param now: Unix time in seconds, for the tokens' end.
    """

    def __init__(self, reactor: Any, client_id: str = CLIENT, now: Callable[[], float] = time.time) -> None:
        super().__init__(reactor)
        self.client_id = client_id
        self.now = now
        self.callback_ports: set[int] | None = None
        """The loopback ports it redirects to; None for any. The real one knows 1455."""
        self.email: str | None = "owner@example.com"
        self.plan = "plus"
        self.account_id = "account-1"
        self.access_seconds = 3600.0
        """How long an access token lasts."""
        self.denial: Mapping[str, str] | None = None
        """The query with which the browser is sent back instead of a code, such as ``{"error": "access_denied"}``."""

        self.answers: list[Answer | str] = []
        """What the token endpoint answers next instead of doing anything, one after the other; ``drop`` closes the
        connection unanswered, ``lose`` does so after the work has been done."""
        self.delay = 0.0
        """Seconds before the token endpoint answers, its work being done already."""
        self.omit_refresh_token = False
        """Whether a refresh leaves the old refresh token working and names no new one."""
        self.omit_id_token = False
        """Whether a refresh names no new id token, as OpenID Connect allows."""
        self.omit_access_token = False
        """Whether a refresh names no new access token, which it should."""

        self.device_enabled = True
        self.device_interval: Any = "1"
        self.device_fields: tuple[str, ...] = ("device_auth_id", "user_code", "interval")
        """What a device login is answered with; older issuers say ``usercode``."""
        self.device_answers: list[Answer | str] = []
        """What the device's polls are answered before they succeed; see `pending`."""
        self.user_code = "ABCD-12345"

        self.exchanges = 0
        """Codes exchanged for tokens."""
        self.refreshes = 0
        """Refresh tokens exchanged for new ones."""
        self._codes: dict[str, _Code] = {}
        self._chains: dict[str, _Chain] = {}
        self._access: dict[str, float] = {}
        self._devices: dict[str, str] = {}

    def calls(self, path: str) -> list[Asked]:
        """The requests to *path* so far."""
        return [asked for asked in self.asked if asked.path == path]

    # --- what tests ask and tell

    def issue(self) -> dict[str, str]:
        """The token endpoint's answer for a new login, without the way to it."""
        chain = _Chain()
        return self._tokens(chain)

    def honours(self, access_token: str) -> bool:
        """Whether ChatGPT's backend would take *access_token* now."""
        return self._access.get(access_token, 0.0) > self.now()

    def honours_refresh(self, refresh_token: str) -> bool:
        """Whether *refresh_token* would be exchanged now."""
        chain = self._chains.get(refresh_token)
        return chain is not None and not chain.dead and chain.current == refresh_token

    def revoke_access(self) -> None:
        """From now on no access token issued so far is taken."""
        self._access.clear()

    def revoke_refresh(self) -> None:
        """From now on no refresh token issued so far is taken."""
        for chain in self._chains.values():
            chain.dead = True

    def pending(self, times: int, status: int = 403) -> None:
        """The owner needs that many polls to type in the code."""
        body = {"error": {"code": "deviceauth_authorization_unknown", "message": "not yet"}}
        self.device_answers += [Answer(status, body)] * times

    def refuse(self, code: str) -> None:
        """The next call of the token endpoint is refused with *code*, such as ``refresh_token_expired``."""
        oauth = oauth_error(code, "It is not valid any more.")
        self.answers.append(oauth if code == "invalid_grant" else error(401, code, "Please log in again."))

    # --- the endpoints

    def read(self, asked: Asked) -> Any:
        """The fields of the query, the form or the JSON object; None for any other type of content."""
        kind = _content_type(asked)
        if asked.method == "GET":
            return _fields(asked.query)
        if kind == "application/x-www-form-urlencoded":
            return _fields(asked.content.decode())
        return json.loads(asked.content) if kind == "application/json" else None

    def respond(self, asked: Asked) -> Reply:
        """What to answer to *asked*."""
        if asked.body is None:
            return Answer(415, {"detail": f"Unsupported media type: {_content_type(asked)}"}).reply(0.0)
        queues = {"/oauth/token": self.answers, "/api/accounts/deviceauth/token": self.device_answers}
        queue = queues.get(asked.path)
        planned = queue.pop(0) if queue else None
        if planned == "drop":
            return Reply(ending="cut")
        answer = planned if isinstance(planned, Answer) else self.answer(asked)
        if planned == "lose":
            return Reply(ending="cut")
        return answer.reply(self.delay if asked.path == "/oauth/token" else 0.0)

    def answer(self, asked: Asked) -> Answer:
        """Do what *asked* asks for."""
        endpoints = {
            ("GET", "/oauth/authorize"): self._authorize,
            ("POST", "/oauth/token"): self._token,
            ("POST", "/api/accounts/deviceauth/usercode"): self._device_code,
            ("POST", "/api/accounts/deviceauth/token"): self._device_token,
        }
        endpoint = endpoints.get((asked.method, asked.path))
        return Answer(404, {"detail": "Not Found"}) if endpoint is None else endpoint(asked)

    def _authorize(self, asked: Asked) -> Answer:
        fields = asked.body
        redirect, state = fields.get("redirect_uri", ""), fields.get("state", "")
        loopback = _LOOPBACK.fullmatch(redirect)
        if fields.get("client_id") != self.client_id:
            return page("unknown client")
        if loopback is None or (self.callback_ports and int(loopback[1]) not in self.callback_ports):
            return page("unknown redirect_uri")
        wrong = [
            name
            for name, right in {
                "response_type": fields.get("response_type") == "code",
                "scope": set(fields.get("scope", "").split()) >= SCOPE,
                "code_challenge": _CHALLENGE.fullmatch(fields.get("code_challenge", "")) is not None,
                "code_challenge_method": fields.get("code_challenge_method") == "S256",
                "state": len(state) >= 16,
            }.items()
            if not right
        ]
        if wrong:
            back = {"error": "invalid_request", "error_description": f"wrong: {wrong}", "state": state}
        elif self.denial is not None:
            back = {"state": state, **self.denial}
        else:
            code = f"ac_{secrets.token_urlsafe(32)}"
            self._codes[code] = _Code(fields["code_challenge"], redirect)
            back = {"code": code, "scope": fields["scope"], "state": state}
        return Answer(302, b"", f"{redirect}?{urlencode(back)}")

    def _token(self, asked: Asked) -> Answer:
        fields = asked.body
        if fields.get("client_id") != self.client_id:
            return error(401, "invalid_client", "The client is not known.")
        if fields.get("grant_type") == "authorization_code":
            return self._exchange(fields)
        if fields.get("grant_type") == "refresh_token":
            return self._refresh(fields.get("refresh_token", ""))
        return oauth_error("unsupported_grant_type", "The grant type is not known.")

    def _exchange(self, fields: Mapping[str, str]) -> Answer:
        code = self._codes.pop(fields.get("code", ""), None)
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        right = (
            code is not None
            and code.redirect_uri == fields.get("redirect_uri")
            and code.challenge == _base64url(digest)
        )
        if not right:
            return oauth_error("invalid_grant", "The code does not belong to this.")
        self.exchanges += 1
        return Answer(200, self.issue())

    def _refresh(self, refresh_token: str) -> Answer:
        chain = self._chains.get(refresh_token)
        if chain is None:
            return oauth_error("invalid_grant", "There is no such token.")
        if chain.current != refresh_token:
            chain.dead = True
            return error(401, "refresh_token_reused", "Your refresh token has already been used.")
        if chain.dead:
            return error(401, "refresh_token_invalidated", "Your session has ended.")
        self.refreshes += 1
        return Answer(200, self._tokens(chain))

    def _device_code(self, asked: Asked) -> Answer:
        if not self.device_enabled:
            return Answer(404, {"detail": "Not Found"})
        if asked.body.get("client_id") != self.client_id:
            return error(401, "invalid_client", "The client is not known.")
        device = f"deviceauth_{secrets.token_hex(8)}"
        self._devices[device] = self.user_code
        values = dict.fromkeys(("user_code", "usercode"), self.user_code)
        known = {**values, "device_auth_id": device, "interval": self.device_interval}
        return Answer(200, {name: known[name] for name in self.device_fields})

    def _device_token(self, asked: Asked) -> Answer:
        device = asked.body.get("device_auth_id", "")
        if self._devices.get(device) != asked.body.get("user_code"):
            return error(404, "deviceauth_not_found", "There is no such device login.")
        verifier, code = secrets.token_hex(32), f"ac_{secrets.token_urlsafe(32)}"
        challenge = _base64url(hashlib.sha256(verifier.encode()).digest())
        self._codes[code] = _Code(challenge, f"{self.url}/deviceauth/callback")
        del self._devices[device]
        return Answer(
            200, {"authorization_code": code, "code_verifier": verifier, "code_challenge": challenge}
        )

    def _tokens(self, chain: _Chain) -> dict[str, str]:
        now = self.now()
        auth = {"chatgpt_account_id": self.account_id, "chatgpt_plan_type": self.plan}
        common = {
            "iss": "https://auth.openai.com",
            "iat": int(now),
            "jti": secrets.token_hex(8),
            AUTH_CLAIM: auth,
        }
        access = _jwt({**common, "exp": int(now + self.access_seconds), "scp": sorted(SCOPE)})
        self._access[access] = now + self.access_seconds
        identity = {**common, "aud": [self.client_id], "exp": int(now + 3600)}
        if self.email is not None:
            identity["email"] = self.email
        answer = {"id_token": _jwt(identity), "access_token": access, "token_type": "Bearer"}
        if chain.current:
            omitted = {"id_token": self.omit_id_token, "access_token": self.omit_access_token}
            answer = {name: value for name, value in answer.items() if not omitted.get(name)}
        if not (self.omit_refresh_token and chain.current):
            chain.current = f"rt_{secrets.token_urlsafe(32)}"
            self._chains[chain.current] = chain
            answer["refresh_token"] = chain.current
        return answer


def _content_type(asked: Asked) -> str:
    return asked.headers.get("content-type", "").partition(";")[0]


def _fields(text: str) -> dict[str, str]:
    """The fields of a query or a form; a repeated one counts for none."""
    return {name: values[0] for name, values in parse_qs(text).items() if len(values) == 1}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _jwt(claims: Mapping[str, Any]) -> str:
    """A token with *claims*; its signature is none."""
    parts = [{"alg": "RS256", "typ": "JWT"}, claims]
    head, middle = (_base64url(json.dumps(part).encode()) for part in parts)
    return f"{head}.{middle}.{_base64url(b'no signature')}"
