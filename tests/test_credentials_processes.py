"""One login and many processes: two daemons that share it, and processes that are killed while they refresh it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import openai
import pytest
from twisted.internet.threads import deferToThread

from chatmock.login_files import LoginFiles, find_login, login_lock
from chatmock.state_files import FileLock
from tests.conftest import settle, write_login
from tests.refreshing_process import Status
from tests.test_starting import MODULE, ROOT, environment, running
from tests.upstreams.chatgpt_backend import ChatGPTBackend, Script
from tests.upstreams.openai_issuer import OpenAIIssuer

EACH = 25
TRIES = 200


def ask(sdk: openai.OpenAI) -> str | None:
    messages: list[Any] = [{"role": "user", "content": "Hello?"}]
    answer = sdk.chat.completions.create(model="gpt-5.6-sol", messages=messages)
    return answer.choices[0].message.content


def ask_both(cwd: Path, lock: FileLock, **settings: str) -> list[str | None]:
    """Start two daemons and ask both at once, giving the lock back when all of them wait for the login."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(2 * EACH))
        starting = [
            pool.submit(stack.enter_context, running((*MODULE, "serve"), cwd, **settings)) for _ in "ab"
        ]
        urls = [each.result() for each in starting]
        clients = [
            openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, timeout=30) for url in urls
        ]
        asking = [pool.submit(ask, client) for client in clients for _ in range(EACH)]
        time.sleep(0.2)
        assert not any(each.done() for each in asking), "nothing can be answered without the login"
        lock.release()
        answers = [each.result() for each in asking]
        for client in clients:
            client.close()
        return answers


def daemon_settings(path: Path, issuer: OpenAIIssuer, backend: ChatGPTBackend) -> dict[str, str]:
    """The environment of a daemon with the login in *path*."""
    return {
        "HOME": str(path.parents[1]),
        "PYTHONPATH": str(ROOT),
        "CHATGPT_LOCAL_HOME": str(path.parent),
        "CHATGPT_LOCAL_ISSUER": issuer.url,
        "CHATMOCK_CHATGPT_BASE_URL": backend.url,
        "CHATMOCK_PROVIDER": "chatgpt",
        "CHATMOCK_PORT": "0",
        "CHATMOCK_MAX_CONCURRENCY": str(EACH),
        "CHATMOCK_RATE_LIMIT_BURST": "1000",
    }


async def test_two_daemons_refresh_a_login_once(
    issuer: OpenAIIssuer, backend: ChatGPTBackend, tmp_path: Path
) -> None:
    issuer.access_seconds = -10
    path = write_login(tmp_path / "state" / "auth.json", issuer.issue(), kept="yes")
    issuer.access_seconds = 3600
    issuer.delay = 0.1
    backend.stream(*Script().text("Hello").end())
    lock = login_lock(path)
    assert lock.try_acquire()
    try:
        answers = await deferToThread(ask_both, tmp_path, lock, **daemon_settings(path, issuer, backend))
    finally:
        lock.release()
    assert answers == ["Hello"] * 2 * EACH
    assert len(issuer.calls("/oauth/token")) == issuer.refreshes == 1
    held = json.loads(path.read_text())
    assert held["kept"] == "yes"
    assert issuer.honours(held["tokens"]["access_token"])
    assert issuer.honours_refresh(held["tokens"]["refresh_token"])
    assert path.stat().st_mode & 0o777 == 0o600


def stop_while_asked(cwd: Path, issuer: OpenAIIssuer, **settings: str) -> None:
    """End a daemon by SIGTERM once the issuer has its refresh token, and has not answered yet."""
    with ThreadPoolExecutor(1) as pool, running((*MODULE, "serve"), cwd, **settings) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, timeout=30)
        asking = pool.submit(ask, client)
        while not issuer.calls("/oauth/token"):
            assert not asking.done(), "nothing can be answered without the login"
            time.sleep(0.005)


async def test_a_daemon_that_is_stopped_while_it_refreshes_keeps_the_login(
    issuer: OpenAIIssuer, backend: ChatGPTBackend, tmp_path: Path
) -> None:
    issuer.access_seconds = -10
    path = write_login(tmp_path / "state" / "auth.json", issuer.issue(), kept="yes")
    before = json.loads(path.read_text())["tokens"]
    issuer.access_seconds = 3600
    issuer.delay = 0.3
    backend.stream(*Script().text("Hello").end())
    await deferToThread(stop_while_asked, tmp_path, issuer, **daemon_settings(path, issuer, backend))
    tokens = json.loads(path.read_text())["tokens"]
    assert tokens["refresh_token"] != before["refresh_token"]
    assert issuer.honours(tokens["access_token"])
    assert issuer.honours_refresh(tokens["refresh_token"])
    assert len(issuer.calls("/oauth/token")) == 1


# --- kill -9


@attrs.define
class Refreshing:
    """A process whose children refresh the login in *path*."""

    process: subprocess.Popen[str]
    path: Path
    issuer: OpenAIIssuer

    async def child(self, kill_after: float | None = None) -> str:
        """Let one child refresh; what became of it."""
        said: str = await deferToThread(self._child, "-" if kill_after is None else f"{kill_after:.6f}")
        await settle()  # what it sent before it was killed arrives
        return said

    def _child(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def log_in(self) -> None:
        write_login(self.path, self.issuer.issue(), kept="yes")

    @property
    def calls(self) -> int:
        return len(self.issuer.calls("/oauth/token"))

    def refresh_token(self) -> str:
        """The one in the file, which has to be whole."""
        held = json.loads(self.path.read_text())
        assert held["kept"] == "yes"
        assert "OPENAI_API_KEY" in held
        tokens: dict[str, str] = held["tokens"]
        assert set(tokens) == {"id_token", "access_token", "refresh_token", "account_id"}
        assert self.path.stat().st_mode & 0o777 == 0o600
        assert tokens["access_token"] in self.issuer._access
        return tokens["refresh_token"]

    def leftovers(self) -> list[Path]:
        """What is in the folder and no file of ours."""
        ours = {"auth.json", "auth.json.lock"}
        return [path for path in self.path.parent.iterdir() if path.name not in ours]


@pytest.fixture
def refreshing(issuer: OpenAIIssuer, home: Path) -> Iterator[Refreshing]:
    """The process, with a fresh login."""
    path = home / "state" / "auth.json"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.refreshing_process", str(path), issuer.url],
        cwd=ROOT,
        env=environment(HOME=str(home), PYTHONPATH=str(ROOT)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        made = Refreshing(process, path, issuer)
        made.log_in()
        yield made


async def usual_seconds(refreshing: Refreshing) -> float:
    """How long a refresh takes, from the fork to the end."""
    times = []
    for _ in range(5):
        began = time.monotonic()
        assert await refreshing.child() == Status.REFRESHED.name
        times.append(time.monotonic() - began)
    return sorted(times)[2]


async def check_lost(refreshing: Refreshing) -> None:
    """See that a login which the issuer does not honour any more is told once, and asked for no more."""
    calls = refreshing.calls
    assert await refreshing.child() == Status.LOGIN_NEEDED.name
    assert refreshing.calls == calls + 1
    assert json.loads(refreshing.path.read_text())["login_needed"] == "refresh_token_reused"
    assert refreshing.leftovers() == [], "who takes the lock clears away what the killed one left"
    assert await refreshing.child() == Status.LOGIN_NEEDED.name
    assert refreshing.calls == calls + 1


async def test_a_process_killed_at_any_instant_leaves_a_login_or_one_clear_word(
    refreshing: Refreshing, issuer: OpenAIIssuer
) -> None:
    issuer.delay = 0.004
    chance = random.Random(9)
    usual = await usual_seconds(refreshing)
    outcomes: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    for _ in range(TRIES):
        before, calls = refreshing.refresh_token(), refreshing.calls
        said = await refreshing.child(chance.uniform(0, 1.2 * usual))
        assert said in ("killed", Status.REFRESHED.name)
        after = refreshing.refresh_token()
        asked = refreshing.calls - calls
        assert asked <= 1
        stages["written" if after != before else "asked" if asked else "not asked"] += 1
        usual *= 1.02 if after == before else 0.97  # keeps up with what else the machine does
        assert len(refreshing.leftovers()) <= 1
        assert find_login(LoginFiles(refreshing.path)).path == refreshing.path
        if issuer.honours_refresh(after):
            outcomes["kept"] += 1
        else:
            outcomes["lost"] += 1
            assert after == before
            await check_lost(refreshing)
            refreshing.log_in()
    assert outcomes == {"kept": stages["not asked"] + stages["written"], "lost": stages["asked"]}
    assert min(stages[stage] for stage in ("not asked", "asked", "written")) >= TRIES / 50, stages
    assert await refreshing.child() == Status.REFRESHED.name
    assert refreshing.leftovers() == []
