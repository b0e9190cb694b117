"""P1: nobody opens the daemon to the network by mistake."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.logger import formatEvent, globalLogPublisher

from chatmock.admission.client import Key
from chatmock.keys.database import KEYS_FILE
from chatmock.keys.entries import Entry, digest_of
from chatmock.keys.store import KeyStore
from chatmock.service import make_service
from chatmock.settings import Secret, SettingError, Settings
from tests.conftest import Start, until
from tests.security.saying import ask

EVERYWHERE: Any = [
    {"host": "0.0.0.0"},
    {"endpoints": ("tcp:0",)},
    {"endpoints": ("unix:/nowhere/x", r"tcp6:0:interface=\:\:")},
    {"trusted_proxies": (ip_network("127.0.0.1"),)},
]
KEYED = ("Authorization", "Bearer k")


@pytest.mark.parametrize("where", EVERYWHERE)
def test_it_does_not_start_open(where: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="CHATMOCK_ALLOW_OPEN"):
        make_service(Settings(port=0, **where), reactor, lambda _: None)


def test_it_does_not_believe_proxy_headers() -> None:
    where: Any = {"endpoints": ("haproxy:tcp:0:interface=127.0.0.1",)}
    with pytest.raises(SettingError, match="haproxy: believes"):
        make_service(Settings(access_token=Secret("k" * 20), **where), reactor, lambda _: None)


def test_it_does_not_start_shut() -> None:
    with pytest.raises(SettingError, match="CHATMOCK_REQUIRE_AUTH"):
        make_service(Settings(port=0, require_auth=True), reactor, lambda _: None)


async def test_it_starts_open_when_told_so_and_says_it(start: Start) -> None:
    warned: list[str] = []

    def observe(event: Any) -> None:
        if event["log_level"].name == "warn":
            warned.append(str(formatEvent(event)))

    globalLogPublisher.addObserver(observe)
    try:
        daemon = start(host="0.0.0.0", allow_open=True)
    finally:
        globalLogPublisher.removeObserver(observe)
    assert any("CHATMOCK_ALLOW_OPEN" in each for each in warned)
    assert (await ask(daemon)).status == 200


async def test_behind_a_proxy_a_token_is_needed(start: Start) -> None:
    daemon = start(access_token=Secret("k"), trusted_proxies=(ip_network("127.0.0.1"),))
    assert (await ask(daemon)).status == 401
    assert (await ask(daemon, KEYED)).status == 200


async def test_a_token_is_needed_as_soon_as_others_reach_it(start: Start) -> None:
    daemon = start(host="0.0.0.0", access_token=Secret("k"))
    assert (await ask(daemon)).status == 401
    assert (await ask(daemon, KEYED)).status == 200
    assert (await ask(daemon, target="/health")).status == 200


async def test_once_there_are_keys_it_is_not_open_though_that_was_allowed(start: Start, home: Path) -> None:
    daemon = start(host="0.0.0.0", access_token=Secret("k"), allow_open=True)
    assert [(await ask(daemon, *each)).status for each in ((), (KEYED,))] == [401, 200]
    (home / ".chatgpt-local").mkdir(mode=0o700, exist_ok=True)
    KeyStore(home / ".chatgpt-local" / KEYS_FILE).add(Entry(Key("laptop"), digest_of(b"k"), created=0.0))
    daemon = start(host="0.0.0.0", allow_open=True)
    assert [(await ask(daemon, *each)).status for each in ((), (KEYED,))] == [401, 200]


async def test_when_the_last_key_is_taken_back_nobody_gets_in(start: Start, home: Path) -> None:
    (home / ".chatgpt-local").mkdir(mode=0o700)
    keys = KeyStore(home / ".chatgpt-local" / KEYS_FILE)
    keys.add(Entry(Key("laptop"), digest_of(b"k"), created=0.0))
    daemon = start(host="0.0.0.0")
    assert (await ask(daemon)).status == 401
    assert (await ask(daemon, KEYED)).status == 200
    keys.revoke("laptop", 1.0)
    service: Any = daemon.service
    await until(lambda: service._keys.find(b"k") is None)
    assert (await ask(daemon)).status == 401
    assert (await ask(daemon, KEYED)).status == 401


async def test_keys_name_clients_of_this_machine_but_none_is_needed(start: Start, home: Path) -> None:
    (home / ".chatgpt-local").mkdir(mode=0o700)
    KeyStore(home / ".chatgpt-local" / KEYS_FILE).add(
        Entry(Key("laptop", rpm=1), digest_of(b"k"), created=0.0)
    )
    daemon = start()
    assert [(await ask(daemon, KEYED)).status for _ in range(2)] == [200, 429]
    assert (await ask(daemon)).status == 200
