"""Fixtures of the matrix, and the writing of its page when all of it has come true."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_twisted

from chatmock.admission.backoff import Backoff
from tests.conftest import Start, until
from tests.matrix import page
from tests.matrix.checks import Scene
from tests.matrix.clients import CLIENTS, Client
from tests.matrix.table import Cell
from tests.matrix.upstreams import STAGES, Servers
from tests.upstreams.chatgpt_backend import ChatGPTBackend
from tests.upstreams.ollama_server import OllamaServer
from tests.upstreams.openai_issuer import OpenAIIssuer
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.qwen_server import QwenServer
from tests.upstreams.xai_server import XAIServer

SetUp = Callable[[Cell], Scene]


@pytest.fixture
def servers(
    upstream: OpenAIServer,
    backend: ChatGPTBackend,
    issuer: OpenAIIssuer,
    site: QwenServer,
    ollama: OllamaServer,
    xai: XAIServer,
    home: Path,
) -> Servers:
    """The fakes."""
    return Servers(upstream, backend, issuer, site, ollama, xai, home)


@pytest_twisted.async_yield_fixture()
async def set_up(servers: Servers, start: Start, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SetUp]:
    """Start a daemon in front of a cell's upstream, and a client of it. Nothing is sent twice, and Qwen needs no moment
    after it was stopped: no time goes by."""
    monkeypatch.setattr("chatmock.service.Backoff", lambda chance: Backoff(chance, tries=1))
    monkeypatch.setattr("chatmock.providers.qwen.contract.BUSY_WAIT", 0.01)
    clients: list[Client] = []
    qwen = []

    def set_up_cell(cell: Cell) -> Scene:
        stage = STAGES[cell.provider](servers)
        daemon = start(**{"reasoning_compat": "reasoning-content", "max_concurrency": 4, **stage.settings})
        clients.append(CLIENTS[cell.dialect](daemon.url))
        if daemon.service.qwen is not None:
            qwen.append(daemon.qwen)
        return Scene(cell, daemon, stage, clients[-1])

    yield set_up_cell
    for client in clients:
        client.close()
    await until(lambda: all(calls.idle for calls in qwen))


_come_true: set[str] = set()
_folders: list[Path] = []


@pytest.fixture(scope="session", autouse=True)
def parts(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> None:
    """The folder in which each process of the run says which cells have come true in it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if hasattr(request.config, "workerinput") else base) / "matrix"
    folder.mkdir(exist_ok=True)
    _folders.append(folder)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a cell that has come true, and forget one whose end was bad."""
    _, is_cell, rest = report.nodeid.partition("test_matrix.py::test_a_cell[")
    if is_cell and report.when == "call" and report.passed:
        _come_true.add(rest.removesuffix("]"))
    elif is_cell and not report.passed:
        _come_true.discard(rest.removesuffix("]"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page, if all cells have come true: whichever process ends last sees that."""
    for folder in _folders:
        page.note(folder, getattr(session.config, "workerinput", {}).get("workerid", "only"), _come_true)
        if page.has_come_true(folder) and page.is_stale():
            page.write()
