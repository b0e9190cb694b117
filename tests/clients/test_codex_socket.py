"""OpenAI's Codex CLI by WebSocket: a chat, and a command that it runs, in one socket each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from tests.clients.scene import GREETING, ORDER, REPEATS, program, run, upstream_calling
from tests.clients.test_programs import roomy
from tests.conftest import Daemon
from tests.upstreams.openai_server import OpenAIServer

pytestmark = pytest.mark.clients
__all__ = ["roomy"]


async def test_codex_by_socket(roomy: Daemon, upstream: OpenAIServer, tmp_path: Path) -> None:  # the fixture
    codex = program("node_modules", ".bin", "codex")
    upstream.answer = upstream_calling("exec_command", {"cmd": "echo from-the-shell"})
    (tmp_path / "config.toml").write_text(
        'model = "m"\nmodel_provider = "chatmock"\n\n[model_providers.chatmock]\nname = "chatmock"\n'
        f'base_url = "{roomy.url}/v1"\nenv_key = "CHATMOCK_KEY"\nwire_api = "responses"\nsupports_websockets = true\n'
        "request_max_retries = 0\nstream_max_retries = 0\n"
    )
    lines: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace") == "chatmock.access":
            lines.append(formatEvent(event))

    env = {"CODEX_HOME": str(tmp_path), "CHATMOCK_KEY": "key"}
    argv = [codex, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json"]
    globalLogPublisher.addObserver(observe)
    try:
        said = await run([*argv, "Hello"], tmp_path, env)
        called = await run([*argv, ORDER], tmp_path, env)
    finally:
        globalLogPublisher.removeObserver(observe)
    assert said.returncode == 0, said.stdout + said.stderr
    assert GREETING in said.stdout
    assert called.returncode == 0, called.stdout + called.stderr
    assert "from-the-shell" in called.stdout.partition(REPEATS)[2]
    asked = [line.split()[1:4] for line in lines if "/v1/responses" in line]
    assert ["POST", "/v1/responses", "200"] not in asked, "it went on by HTTP"
    assert asked.count(["GET", "/v1/responses", "101"]) >= 2
    assert asked.count(["WS", "/v1/responses", "200"]) >= 3
