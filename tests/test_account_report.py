"""What `chatmock info` says of the account: labels, bars, times, and never a secret."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from chatmock import jsontext
from chatmock.account_report import AccountReport, as_json, as_text, plan_name, report, usage_bar
from chatmock.durations import distance, duration, instant, limit_label, rfc3339
from chatmock.model import Model
from chatmock.providers.chatgpt.contract import AUTH_CLAIM
from chatmock.providers.chatgpt.tokens import Tokens
from chatmock.providers.chatgpt.usage_windows import Credits, Snapshot, UsageWindows, Window
from chatmock.settings import Secret

NOW = 1_785_060_000.0
HOUR, DAY = 3600, 86400


def jwt(claims: dict[str, Any], signature: str = "c2ln") -> Secret:
    middle = base64.urlsafe_b64encode(jsontext.dumps(claims)).decode().rstrip("=")
    return Secret(f"eyJhbGciOiJub25lIn0.{middle}.{signature}")


def login(**more: Any) -> Tokens:
    identity = {
        "email": "me@example.org",
        AUTH_CLAIM: {"chatgpt_subscription_active_until": "2026-08-01T00:00:00Z"},
    }
    access = {"exp": NOW + 3 * DAY + 4 * HOUR + 5 * 60, AUTH_CLAIM: {"chatgpt_plan_type": "plus"}}
    given = {
        "account_id": "acct-1",
        "last_refresh": "2026-07-26T08:00:00Z",
        "refresh_token": Secret("r"),
        **more,
    }
    return Tokens(**{"id_token": jwt(identity), "access_token": jwt(access), **given})


def limits(*windows: Window, at: float = NOW - 60, **more: Any) -> Snapshot:
    return Snapshot(UsageWindows(windows, **more), at)


def said(
    tokens: Tokens | None = None, windows: Snapshot | None = None, models: tuple[Model, ...] = (), **more: Any
) -> AccountReport:
    return report(
        tokens or login(), "/home/me/auth.json", more.pop("foreign", False), windows, models, NOW, **more
    )


def local(at: float) -> str:
    return f"<{rfc3339(at)}>"


def lines(given: AccountReport, colour: bool = False) -> list[str]:
    return [line.strip() for line in as_text(given, colour, local).splitlines()]


def values(given: AccountReport) -> dict[str, Any]:
    return jsontext.loads_object(as_json(given))


def signed_out(trouble: str = "") -> AccountReport:
    return report(None, "/x", False, None, (), NOW, trouble)


def test_signed_out_says_so_and_what_to_do() -> None:
    assert lines(signed_out()) == ["Account", "Not signed in", "Run `chatmock login` to sign in."]
    account = values(signed_out())["account"]
    assert (account["signed_in"], account["message"]) == (False, "Not signed in")
    assert "chatmock login" in account["hint"]


def test_signed_in_tells_whose_login_it_is_and_how_long_it_lasts() -> None:
    assert lines(said())[:9] == [
        "Account",
        "Signed in with ChatGPT",
        "Login: me@example.org",
        "Plan: Plus",
        "Plan until: <2026-08-01T00:00:00Z>",
        "Account ID: acct-1",
        "Access token: expires in 3d4h (<2026-07-29T14:05:00Z>)",
        "Last refresh: 2h ago (<2026-07-26T08:00:00Z>)",
        "File: /home/me/auth.json",
    ]


def test_json_tells_the_same() -> None:
    assert values(said())["account"] == {
        "signed_in": True,
        "provider": "chatgpt",
        "login": "me@example.org",
        "plan": "Plus",
        "account_id": "acct-1",
        "message": "Signed in with ChatGPT",
        "hint": None,
        "access_token_expires_at": "2026-07-29T14:05:00Z",
        "last_refresh": "2026-07-26T08:00:00Z",
        "plan_until": "2026-08-01T00:00:00Z",
        "read_only": False,
        "login_needed": None,
        "file": "/home/me/auth.json",
    }


def test_what_the_tokens_do_not_say_is_left_out() -> None:
    bare = said(Tokens(Secret("no jwt"), Secret("no jwt")))
    assert lines(bare)[:5] == ["Account", "Signed in with ChatGPT", "Login: unknown", "Plan: unknown", "File: /home/me/auth.json"]  # fmt: skip
    account = values(bare)["account"]
    assert [account[key] for key in ("login", "plan", "account_id", "access_token_expires_at", "last_refresh")] == [None] * 5  # fmt: skip


def test_the_limits_tell_the_plan_when_the_tokens_do_not() -> None:
    tokens = login(access_token=Secret("no jwt"))
    assert "Plan: Pro" in lines(said(tokens, limits(Window("", "primary", 1.0), plan="pro")))


@pytest.mark.parametrize(
    ("plan", "name"),
    [("plus", "Plus"), ("pro", "Pro"), ("free", "Free"), ("team", "Team"), ("ENTERPRISE", "Enterprise"),
     ("business", "Business"), ("edu", "Edu"), ("self_serve_business", "Self Serve Business"), ("go", "Go")],
)  # fmt: skip
def test_plans_have_the_names_people_know(plan: str, name: str) -> None:
    assert plan_name(plan) == name


def test_an_expired_token_says_so() -> None:
    tokens = login(access_token=jwt({"exp": NOW - 2 * HOUR}))
    assert "Access token: expired 2h ago (<2026-07-26T08:00:00Z>)" in lines(said(tokens))


@pytest.mark.parametrize("exp", [1e300, -5, "soon", True])
def test_an_expiry_that_is_no_time_is_left_out(exp: object) -> None:
    given = said(login(access_token=jwt({"exp": exp})))
    assert not any(line.startswith("Access token") for line in lines(given))
    assert values(given)["account"]["access_token_expires_at"] is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [("refresh_token_reused", "another program has used"), ("refresh_token_invalidated", "revoked"),
     ("refresh_token_expired", "too old"), ("invalid_grant", "does not accept"), ("something_new", "")],
)  # fmt: skip
def test_a_dead_login_says_why_and_what_to_do(error: str, reason: str) -> None:
    given = said(login(login_needed=error))
    (line,) = [line for line in lines(given) if line.startswith("Log in again")]
    assert "chatmock login" in line
    assert reason in line
    assert error in line
    account = values(given)["account"]
    assert (account["login_needed"], account["hint"]) == (error, line)


def test_another_programs_login_is_only_read() -> None:
    given = said(foreign=True)
    assert any("only reads it and will not refresh it" in line for line in lines(given))
    assert values(given)["account"]["read_only"] is True
    expired = said(login(access_token=jwt({"exp": NOW - 1})), foreign=True)
    assert any("has expired: run `codex` once" in line for line in lines(expired))


def test_trouble_is_told_in_both_forms() -> None:
    for given in (signed_out("broken"), said(trouble="broken")):
        assert "broken" in lines(given)
        assert values(given)["account"]["hint"].startswith("broken")


def test_without_a_snapshot_a_request_must_be_made_first() -> None:
    given = said()
    assert any("make a request first" in line for line in lines(given))
    usage = values(given)["usage_limits"]
    assert (usage["last_updated"], usage["windows"]) == (None, [])
    assert "make a request first" in usage["message"]


@pytest.mark.parametrize(
    ("used", "full", "partial", "colour", "numbers"),
    [
        (0.0, 0, 0, 92, "  0.0% used | 100.0% left"),
        (49.9, 14, 1, 92, " 49.9% used |  50.1% left"),
        (50.0, 15, 0, 94, " 50.0% used |  50.0% left"),
        (75.0, 22, 0, 93, " 75.0% used |  25.0% left"),
        (90.0, 27, 0, 91, " 90.0% used |  10.0% left"),
        (100.0, 30, 0, 91, "100.0% used |   0.0% left"),
        (104.0, 30, 0, 91, "104.0% used |   0.0% left"),
    ],
)
def test_the_bar_and_its_colours(used: float, full: int, partial: int, colour: int, numbers: str) -> None:
    bar = "█" * full + "▓" * partial + "░" * (30 - full - partial)
    given = said(windows=limits(Window("", "primary", used, 300)))
    assert f"[{bar}] {numbers}" in lines(given)
    assert f"[\x1b[{colour}m{bar}\x1b[0m] {numbers}" in lines(given, colour=True)
    assert "\x1b" not in as_text(given, False, local)


def test_a_last_segment_shows_only_over_half() -> None:
    assert usage_bar(1.6, False) == "[░" + "░" * 29 + "]"
    assert usage_bar(1.7, False) == "[▓" + "░" * 29 + "]"


def test_windows_are_labelled_by_their_length_and_family() -> None:
    snapshot = limits(
        Window("", "primary", 12.0, 300, 2 * HOUR + 13 * 60 + 60),
        Window("", "secondary", 1.0, 10080, None, NOW + 2 * DAY + 5),
        Window("bengalfox", "primary", 3.0, 4320),
        Window("other", "secondary", 3.0),
        names={"bengalfox": "Spark"},
        credits=Credits(True, "12.50", False),
    )
    found = lines(said(windows=snapshot))
    start = found.index("Usage limits")
    assert [line for line in found[start + 1 :] if not line.startswith("[")][:8] == [
        "Last updated: <2026-07-26T09:59:00Z>",
        "5 hour limit",
        "Resets in: 2h13m at <2026-07-26T12:13:00Z>",
        "Weekly limit",
        "Resets in: 2d at <2026-07-28T10:00:05Z>",
        "Spark 3 day limit",
        "other Secondary limit",
        "Credits: 12.50",
    ]
    usage = values(said(windows=snapshot))["usage_limits"]
    assert [each["key"] for each in usage["windows"]] == ["primary", "secondary", "bengalfox-primary", "other-secondary"]  # fmt: skip
    assert usage["windows"][0] == {
        "key": "primary",
        "label": "5 hour limit",
        "used_percent": 12.0,
        "remaining_percent": 88.0,
        "window_minutes": 300,
        "resets_in_seconds": 2 * HOUR + 13 * 60,
        "resets_in": "2h13m",
        "resets_at": "2026-07-26 12:13 UTC",
        "resets_at_rfc3339": "2026-07-26T12:13:00Z",
        "has_reset": False,
    }
    assert usage["last_updated"] == "2026-07-26 09:59 UTC"
    assert usage["last_updated_rfc3339"] == "2026-07-26T09:59:00Z"
    assert usage["credits"] == {"has_credits": True, "balance": "12.50", "unlimited": False}


@pytest.mark.parametrize(
    ("credits_", "line"),
    [(Credits(True, None, True), "Credits: unlimited"), (Credits(True, None, None), "Credits: some"),
     (Credits(False, "0", False), None), (None, None)],
)  # fmt: skip
def test_credits_are_shown_where_there_are_any(credits_: Credits | None, line: str | None) -> None:
    found = lines(said(windows=limits(Window("", "primary", 1.0), credits=credits_)))
    assert [each for each in found if each.startswith("Credits")] == ([] if line is None else [line])


def test_a_window_that_was_reset_since_is_not_shown_as_current() -> None:
    snapshot = limits(
        Window("", "primary", 91.0, 300, 60), Window("", "secondary", 40.0, 10080, HOUR), at=NOW - 120
    )
    text = lines(said(windows=snapshot))
    assert "Was reset at <2026-07-26T09:59:00Z>, since the last update; 91.0% was used before." in text
    assert not any("91.0% used" in line for line in text)
    assert any(" 40.0% used" in line for line in text)
    first, second = values(said(windows=snapshot))["usage_limits"]["windows"]
    assert (first["used_percent"], first["remaining_percent"], first["has_reset"]) == (None, None, True)
    assert (first["resets_in_seconds"], first["resets_in"]) == (0, "0m")
    assert (second["used_percent"], second["has_reset"]) == (40.0, False)


def test_models_are_listed_with_their_efforts() -> None:
    given = said(models=(Model("gpt-a", efforts=("low", "high")), Model("gpt-b")))
    assert lines(given)[-3:] == ["Models", "gpt-a (low, high)", "gpt-b"]
    assert values(given)["available_models"] == {
        "live": False,
        "message": None,
        "models": [
            {"slug": "gpt-a", "reasoning_efforts": ["low", "high"]},
            {"slug": "gpt-b", "reasoning_efforts": []},
        ],
    }
    assert values(said())["available_models"]["message"]


def test_texts_from_elsewhere_cannot_steer_the_terminal() -> None:
    tokens = login(id_token=jwt({"email": "\x1b[2Jme\n\u202e"}), account_id="a\x07", login_needed="\x9bx")
    windows = limits(Window("\x1b", "primary", 1.0), plan="\x1b]0;x\x07", names={"\x1b": "n\r"})
    text = as_text(said(tokens, windows, (Model("m\x1b"),), trouble="t\x1b"), False, local)
    assert {each for each in text if not each.isprintable()} == {"\n"}
    assert "\ufffd[2Jme" in text


def test_no_secret_is_in_any_form_whole_or_in_part() -> None:
    access, identity, refresh, key = (secrets.token_urlsafe(48) for _ in range(4))
    tokens = login(
        access_token=jwt({"exp": NOW + 9, AUTH_CLAIM: {"chatgpt_plan_type": "plus"}, "jti": "x"}, access),
        id_token=jwt({"email": "me@example.org", "sub": "y"}, identity),
        refresh_token=Secret(refresh),
        login_needed="invalid_grant",
        more={"OPENAI_API_KEY": key},
        more_tokens={"other": key},
    )
    given = said(tokens, limits(Window("", "primary", 1.0)), (Model("m"),), foreign=True)
    shown = as_text(given, True, local) + as_json(given).decode() + repr(given) + repr(attrs.asdict(given))
    middles = [token.reveal().split(".")[1] for token in (tokens.access_token, tokens.id_token)]
    for secret in (access, identity, refresh, key, *middles):
        parts = [secret[at : at + 8] for at in range(len(secret) - 7)]
        assert parts
        assert [part for part in parts if part in shown] == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0m"), (0, "0m"), (1, "under 1m"), (59.9, "under 1m"), (60, "1m"), (3600, "1h"), (3725, "1h2m"),
     (DAY, "1d"), (DAY + 120, "1d2m"), (2 * DAY + 3 * HOUR + 4 * 60 + 5, "2d3h4m")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_distances_have_two_parts() -> None:
    assert distance(NOW + 3 * DAY + 4 * HOUR + 300, NOW) == "in 3d4h"
    assert distance(NOW + DAY + 300, NOW) == "in 1d"
    assert distance(NOW - 2 * HOUR, NOW) == "2h ago"
    assert distance(NOW, NOW) == "0m ago"


@pytest.mark.parametrize(
    ("minutes", "label"),
    [(300, "5 hour limit"), (299, "5 hour limit"), (10080, "Weekly limit"), (10079, "Weekly limit"),
     (4320, "3 day limit"), (43200, "30 day limit"), (1440, "1 day limit"), (90, "90 minute limit"),
     (60, "1 hour limit"), (1, "1 minute limit"), (1500, "25 hour limit")],
)  # fmt: skip
def test_labels_of_limits(minutes: int, label: str) -> None:
    assert limit_label(minutes) == label


@pytest.mark.parametrize(
    ("text", "at"),
    [("2026-07-26T10:00:00Z", NOW), ("2026-07-26T12:00:00.5+02:00", NOW + 0.5), ("2026-07-26T10:00:00", NOW),
     ("", None), ("soon", None), ("9999-12-31T00:00:00Z", None), ("1960-01-01", None)],
)  # fmt: skip
def test_instants(text: str, at: float | None) -> None:
    assert instant(text) == at


def test_every_time_of_the_text_is_written_by_the_reader() -> None:
    asked: list[float] = []
    note: Callable[[float], str] = lambda at: asked.append(at) or "then"  # noqa: E731
    text = as_text(said(windows=limits(Window("", "primary", 1.0, 300, HOUR))), False, note)
    assert len(asked) == 5
    assert "2026" not in text
