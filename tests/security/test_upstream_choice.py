"""No client chooses where a request goes, and nothing of one upstream goes to another (spec security.md, P30-P33)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatmock.dialects import DIALECTS
from chatmock.settings import Declaration, SettingError, Settings, declarations
from chatmock.settings.addresses import BaseUrl
from tests.conftest import Start
from tests.security.fault_table import KEY, answer, settings_of
from tests.security.verdicts import ASKING, CLEAN, verdict
from tests.upstreams.hostile import COOKIE, HostileServer

DIALECT = pytest.mark.parametrize("dialect", [dialect.name for dialect in DIALECTS])
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
SENT = {
    "accept",
    "authorization",
    "content-length",
    "content-type",
    "host",
    "user-agent",
}
"""Every header that an upstream gets."""


def fields(head: bytes) -> dict[str, str]:
    pairs = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:]]
    assert len({name.lower() for name, _ in pairs}) == len(pairs), "a header twice"
    return {name.lower(): value for name, value in pairs}


WISHES = {
    "api_base": "{elsewhere}",
    "base_url": "{elsewhere}",
    "api_key": "sk-other",
    "url": "{elsewhere}",
    "host": "elsewhere.example",
    "provider_url": "{elsewhere}",
    "extra_headers": {"X-Evil": "1", "Host": "elsewhere.example"},
    "headers": {"X-Evil": "1"},
    "extra_body": {"base_url": "{elsewhere}"},
    "extra_query": {"x": "1"},
    "custom_llm_provider": "openai",
    "path": "/../../etc/passwd",
    "user": "a\r\nX-Evil: 1",
}
"""Fields by which clients of other gateways choose where their request goes."""


@STREAM
@DIALECT
async def test_no_field_of_a_body_chooses_the_upstream(
    hostile: HostileServer, elsewhere: HostileServer, start: Start, dialect: str, stream: bool
) -> None:
    """`elsewhere` fails the test when anybody comes."""
    daemon = start(**settings_of(hostile.url))
    wishes = json.loads(json.dumps(WISHES).replace("{elsewhere}", elsewhere.url))
    asking = ASKING[dialect].request("fine.first", stream, **wishes)
    answered, _ = await answer(daemon.url, hostile, asking, "fine.first")
    assert verdict(answered, dialect, stream) in (CLEAN, 400)
    for head, _ in hostile.asked:
        check_head(head, hostile)


@STREAM
@DIALECT
@pytest.mark.parametrize(
    "model",
    [
        "fine.first/../../../admin",
        "../fine.first",
        "fine.first?x=1#y",
        "fine.first\r\nX-Evil: 1",
        "fine.first HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n",
        "fine.first\0",
        "http://elsewhere.example/v1",
        "//elsewhere.example",
        "fine.first%0d%0aX-Evil:%201",
        "fine.first.\u2028\ud83d\ude00",
    ],
)
async def test_no_model_name_chooses_the_path(
    hostile: HostileServer, start: Start, model: str, dialect: str, stream: bool
) -> None:
    daemon = start(**settings_of(hostile.url))
    hostile.anything = True
    answered, _ = await answer(daemon.url, hostile, ASKING[dialect].request(model, stream), model)
    assert verdict(answered, dialect, stream) in (CLEAN, 400, 404)
    for head, _ in hostile.asked:
        check_head(head, hostile)


@DIALECT
@pytest.mark.parametrize(
    "field",
    [
        "X-Upstream: http://elsewhere.example",
        "X-Api-Base: http://elsewhere.example",
        "X-Forwarded-Host: elsewhere.example",
        "X-Original-URL: /admin",
        "Cookie: a=b",
        "OpenAI-Organization: org-evil",
        "X-Session-Id: a",
        "Accept-Encoding: gzip",
        "X-Stainless-Lang: python",
    ],
)
async def test_no_header_of_a_client_goes_on(
    hostile: HostileServer, start: Start, field: str, dialect: str
) -> None:
    daemon = start(**settings_of(hostile.url))
    asking = ASKING[dialect].request("fine.first", stream=False)
    asking = asking.replace(b"\r\n\r\n", f"\r\n{field}\r\n\r\n".encode(), 1)
    answered, _ = await answer(daemon.url, hostile, asking, "fine.first")
    assert verdict(answered, dialect, stream=False) == CLEAN
    for head, body in hostile.asked:
        check_head(head, hostile)
        assert b"client-key" not in head + body


def check_head(head: bytes, server: HostileServer) -> None:
    """It went where the settings say, with the headers that every request has, and with the owner's key."""
    assert head.split(b"\r\n")[0] in (
        b"POST /v1/chat/completions HTTP/1.1",
        b"GET /v1/models HTTP/1.1",
    )
    sent = fields(head)
    assert set(sent) <= SENT
    assert sent["host"] == f"localhost:{server.port.getHost().port}"
    assert sent["authorization"] == f"Bearer {KEY}"


@DIALECT
async def test_cookies_are_not_kept(hostile: HostileServer, start: Start, dialect: str) -> None:
    daemon = start(**settings_of(hostile.url))
    for stream in (False, True, False):
        asking = ASKING[dialect].request("set_cookie.first", stream)
        answered, received = await answer(daemon.url, hostile, asking, "set_cookie.first")
        assert verdict(answered, dialect, stream) == CLEAN
        assert COOKIE not in received
    assert len(hostile.chats) == 3
    assert not any(b"cookie" in head.lower() or COOKIE in body for head, body in hostile.asked)


async def test_a_list_of_models_that_has_moved_is_not_looked_for(
    hostile: HostileServer, elsewhere: HostileServer, start: Start
) -> None:
    """`elsewhere` fails the test when anybody comes."""
    hostile.moved = True
    daemon = start(**settings_of(hostile.url))
    asking = ASKING["openai-chat"].request("fine.first", stream=False)
    answered, _ = await answer(daemon.url, hostile, asking, "fine.first")
    assert answered.status == 200
    assert any(head.startswith(b"GET") for head, _ in hostile.asked)


async def test_no_proxy_is_asked(
    hostile: HostileServer, elsewhere: HostileServer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`elsewhere` fails the test when anybody comes."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, elsewhere.url)
    daemon = start(**settings_of(hostile.url))
    asking = ASKING["openai-chat"].request("fine.first", stream=False)
    answered, _ = await answer(daemon.url, hostile, asking, "fine.first")
    assert answered.status == 200


@pytest.mark.parametrize(
    "setting",
    [each for each in declarations() if isinstance(each.kind, BaseUrl)],
    ids=lambda each: each.name,
)
def test_plain_http_goes_nowhere_beyond(setting: Declaration) -> None:
    """The owner's own servers alone may stand in the local network."""
    assert Settings(**{setting.name: "http://127.0.0.1:1/v1"})
    beyond = ["http://8.8.8.8/v1", "http://api.example.com/v1"]
    local = ["http://192.168.1.9/v1", "http://box.local/v1"]
    owners = ("compatible_base_url", "ollama_upstream")
    for url in beyond if setting.name in owners else [*beyond, *local]:
        with pytest.raises(SettingError, match="http"):
            Settings(**{setting.name: url})


@pytest.mark.parametrize("bad", ["a\r\nX-Evil: 1", "a\n", "a\0", "a\x7f", "a\u00e4", "a\u2028b"])
@pytest.mark.parametrize(
    "setting", [each for each in declarations() if each.secret], ids=lambda each: each.name
)
def test_what_becomes_a_header_is_visible_ascii(setting: Declaration, bad: str) -> None:
    for value in [{"x-field": bad}, {bad: "x"}] if setting.name == "qwen_headers" else [bad]:
        given: dict[str, Any] = {setting.name: value}
        with pytest.raises(SettingError):
            Settings(**given)
