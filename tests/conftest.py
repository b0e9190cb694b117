"""Fixtures: a daemon and a fake upstream on the test's own reactor, the real SDK in a thread, and no leftovers."""

from __future__ import annotations

import gc
import itertools
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import openai
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel, globalLogPublisher

from chatmock.monotonic import use_monotonic_time
from chatmock.qwen_calls import QwenCalls
from chatmock.service import ChatmockService, make_service
from chatmock.settings import Secret, Settings
from tests.upstreams.chatgpt_backend import ChatGPTBackend
from tests.upstreams.ollama_server import OllamaServer
from tests.upstreams.openai_issuer import OpenAIIssuer
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.qwen_server import TOKEN, QwenServer
from tests.upstreams.xai_server import XAIServer

KEY = "upstream-key"
_TESTS = itertools.count(1)
_FREEZE_EVERY = 25
"""After so many tests, what SDKs have made of types meanwhile stays for good too: collecting would cost more and more."""
use_monotonic_time(reactor)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own: the developer's logins and settings have no part in it."""
    for name in os.environ:
        if name.startswith(("CHATMOCK_", "CHATGPT_LOCAL_", "CODEX_")) and name != "CHATMOCK_CAPTURES":
            monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture(scope="session", autouse=True)
def frozen() -> None:
    """What the imports have made stays for good: without it each test's collection of garbage is nearly free."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def logged_faults() -> list[Any]:
    """What has been logged as an error in this test; one that expects some takes them out."""
    return []


@pytest.fixture(autouse=True)
def no_leftovers(logged_faults: list[Any]) -> Iterator[None]:
    """Fail a test that leaves a timer, an open port or an error in the log."""
    errors = logged_faults

    def observe(event: dict[str, Any]) -> None:
        if event["log_level"] >= LogLevel.error:
            errors.append(str(event.get("log_failure") or event.get("log_format")))

    timers = set(reactor.getDelayedCalls())
    readers = set(reactor.getReaders())
    globalLogPublisher.addObserver(observe)
    yield
    gc.collect()  # an unhandled failure is logged when its Deferred goes
    if next(_TESTS) % _FREEZE_EVERY == 0:
        gc.freeze()
    globalLogPublisher.removeObserver(observe)
    left_timers = [call for call in reactor.getDelayedCalls() if call not in timers and call.active()]
    left_readers = [r for r in reactor.getReaders() if r not in readers and not _is_waker(r)]
    assert not errors, errors
    assert not left_timers, left_timers
    assert not left_readers, left_readers


def _is_waker(reader: object) -> bool:
    return "Waker" in type(reader).__name__


@attrs.define
class Daemon:
    """A running chatmock."""

    service: ChatmockService
    said: list[str]

    @property
    def url(self) -> str:
        """Without a path."""
        return self.service.urls[0]

    @property
    def qwen(self) -> QwenCalls:
        """The calls of its Qwen account."""
        assert self.service.qwen is not None
        return self.service.qwen.calls

    def sdk(self, **more: Any) -> openai.OpenAI:
        """An OpenAI client of it that does not try again by itself."""
        return openai.OpenAI(
            base_url=f"{self.url}/v1", api_key="client-key", **{"max_retries": 0, "timeout": 30.0, **more}
        )

    async def ask(self, call: Callable[[openai.OpenAI], Any], **client: Any) -> Any:
        """Run *call* with an SDK client in a thread."""

        def run() -> Any:
            with self.sdk(**client) as sdk:
                return call(sdk)

        return await deferToThread(run)


Start = Callable[..., Daemon]


@pytest_twisted.async_yield_fixture()
async def start(
    upstream: OpenAIServer, backend: ChatGPTBackend, site: QwenServer, ollama: OllamaServer
) -> AsyncIterator[Start]:
    """Start a daemon with given settings; stopped when the test is over, before its upstreams are."""
    running: list[ChatmockService] = []

    def start_daemon(policy: Any = None, **settings: Any) -> Daemon:
        said: list[str] = []
        defaults = {"port": 0, "rate_limit_rps": 10_000.0, "rate_limit_burst": 10_000}
        service = make_service(Settings(**{**defaults, **settings}), reactor, said.append, policy)
        service.privilegedStartService()
        service.startService()
        running.append(service)
        return Daemon(service, said)

    yield start_daemon
    left = [(service.slots.held, service.slots.waiting) for service in running]
    for service in running:
        await service.stopService()
    await settle()
    assert left == [(0, 0)] * len(running), "a permit was not given back"


@pytest_twisted.async_yield_fixture()
async def upstream() -> AsyncIterator[OpenAIServer]:
    """A fake upstream that speaks OpenAI chat."""
    server = OpenAIServer(reactor, KEY)
    server.listen()
    yield server
    await server.port.stopListening()
    await until(lambda: server.open_connections == 0)


@pytest.fixture
def compatible(start: Start, upstream: OpenAIServer) -> Daemon:
    """A daemon whose only upstream is the fake one, as a compatible server."""
    return start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        max_concurrency=4,
    )


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for *condition*, looking every few milliseconds; fails when it does not come true in time."""
    deadline = reactor.seconds() + seconds
    while not condition():
        assert reactor.seconds() < deadline, "the condition did not come true in time"
        await pause(0.005)


async def pause(seconds: float) -> None:
    """Let the reactor run."""
    await deferLater(reactor, seconds)


async def settle() -> None:
    """A few turns of the reactor, for closed sockets to be noticed."""
    for _ in range(5):
        await pause(0)


def fired(deferred: Deferred[Any]) -> Any:
    """The result of a Deferred that has one already; raises what it failed with."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "the Deferred has not fired"
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]


@pytest_twisted.async_yield_fixture()
async def issuer() -> AsyncIterator[OpenAIIssuer]:
    """A fake of ChatGPT's login server."""
    server = OpenAIIssuer(reactor)
    server.listen()
    yield server
    await server.port.stopListening()


@pytest_twisted.async_yield_fixture()
async def backend(issuer: OpenAIIssuer) -> AsyncIterator[ChatGPTBackend]:
    """A fake of ChatGPT's backend, which takes the tokens that *issuer* honours."""
    server = ChatGPTBackend(reactor, issuer.honours)
    server.listen()
    yield server
    await server.port.stopListening()
    await until(lambda: server.open_connections == 0)


@pytest.fixture
def login_file(issuer: OpenAIIssuer, home: Path) -> Path:
    """The file of a fresh login, where a daemon looks for it."""
    return write_login(home / ".chatgpt-local" / "auth.json", issuer.issue())


def write_login(path: Path, answer: Mapping[str, Any], account: str = "account-1", **more: Any) -> Path:
    """Write the token endpoint's *answer* as a login file."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    tokens = {key: answer[key] for key in ("id_token", "access_token", "refresh_token")}
    body = {
        "OPENAI_API_KEY": None,
        "tokens": {**tokens, "account_id": account},
        "last_refresh": "",
        **more,
    }
    path.write_text(json.dumps(body))
    path.chmod(0o600)
    return path


@pytest_twisted.async_yield_fixture()
async def site() -> AsyncIterator[QwenServer]:
    """A fake of chat.qwen.ai. What it would have let pass to the conversation's harm fails the test."""
    server = QwenServer(reactor)
    server.listen()
    yield server
    await server.port.stopListening()
    await until(lambda: server.open_connections == 0)
    assert server.faults == []


@pytest_twisted.async_yield_fixture()
async def ollama() -> AsyncIterator[OllamaServer]:
    """A fake of an Ollama that was moved aside."""
    server = OllamaServer(reactor)
    server.listen()
    yield server
    await server.port.stopListening()
    await until(lambda: server.open_connections == 0)


@pytest_twisted.async_yield_fixture()
async def xai() -> AsyncIterator[XAIServer]:
    """A fake of xAI."""
    server = XAIServer(reactor, KEY)
    server.listen()
    yield server
    await server.port.stopListening()
    await until(lambda: server.open_connections == 0)


@pytest_twisted.async_yield_fixture()
async def start_qwen(start: Start, site: QwenServer) -> AsyncIterator[Start]:
    """Start a daemon whose Qwen is the fake one, with given settings; in the end no turn is held and no stop under way."""
    calls: list[QwenCalls] = []

    def start_daemon(**settings: Any) -> Daemon:
        qwen = {"qwen_base_url": site.url, "qwen_auth_token": Secret(TOKEN), "max_concurrency": 8}
        daemon = start(**{"provider": "qwen", **qwen, **settings})
        calls.append(daemon.qwen)
        return daemon

    yield start_daemon
    await until(lambda: all(each.idle for each in calls))


@pytest.fixture
def start_chatgpt(start: Start, issuer: OpenAIIssuer, backend: ChatGPTBackend) -> Start:
    """Start a daemon whose ChatGPT is the fake one, with given settings."""

    def start_daemon(**settings: Any) -> Daemon:
        chatgpt = {"chatgpt_base_url": backend.url, "chatgpt_issuer": issuer.url, "max_concurrency": 8}
        return start(**{**chatgpt, **settings})

    return start_daemon
