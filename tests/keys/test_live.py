"""The keys in a running daemon: found by their tokens, and following the file."""

from __future__ import annotations

import hmac
import os
import sqlite3
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from chatmock.admission.client import Key, Keys
from chatmock.keys.database import KEYS_FILE
from chatmock.keys.entries import new_token
from chatmock.keys.live import LiveKeys
from chatmock.keys.store import KeyStore
from chatmock.service import make_service
from chatmock.settings import Secret, SettingError, Settings
from chatmock.threads import Threads
from tests.conftest import Start, fired, until
from tests.keys.making import entry_of, store_in

TOKEN = b"sk-chatmock-the-one"


def at_once(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """A thread pool that takes no time."""
    try:
        return succeed(function(*arguments))
    except Exception:  # noqa: BLE001
        failed: Deferred[Any] = Deferred()
        failed.errback(Failure())
        return failed


class Bench:
    """Live keys whose time stands still, over a real file."""

    def __init__(self, folder: Path) -> None:
        self.store = store_in(folder)
        self.clock = Clock()
        self.now = 5_000.0
        self.keys = LiveKeys(self.store.path, self.clock, at_once, lambda: self.now)

    def look(self) -> None:
        self.clock.advance(1.0)

    async def stop(self) -> None:
        await self.keys.stop()
        assert self.clock.getDelayedCalls() == []


@pytest_twisted.async_yield_fixture()
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.stop()


def test_it_is_what_the_guard_asks_for(bench: Bench) -> None:
    keys: Keys = bench.keys
    assert keys.find(TOKEN) is None
    assert keys.any is False


def test_the_file_is_followed_each_second(bench: Bench) -> None:
    keys = bench.keys
    keys.start()
    assert not keys.any
    bench.store.add(entry_of("laptop", TOKEN, rpm=5, models=("qwen*",), priority=1))
    assert keys.find(TOKEN) is None
    bench.look()
    assert keys.find(TOKEN) == Key("laptop", rpm=5, models=("qwen*",), priority=1)
    assert keys.any
    bench.store.revoke("laptop", 5_000.0)
    assert keys.find(TOKEN) is not None
    bench.look()
    assert keys.find(TOKEN) is None
    other = b"sk-chatmock-another"
    bench.store.add(entry_of("laptop", other))
    bench.look()
    assert (keys.find(TOKEN), keys.find(other)) == (None, Key("laptop"))


def test_loading_comes_before_everything_and_keeps_no_file_open(bench: Bench) -> None:
    bench.store.add(entry_of("laptop", TOKEN))
    bench.keys.load()
    assert bench.keys.find(TOKEN) == Key("laptop")
    assert bench.keys._watch._connection is None


def test_a_key_ends_by_the_calendar_without_a_look(bench: Bench) -> None:
    bench.store.add(entry_of("laptop", TOKEN, expires=6_000.0))
    bench.keys.load()
    for now, found in ((5_999.9, True), (6_000.0, False), (7_000.0, False), (5_000.0, True)):
        bench.now = now
        assert (bench.keys.find(TOKEN) is not None) is found


def test_who_has_seen_keys_goes_on_asking_for_them(bench: Bench) -> None:
    bench.store.add(entry_of("laptop", TOKEN))
    bench.keys.load()
    bench.keys.start()
    bench.store.revoke("laptop", 5_000.0)
    bench.look()
    assert bench.keys.find(TOKEN) is None
    assert bench.keys.any, "the last revocation must not open the daemon to everybody"
    again = LiveKeys(bench.store.path, bench.clock, at_once, lambda: bench.now)
    again.load()
    assert not again.any


def test_keys_that_have_all_ended_are_none(bench: Bench) -> None:
    bench.store.add(entry_of("laptop", TOKEN, expires=4_000.0))
    bench.keys.load()
    assert not bench.keys.any


@given(
    tokens=st.lists(st.binary(max_size=60), min_size=1, max_size=5, unique=True), asked=st.binary(max_size=60)
)
@examples(max_examples=60, deadline=None)
def test_a_key_is_found_by_its_token_and_by_nothing_else(
    tokens: list[bytes], asked: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench = Bench(tmp_path_factory.mktemp("keys"))
    for number, token in enumerate(tokens):
        bench.store.add(entry_of(str(number), token or b"-empty-"))
    bench.keys.load()
    for number, token in enumerate(tokens):
        assert bench.keys.find(token or b"-empty-") == Key(str(number))
        for near in (token[:-1], token + b"\0", token[::-1] + b"x", b" " + token):
            assert (bench.keys.find(near) is not None) is (near in [t or b"-empty-" for t in tokens])
    assert (bench.keys.find(asked) is not None) is (asked in [t or b"-empty-" for t in tokens])


def test_all_keys_are_compared_whatever_the_token(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [b"a", b"b", b"c"]
    for token in tokens:
        bench.store.add(entry_of(token.decode(), token))
    bench.keys.load()
    compared: list[bytes] = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda one, two: compared.append(one) or compare(one, two))
    for token in (*tokens, b"none"):
        compared.clear()
        bench.keys.find(token)
        assert len(set(compared)) == 3


# --- trouble


def test_a_broken_file_is_logged_once_and_the_keys_stay(bench: Bench, logged_faults: list[Any]) -> None:
    bench.store.add(entry_of("laptop", TOKEN))
    bench.keys.load()
    bench.keys.start()
    held = bench.store.path.read_bytes()
    bench.store.path.write_bytes(b"no keys" * 1000)
    for _ in range(5):
        bench.look()
    assert bench.keys.find(TOKEN) == Key("laptop")
    assert len(logged_faults) == 1
    bench.store.path.write_bytes(held)
    bench.look()
    bench.store.revoke("laptop", 5_000.0)
    bench.look()
    assert bench.keys.find(TOKEN) is None
    bench.store.path.chmod(0o644)
    bench.look()
    assert len(logged_faults) == 2, "it is told again when it comes again"
    logged_faults.clear()


def test_a_file_that_cannot_be_read_opens_the_daemon_to_nobody(
    bench: Bench, logged_faults: list[Any]
) -> None:
    bench.store.path.parent.mkdir(mode=0o700)
    bench.store.path.write_bytes(b"no keys" * 1000)
    bench.store.path.chmod(0o600)
    bench.keys.load()
    assert bench.keys.any
    assert bench.keys.find(TOKEN) is None
    assert len(logged_faults) == 1
    bench.store.path.unlink()
    bench.keys.start()
    assert not bench.keys.any
    logged_faults.clear()


def test_a_fault_of_ours_does_not_end_the_following(
    bench: Bench, logged_faults: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.keys.start()
    with monkeypatch.context() as patch:
        patch.setattr("chatmock.keys.watch.stamp", lambda path: 1 // 0)
        bench.look()
    assert len(logged_faults) == 1
    bench.store.add(entry_of("laptop", TOKEN))
    bench.look()
    assert bench.keys.find(TOKEN) is not None
    logged_faults.clear()


def test_stopping_waits_for_a_look_that_runs(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.add(entry_of("laptop", TOKEN))
    clock = Clock()
    running: list[tuple[Deferred[Any], Callable[[], Any]]] = []

    def thread(function: Callable[[], Any]) -> Deferred[Any]:
        running.append((Deferred(), function))
        return running[-1][0]

    keys = LiveKeys(store.path, clock, thread)
    keys.start()
    clock.advance(10.0)
    assert len(running) == 1, "one look at a time"
    stopped = Deferred.fromCoroutine(keys.stop())
    assert not stopped.called
    waiting, function = running[0]
    waiting.callback(function())
    fired(stopped)
    assert keys._watch._connection is None
    assert clock.getDelayedCalls() == []
    fired(Deferred.fromCoroutine(keys.stop()))


async def test_it_works_in_real_threads(tmp_path: Path) -> None:
    store, threads = store_in(tmp_path), Threads(reactor, 2)
    keys = LiveKeys(store.path, reactor, threads)
    keys.start()
    await deferToThread(store.add, entry_of("laptop", TOKEN))
    await until(lambda: keys.find(TOKEN) is not None)
    await deferToThread(store.revoke, "laptop", 1.0)
    await until(lambda: keys.find(TOKEN) is None)
    await keys.stop()
    threads.stop()


# --- the daemon


def status(url: str, token: str) -> int:
    request = urllib.request.Request(f"{url}/v1/models", headers={"Authorization": f"Bearer {token}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def test_a_daemon_takes_and_refuses_keys_without_a_restart(start: Start, home: Path) -> None:
    store = KeyStore(home / ".chatgpt-local" / KEYS_FILE)
    early, late = new_token(os.urandom).reveal(), new_token(os.urandom).reveal()
    store.add(entry_of("early", early.encode()))
    daemon = start(provider="demo", require_auth=True, access_token=Secret("the-owners-own"))
    url = daemon.url
    assert await deferToThread(status, url, early) == 200, "keys are known when the port opens"
    assert await deferToThread(status, url, "the-owners-own") == 200
    assert await deferToThread(status, url, "wrong") == 401
    assert store.path.stat().st_mode & 0o777 == 0o600
    await deferToThread(store.add, entry_of("late", late.encode()))
    await until(lambda: daemon.service._keys.find(late.encode()) is not None)
    assert await deferToThread(status, url, late) == 200
    await deferToThread(store.revoke, "late", 1.0)
    await until(lambda: daemon.service._keys.find(late.encode()) is None)
    assert await deferToThread(status, url, late) == 401
    assert await deferToThread(status, url, early) == 200
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_a_daemon_knows_its_keys_before_it_listens(home: Path) -> None:
    """Beyond this machine it starts with keys only (P1), so that they have been read by then."""
    with pytest.raises(SettingError, match="keys add"):
        make_service(Settings(host="0.0.0.0", port=0), reactor, lambda text: None)
    KeyStore(home / ".chatgpt-local" / KEYS_FILE).add(entry_of("laptop", TOKEN))
    make_service(Settings(host="0.0.0.0", port=0), reactor, lambda text: None)
