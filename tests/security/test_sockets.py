"""Who may open a WebSocket, and what it may not get around (spec security.md, P2, P10 to P13, P26)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.ssl import CertificateOptions

from chatmock.keys.database import KEYS_FILE
from chatmock.keys.store import KeyStore
from chatmock.settings import Secret
from tests.conftest import Daemon, Start, until
from tests.keys.making import entry_of
from tests.sockets import open_socket, shake_hands

TOKEN = "sk-chatmock-mine"


@pytest.fixture
def demo(start: Start) -> Daemon:
    return start(provider="demo")


async def status(daemon: Daemon, **changed: Any) -> int:
    return int((await shake_hands(daemon, **changed)).split()[1])


def sockets(daemon: Daemon) -> int:
    return len(daemon.service._responses.sockets.open)


async def test_the_answer_to_a_handshake(demo: Daemon) -> None:
    answer = await shake_hands(
        demo,
        Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits",
        Sec_WebSocket_Protocol="chat, superchat",
        X_Request_Id="mine-1",
    )
    head = answer.lower().split(b"\r\n")
    assert head[0] == b"http/1.1 101 switching protocols"
    assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in head, "of RFC 6455"
    assert b"x-request-id: mine-1" in head
    assert not any(line.startswith((b"sec-websocket-ext", b"sec-websocket-prot")) for line in head)
    assert b"autobahn" not in answer.lower()
    await until(lambda: sockets(demo) == 0)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"Upgrade": None}, 405),
        ({"Upgrade": "h2c"}, 405),
        ({"Connection": "keep-alive"}, 405),
        ({"Sec_WebSocket_Version": None}, 400),
        ({"Sec_WebSocket_Version": "8"}, 400),
        ({"Sec_WebSocket_Key": None}, 400),
        ({"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ"}, 400),
        ({"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="}, 400),
        ({"line": "GET /v1/responses HTTP/1.0"}, 400),
        ({"line": "HEAD /v1/responses HTTP/1.1"}, 400),
        ({"Content_Length": "2", "body": "hi"}, 400),
        ({"Transfer_Encoding": "chunked", "body": "2\r\nhi\r\n0\r\n\r\n"}, 400),
        ({"line": "GET /v1/responses/resp_0 HTTP/1.1"}, 404),
        ({"line": "GET /v1/models HTTP/1.1"}, 200),
        ({"line": "POST /v1/responses HTTP/1.1"}, 400),
    ],
)
async def test_a_handshake_that_is_none_is_answered_in_http(
    demo: Daemon, changed: dict[str, Any], expected: int
) -> None:
    assert await status(demo, **changed) == expected


async def test_what_is_refused_says_what_to_do(demo: Daemon) -> None:
    plain = await shake_hands(demo, Upgrade=None)
    assert b"\r\nupgrade: websocket\r\n" in plain.lower()
    assert b"\r\nallow: post\r\n" in plain.lower()
    assert (
        b"\r\nsec-websocket-version: 13\r\n" in (await shake_hands(demo, Sec_WebSocket_Version="8")).lower()
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Origin": "http://localhost.example.org"},
        {"Origin": "https://localhost"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "websocket"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
async def test_a_page_of_another_origin_never_gets_through(demo: Daemon, changed: dict[str, Any]) -> None:
    answer = await shake_hands(demo, **changed)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"origin_not_allowed" in answer
    assert demo.service._responses._sockets is None, "nothing of a socket was begun"


async def test_pages_that_may(start: Start) -> None:
    daemon = start(provider="demo", cors_origins=("https://chat.lan",))
    assert await status(daemon, Origin="https://chat.lan") == 101
    assert await status(daemon, Origin="http://localhost") == 101
    assert await status(daemon, Origin="https://chat.lan.example.org") == 403


async def test_another_name_is_not_answered(demo: Daemon) -> None:
    assert await status(demo, Host="attacker.example.org") == 421


async def test_a_key_is_needed_before(start: Start) -> None:
    daemon = start(provider="demo", require_auth=True, access_token=Secret("s3cret"))
    for shown in (None, "Bearer wrong", "Bearer "):
        answer = await shake_hands(daemon, Authorization=shown)
        assert answer.startswith(b"HTTP/1.1 401 ")
    assert await status(daemon, Authorization="Bearer s3cret") == 101


async def test_tls_is_needed_before(start: Start) -> None:
    daemon = start(provider="demo", require_tls=True)
    assert await status(daemon) == 403


async def test_over_tls(start: Start, tls_files: dict[str, Any]) -> None:
    daemon = start(provider="demo", require_tls=True, **tls_files)
    client = await open_socket(daemon, tls=CertificateOptions(verify=False))
    answer = await client.ask(model="demo")
    assert answer["status"] == "completed"
    client.leave(rudely=False)
    await until(lambda: client.closed is not None)
    await until(lambda: sockets(daemon) == 0)


async def test_a_revoked_key_ends_it_at_the_next_request(start: Start, home: Path) -> None:
    store = KeyStore(home / ".chatgpt-local" / KEYS_FILE)
    store.add(entry_of("mine", TOKEN.encode()))
    daemon = start(provider="demo", require_auth=True, access_token=Secret("s3cret"))
    client = await open_socket(daemon, {"Authorization": f"Bearer {TOKEN}"})
    await client.ask(model="demo")
    store.revoke("mine", 2_000.0)
    daemon.service._keys.load()
    error = await client.refused(model="demo")
    assert (error["status"], error["error"]["code"]) == (401, "invalid_api_key")
    await until(lambda: client.closed is not None)


async def test_a_key_counts_as_elsewhere(start: Start, home: Path) -> None:
    store = KeyStore(home / ".chatgpt-local" / KEYS_FILE)
    store.add(entry_of("mine", TOKEN.encode(), models=("demo-t*",)))
    daemon = start(provider="demo", require_auth=True, access_token=Secret("s3cret"))
    client = await open_socket(daemon, {"Authorization": f"Bearer {TOKEN}"})
    for more in ({}, {"generate": False}):
        error = await client.refused(model="demo", **more)
        assert (error["status"], error["error"]["code"]) == (403, "model_not_allowed")
    client.leave()
    await client.lost


async def test_it_counts_as_a_connection_until_it_is_closed(start: Start) -> None:
    daemon = start(provider="demo", max_connections=2)
    first, second = await open_socket(daemon), await open_socket(daemon)
    with pytest.raises(Exception, match=r"closed|lost"):
        await open_socket(daemon)
    second.leave()
    await second.lost
    await until(lambda: sockets(daemon) == 1)
    third = await open_socket(daemon)
    for client in (first, third):
        await client.ask(model="demo")
        client.leave(rudely=False)
        await client.lost


async def test_frames_that_come_with_the_handshake_are_read(demo: Daemon) -> None:
    text = b'{"type":"nothing"}'
    frame = bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text
    answer = await shake_hands(demo, body=frame.decode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (bytes([0x81, 2]) + b"{}", 1002),  # not masked
        (bytes([0xC1, 0x82, 0, 0, 0, 0]) + b"{}", 1002),  # compressed
        (bytes([0x83, 0x80, 0, 0, 0, 0]), 1002),  # of an unknown kind
        (bytes([0x09, 0x80, 0, 0, 0, 0]), 1002),  # a ping in pieces
        (bytes([0x80, 0x80, 0, 0, 0, 0]), 1002),  # goes on from nothing
        (bytes([0x81, 0x82, 0, 0, 0, 0]) + b"\xff\xff", 1007),  # no UTF-8
        (bytes([0x81, 0xFF]) + b"\x7f" + b"\xff" * 7 + bytes(4), 1009),
    ],
)
async def test_frames_that_are_none_end_it(demo: Daemon, frame: bytes, code: int) -> None:
    client = await open_socket(demo)
    client.transport.write(frame)
    await until(lambda: client.closed is not None)
    assert client.closed is not None
    assert client.closed[0] == code
    await until(lambda: sockets(demo) == 0)
