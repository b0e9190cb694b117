"""Which web pages may ask."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import chatmock
from chatmock.admission.origins import EXPOSED, Origins
from chatmock.errors import Kind, Refusal
from tests.admission.heads import head

APP = "https://app.lan"
OWN = b"http://127.0.0.1:8000"
JSON = ("Content-Type", "application/json")
NAVIGATION = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]


def kind(
    origins: Origins, *fields: tuple[str, str], method: str = "POST", target: str = "/v1/models"
) -> Kind | None:
    try:
        origins.check(head(*fields, method=method, target=target), OWN)
    except Refusal as refusal:
        return refusal.kind
    return None


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ([("Origin", APP)], True),
        ([("Origin", APP), ("Sec-Fetch-Site", "cross-site")], True),
        ([("Origin", OWN.decode())], True),
        ([("Origin", OWN.decode()), ("Sec-Fetch-Site", "same-origin")], True),
        ([("Sec-Fetch-Site", "same-origin")], True),
        ([("Sec-Fetch-Site", "none")], True),
        ([("Sec-Fetch-Mode", "cors")], True),  # Node's fetch
        ([("Origin", "https://evil.example")], False),
        ([("Origin", "https://evil.example"), ("Sec-Fetch-Site", "same-origin")], False),
        ([("Origin", "null")], False),
        ([("Origin", "NULL")], False),
        ([("Origin", "")], False),
        ([("Origin", "*")], False),
        ([("Origin", "https://app.lan:443")], False),
        ([("Origin", "https://app.lan.evil.example")], False),
        ([("Origin", "http://app.lan")], False),
        ([("Origin", "HTTPS://APP.LAN")], False),
        ([("Origin", f"{APP} https://evil.example")], False),
        ([("Origin", APP), ("Origin", "https://evil.example")], False),
        ([("Origin", APP), ("Origin", APP)], False),
        ([("Origin", "http://127.0.0.1")], False),
        ([("Origin", "https://127.0.0.1:8000")], False),
        ([("Origin", "http://localhost:8000")], False),
        ([("Sec-Fetch-Site", "cross-site")], False),
        ([("Sec-Fetch-Site", "Same-Site")], False),
        ([("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")], False),
        ([("Sec-Fetch-Site", "else")], False),
        ([("Sec-Fetch-Site", "")], False),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_pages(fields: list[tuple[str, str]], allowed: bool, method: str) -> None:
    expected = None if allowed else Kind.FORBIDDEN
    assert kind(Origins(frozenset({APP})), *fields, JSON, method=method) is expected


def test_no_page_at_all_by_default() -> None:
    assert kind(Origins(), ("Origin", APP), JSON) is Kind.FORBIDDEN


def test_all_pages_but_those_of_nobody() -> None:
    everybody = Origins(frozenset({"*"}))
    assert kind(everybody, ("Origin", "https://evil.example"), JSON) is None
    assert kind(everybody, ("Origin", "null"), JSON) is Kind.FORBIDDEN
    assert kind(everybody, ("Sec-Fetch-Site", "cross-site"), JSON) is Kind.FORBIDDEN  # a form
    assert everybody.grant(head(("Origin", "https://evil.example"))) == b"*"
    assert everybody.grant(head(("Origin", "null"))) is None


@pytest.mark.parametrize("kind_of", [[], ["text/plain"], ["application/x-www-form-urlencoded"], ["multipart/form-data; boundary=x"],
                                     ["application/json, text/plain"], ["application/jsonp"], ["application/json", "text/plain"],
                                     ["text/plain;application/json"]])  # fmt: skip
@pytest.mark.parametrize(
    "browser", [("Origin", APP), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")]
)
def test_browsers_send_json_as_such(kind_of: list[str], browser: tuple[str, str]) -> None:
    origins = Origins(frozenset({APP}))
    assert kind(origins, browser, *(("Content-Type", each) for each in kind_of)) is Kind.UNSUPPORTED_MEDIA
    assert kind(origins, browser, ("Content-Type", "Application/JSON; charset=utf-8")) is None
    assert kind(origins, browser, method="GET") is None


@pytest.mark.parametrize("kind_of", ["text/plain", "application/x-www-form-urlencoded"])
def test_others_send_what_they_like(kind_of: str) -> None:
    assert kind(Origins(), ("Content-Type", kind_of)) is None
    assert kind(Origins()) is None


@pytest.mark.parametrize(
    ("method", "target", "more", "passes"),
    [
        ("GET", "/", [], True),
        ("GET", "/health", [], True),
        ("GET", "/v1/models", [], False),
        ("POST", "/", [JSON], False),
        ("GET", "/", [("Origin", "https://evil.example")], False),
        ("GET", "/", [("Sec-Fetch-Dest", "iframe")], False),
    ],
)
def test_a_link_leads_to_the_first_page_only(
    method: str, target: str, more: list[tuple[str, str]], passes: bool
) -> None:
    """A script's request for it, a frame and a form are refused like everywhere."""
    fields = [("Sec-Fetch-Site", "cross-site"), *NAVIGATION, *more]
    assert (kind(Origins(), *fields, method=method, target=target) is None) is passes
    assert kind(Origins(), ("Sec-Fetch-Site", "cross-site"), method="GET", target="/") is Kind.FORBIDDEN


def test_what_browsers_are_told() -> None:
    origins = Origins(frozenset({APP}))
    allowed = origins.headers(head(("Origin", APP)))
    assert allowed[b"access-control-allow-origin"] == APP.encode()
    assert b"retry-after" in allowed[b"access-control-expose-headers"]
    for fields in ([], [("Origin", "https://evil.example")], [("Origin", "null")]):
        assert origins.headers(head(*fields)) == {b"vary": b"Origin"}
        assert origins.preflight(head(*fields)) == {}
    told = origins.preflight(head(("Origin", APP), ("Access-Control-Request-Private-Network", "true")))
    assert not any(b"private" in name or b"credentials" in name for name in told)
    names = told[b"access-control-allow-headers"].decode().split(", ")
    assert {"authorization", "content-type", "x-api-key", "anthropic-version", "anthropic-beta"} <= set(names)
    assert len(names) == len(set(names))
    assert "*" not in names


def test_the_sdk_may_send_all_its_headers() -> None:
    """Those that the OpenAI client at hand sends by itself."""
    import openai

    client = openai.OpenAI(api_key="k", base_url="http://127.0.0.1:1")
    request = client._build_request(openai._models.FinalRequestOptions(method="post", url="/x", json_data={}))
    simple = {"accept", "host", "connection", "content-length", "accept-encoding"}
    told = Origins(frozenset({APP})).preflight(head(("Origin", APP)))[b"access-control-allow-headers"]
    assert {name.lower() for name in request.headers} - simple <= set(told.decode().split(", "))


def test_a_page_may_read_every_header_of_our_own() -> None:
    sources = [
        path.read_text() for path in Path(chatmock.__file__).parent.rglob("*.py") if path.name != "origins.py"
    ]
    ours = {
        name.lower()
        for source in sources
        for name in re.findall(r"[\"'](x-chatmock-[a-z-]+)[\"']", source, re.IGNORECASE)
    }
    assert len(ours) > 8
    ours.discard("x-chatmock-hop")  # which requests have
    assert ours <= {name.strip() for name in EXPOSED.decode().split(",")}
