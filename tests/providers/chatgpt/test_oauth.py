"""The requests of the login and what its answers mean, without a network."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmock.jsontext import JSONError
from chatmock.providers.chatgpt import contract, oauth
from chatmock.providers.chatgpt.oauth import DeviceCode, Grant, LoginFailed, StrayRedirect
from chatmock.providers.chatgpt.tokens import Tokens, issued
from chatmock.providers.interface import UpstreamRequest
from chatmock.settings import Secret

ISSUER = "https://issuer.example"
CLIENT = "client-1"
STATE = "0123456789abcdef" * 4


def form(request: UpstreamRequest) -> dict[str, str]:
    assert request.body is not None
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    return {name: value for name, [value] in parse_qs(request.body.decode(), strict_parsing=True).items()}


def failure(status: int, body: Any, new: bool = True) -> LoginFailed:
    """What becomes of an answer to a code, or else to a refresh token."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(LoginFailed) as caught:
        oauth.read_issued(status, data, new)
    return caught.value


@given(st.binary(min_size=64, max_size=64))
@settings(max_examples=50)
def test_the_challenge_is_the_hash_of_the_verifier(random: bytes) -> None:
    pkce = oauth.pkce(random)
    verifier = pkce.verifier.reveal()
    assert len(verifier) == 128
    assert bytes.fromhex(verifier) == random
    assert base64.urlsafe_b64decode(pkce.challenge + "=") == hashlib.sha256(verifier.encode()).digest()
    assert verifier not in repr(pkce)


def test_the_authorize_url() -> None:
    url = urlsplit(oauth.authorize_url(f"{ISSUER}/", CLIENT, oauth.redirect_uri(), "challenge", STATE))
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{ISSUER}/oauth/authorize"
    assert parse_qs(url.query, strict_parsing=True) == {
        "response_type": ["code"],
        "client_id": [CLIENT],
        "redirect_uri": ["http://localhost:1455/auth/callback"],
        "scope": ["openid profile email offline_access"],
        "code_challenge": ["challenge"],
        "code_challenge_method": ["S256"],
        "id_token_add_organizations": ["true"],
        "codex_cli_simplified_flow": ["true"],
        "state": [STATE],
        "originator": ["chatmock"],
    }


def test_a_code_is_exchanged_by_a_form() -> None:
    grant = Grant(Secret("the code&"), Secret("the verifier"))
    request = oauth.exchange_request(ISSUER, CLIENT, grant, "http://localhost:1/auth/callback")
    assert (request.method, request.url) == ("POST", f"{ISSUER}/oauth/token")
    assert form(request) == {
        "grant_type": "authorization_code",
        "code": "the code&",
        "redirect_uri": "http://localhost:1/auth/callback",
        "client_id": CLIENT,
        "code_verifier": "the verifier",
    }
    assert "the verifier" not in repr((request, grant))


def test_a_refresh_is_a_form() -> None:
    request = oauth.refresh_request(ISSUER, CLIENT, Secret("refresh-1"))
    assert (request.method, request.url) == ("POST", f"{ISSUER}/oauth/token")
    assert form(request) == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh-1",
        "client_id": CLIENT,
        "scope": contract.SCOPE,
    }
    assert "refresh-1" not in repr(request)


def test_the_requests_of_the_device_login() -> None:
    device = DeviceCode(Secret("device-1"), "ABCD-1", 5.0)
    code, poll = oauth.device_code_request(ISSUER, CLIENT), oauth.device_token_request(ISSUER, device)
    assert code.url == f"{ISSUER}/api/accounts/deviceauth/usercode"
    assert json.loads(code.body or b"") == {"client_id": CLIENT}
    assert poll.url == f"{ISSUER}/api/accounts/deviceauth/token"
    assert json.loads(poll.body or b"") == {"device_auth_id": "device-1", "user_code": "ABCD-1"}
    assert {r.headers["Content-Type"] for r in (code, poll)} == {"application/json"}
    assert "device-1" not in repr((device, poll))
    assert oauth.device_page(ISSUER) == f"{ISSUER}/codex/device"
    assert oauth.device_redirect_uri(ISSUER) == f"{ISSUER}/deviceauth/callback"


def test_tokens_are_read() -> None:
    answer = {"id_token": "i", "access_token": "a", "refresh_token": "r", "expires_in": 10}
    assert oauth.read_issued(200, json.dumps(answer).encode()) == answer
    assert oauth.read_issued(201, json.dumps(answer).encode()) == answer


@pytest.mark.parametrize(
    "body",
    [{}, {"access_token": "a"}, {"id_token": "i"}, {"id_token": "i", "access_token": 1}, {"id_token": "", "access_token": "a"}],
)  # fmt: skip
def test_a_new_login_has_both_tokens(body: Any) -> None:
    with pytest.raises(JSONError):
        issued(oauth.read_issued(200, json.dumps(body).encode(), new=True), 0.0)


BEFORE = Tokens(
    Secret("i0"),
    Secret("a0"),
    Secret("r0"),
    "account-0",
    "then",
    "refused",
    more={"k": 1},
    more_tokens={"t": 2},
)


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        ({"id_token": "i", "access_token": "a", "refresh_token": "r"}, ("i", "a", "r")),
        ({"access_token": "a", "refresh_token": "r"}, ("i0", "a", "r")),
        ({"access_token": "a"}, ("i0", "a", "r0")),
        ({"id_token": "", "access_token": "a", "refresh_token": ""}, ("i0", "a", "r0")),
        ({"refresh_token": "r"}, ("i0", "a0", "r")),
        ({"refresh_token": "r", "access_token": 5, "id_token": None}, ("i0", "a0", "r")),
    ],
)  # fmt: skip
def test_what_a_refresh_leaves_out_stays(answer: Any, tokens: tuple[str, str, str]) -> None:
    identity, access, refresh = map(Secret, tokens)
    assert issued(answer, 0.0, BEFORE) == Tokens(
        identity, access, refresh, "account-0", "1970-01-01T00:00:00Z", "", {"k": 1}, {"t": 2}
    )


@pytest.mark.parametrize("answer", [{}, {"id_token": "i"}, {"access_token": "", "refresh_token": 5}])
def test_a_refresh_without_tokens_is_none(answer: Any) -> None:
    with pytest.raises(JSONError):
        issued(answer, 0.0, BEFORE)


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": "account_deactivated", "message": "No."}}, "account_deactivated"),
        ({"error": "odd_error", "error_description": "No."}, "odd_error"),
        ({"detail": "It is not allowed."}, None),
    ],
)
def test_a_refused_refresh_ends_the_login_whatever_the_code(status: int, body: Any, code: str | None) -> None:
    failed = failure(status, body, new=False)
    assert (failed.code, failed.final, failed.passing) == (code, True, False)
    assert "Log in again: chatmock login" in failed.message
    assert not failure(status, body, new=True).final


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *[(403, {"error": code}) for code in sorted(contract.PASSING_REFUSALS)],
        (403, b"<html>Just a moment...</html>"),
        (403, b""),
        (404, {"detail": "Not Found"}),
        (429, {"error": "odd_error"}),
        (500, {"error": "odd_error"}),
    ],
)
def test_a_refresh_that_is_refused_for_now_does_not(status: int, body: Any) -> None:
    assert not failure(status, body, new=False).final


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"error": "invalid_client", "error_description": "Unknown client."}, "invalid_client", "Unknown client"),
        ({"error": "invalid_client"}, "invalid_client", "invalid_client"),
        ({"error": {"code": "some_code", "message": "It broke."}}, "some_code", "It broke"),
        ({"error": {"code": None, "type": "some_type", "message": "It broke."}}, "some_type", "It broke"),
        ({"error": {"message": "It broke."}}, None, "It broke"),
        ({"error": "It broke badly"}, None, "It broke badly"),
        ({"detail": "Country not supported."}, None, "Country not supported"),
        ({"detail": [{"loc": ["body"], "msg": "field required", "type": "missing"}]}, "missing", "field required"),
        ({"detail": {"code": "x1", "message": "No."}}, "x1", "No"),
        ({"code": "x2", "message": "No."}, "x2", "No"),
        ({}, None, "does not say why"),
        ({"error": [], "detail": 5}, None, "does not say why"),
        (b"<html>secret page</html>", None, "does not say why"),
        (b"", None, "does not say why"),
        (b"\xff\xfe", None, "does not say why"),
    ],
)  # fmt: skip
def test_every_shape_of_error_is_read(body: Any, code: str | None, said: str) -> None:
    failed = failure(403, body)
    assert (failed.code, failed.status, failed.passing, failed.final) == (code, 403, False, False)
    assert said in failed.message
    assert "403" in failed.message
    assert "<" not in failed.message
    assert str(failed) == failed.message


@pytest.mark.parametrize("code", sorted(contract.LOG_IN_AGAIN))
@pytest.mark.parametrize("nested", [True, False])
def test_final_errors_say_log_in_again(code: str, nested: bool) -> None:
    failed = failure(401, {"error": {"code": code, "message": "No."} if nested else code})
    assert failed.final
    assert failed.code == code
    assert "chatmock login" in failed.message


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_faults_that_pass(status: int) -> None:
    failed = failure(status, b"<html>")
    assert failed.passing
    assert not failed.final


def test_an_error_in_a_success_is_a_failure() -> None:
    assert failure(200, {"error": "invalid_grant"}).final


def test_a_page_in_place_of_an_answer_is_a_failure() -> None:
    assert "JSON" in failure(200, b"<html>Log in to this Wi-Fi</html>").message


def test_what_the_issuer_says_is_shown_safely() -> None:
    token = "rt_" + "aB3-" * 20
    failed = failure(
        400, {"error": "x", "error_description": f"\x1b[31mbad\n {token} \u202e" + "long " * 1000}
    )
    assert token not in failed.message
    assert failed.message.isprintable()
    assert len(failed.message) < 600


@given(st.integers(200, 599), st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.text(max_size=9) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["error", "code", "message", "detail", "error_description", "id_token", "interval"]), inner, max_size=3),
    max_leaves=8).map(lambda value: json.dumps(value).encode()))  # fmt: skip
@settings(max_examples=100)
def test_no_answer_is_a_surprise(status: int, body: bytes) -> None:
    for read in (oauth.read_issued, oauth.read_device_code, oauth.read_device_token):
        said = "read"
        try:
            read(status, body)
        except LoginFailed as failed:
            said = failed.message
        assert said
        assert said.isprintable()


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [(5, 5.0), ("7", 7.0), (" 3 ", 3.0), ("2.5", 2.5), (0, 1.0), ("0", 1.0), (-4, 5.0), ("soon", 5.0), (None, 5.0),
     (True, 5.0), ("", 5.0), ([], 5.0), ("nan", 5.0)],
)  # fmt: skip
def test_the_interval_of_the_device_login(interval: Any, seconds: float) -> None:
    body = {"device_auth_id": "d", "user_code": "ABCD-1", "interval": interval}
    assert oauth.read_device_code(200, json.dumps(body).encode()).interval == seconds


def test_the_old_name_of_the_user_code() -> None:
    device = oauth.read_device_code(200, b'{"device_auth_id": "d", "usercode": "ABCD-1"}')
    assert device == DeviceCode(Secret("d"), "ABCD-1", 5.0)


def test_a_device_login_that_is_not_enabled_says_what_to_switch_on() -> None:
    with pytest.raises(LoginFailed, match="ChatGPT's settings under Security"):
        oauth.read_device_code(404, b"")


@pytest.mark.parametrize("body", [b"{}", b'{"user_code": "A"}', b'{"device_auth_id": "d"}'])
def test_a_device_login_without_code(body: bytes) -> None:
    with pytest.raises(LoginFailed):
        oauth.read_device_code(200, body)


@pytest.mark.parametrize("status", [403, 404])
def test_a_device_login_that_waits(status: int) -> None:
    assert oauth.read_device_token(status, b"whatever") is None


def test_a_device_login_that_is_done() -> None:
    grant = oauth.read_device_token(
        200, b'{"authorization_code": "c", "code_verifier": "v", "code_challenge": "x"}'
    )
    assert grant == Grant(Secret("c"), Secret("v"))
    for status, body in [(400, b'{"error": "expired_token"}'), (200, b'{"authorization_code": "c"}')]:
        with pytest.raises(LoginFailed):
            oauth.read_device_token(status, body)


def query(**fields: str) -> str:
    return urlencode(fields)


def test_a_redirect_of_this_login_holds_the_code() -> None:
    assert oauth.read_redirect(query(state=STATE, code="a b"), STATE) == Secret("a b")


@pytest.mark.parametrize(
    "redirect",
    [
        "", "hello", "code=c", f"state={STATE}", f"state={STATE}&code=", f"state={STATE[:-1]}&code=c",
        f"state={STATE.upper()}&code=c", f"state={STATE}&state={STATE}&code=c", f"state={STATE}&code=c&code=d",
        "state=%ff%00%F0%9F&code=c", "state=\udcff&code=c", "state=wrong&error=access_denied",
        f"state={STATE}&state=x&error=access_denied", "error=access_denied&error_description=words", "&".join(f"x{i}=1" for i in range(100)),
    ],
)  # fmt: skip
def test_a_redirect_of_another_login_is_stray(redirect: str) -> None:
    with pytest.raises(StrayRedirect) as caught:
        oauth.read_redirect(redirect, STATE)
    assert str(caught.value).isprintable()
    assert "words" not in str(caught.value)


def test_a_refusal_in_the_redirect_ends_the_login() -> None:
    redirect = query(state=STATE, code="c", error="access_denied", error_description="You said\nno.")
    with pytest.raises(LoginFailed) as caught:
        oauth.read_redirect(redirect, STATE)
    assert caught.value.code == "access_denied"
    assert "You said no (access_denied)" in caught.value.message


def test_a_refusal_without_words() -> None:
    with pytest.raises(LoginFailed) as caught:
        oauth.read_redirect(f"state={STATE}&error=not+a+code+%3Cb%3E", STATE)
    assert caught.value.code is None
    assert "not a code" in caught.value.message


def test_values_are_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        oauth.pkce(bytes(64)).challenge = "x"  # type: ignore[misc]
