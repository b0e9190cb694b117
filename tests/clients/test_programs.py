"""Programs that people run, against the daemon: a chat, and what each of them does with tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatmock.settings import Secret
from tests.chunks import text_stream
from tests.clients.scene import GREETING, ORDER, REPEATS, program, run, upstream_calling
from tests.conftest import KEY, Daemon, Start
from tests.upstreams.openai_server import OpenAIServer

pytestmark = pytest.mark.clients


@pytest.fixture
def roomy(start: Start, upstream: OpenAIServer) -> Daemon:
    """A daemon with room for the long instructions and many tools of coding agents (README, "Coding agents")."""
    return start(
        provider="compatible",
        compatible_base_url=upstream.url,
        compatible_api_key=Secret(KEY),
        compatible_models=("m",),
        max_concurrency=4,
        max_messages=1000,
        max_message_chars=1_000_000,
        max_total_bytes=4_000_000,
    )


async def test_llm(compatible: Daemon, upstream: OpenAIServer, tmp_path: Path) -> None:
    """simonw's llm: a chat, and a function of the user's as a tool."""
    upstream.answer = upstream_calling("weather", {"place": "Rome"})
    llm = program("libraries", "bin", "llm")
    models = f"- model_id: mock\n  model_name: m\n  api_base: {compatible.url}/v1\n  api_key_name: mock\n  supports_tools: true\n"
    (tmp_path / "extra-openai-models.yaml").write_text(models)
    env = {"LLM_USER_PATH": str(tmp_path)}
    chat = await run([llm, "-m", "mock", "--key", "key", "Hello"], tmp_path, env)
    assert (chat.returncode, chat.stdout.strip()) == (0, GREETING), chat.stderr
    function = 'def weather(place: str) -> str:\n    "The weather."\n    return f"{place}: 21 degrees"\n'
    argv = [llm, "-m", "mock", "--key", "key", "--functions", function, f"Rome? {ORDER}"]
    called = await run(argv, tmp_path, env)
    assert called.returncode == 0, called.stderr
    assert called.stdout.strip().endswith(f"{REPEATS} Rome: 21 degrees")


async def test_aider(roomy: Daemon, upstream: OpenAIServer, tmp_path: Path) -> None:
    """aider has no tools: it edits a file as the answer says."""
    upstream.reply(text_stream("hello.py\n```\n", "print('edited')\n", "```\n"))
    (tmp_path / "hello.py").write_text("print('old')\n")
    argv = [
        program("aider", "bin", "aider"), "--model", "openai/m", "--edit-format", "whole", "--no-git", "--yes-always",
        "--no-check-update", "--no-show-model-warnings", "--analytics-disable", "--no-pretty", "--no-gitignore",
        "--no-show-release-notes", "--no-detect-urls", "--map-tokens", "0", "--message", "Change it.", "hello.py",
    ]  # fmt: skip
    env = {"OPENAI_API_BASE": f"{roomy.url}/v1", "OPENAI_API_KEY": "key"}
    done = await run(argv, tmp_path, env)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "hello.py").read_text() == "print('edited')\n", done.stdout


async def test_codex(roomy: Daemon, upstream: OpenAIServer, tmp_path: Path) -> None:
    """OpenAI's Codex CLI, which speaks Responses: a chat, and a command that it runs."""
    codex = program("node_modules", ".bin", "codex")
    upstream.answer = upstream_calling("exec_command", {"cmd": "echo from-the-shell"})
    (tmp_path / "config.toml").write_text(
        'model = "m"\nmodel_provider = "chatmock"\n\n[model_providers.chatmock]\nname = "chatmock"\n'
        f'base_url = "{roomy.url}/v1"\nenv_key = "CHATMOCK_KEY"\nwire_api = "responses"\nrequest_max_retries = 0\nstream_max_retries = 0\n'
    )
    env = {"CODEX_HOME": str(tmp_path), "CHATMOCK_KEY": "key"}
    argv = [codex, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json"]
    said = await run([*argv, "Hello"], tmp_path, env)
    assert said.returncode == 0, said.stdout + said.stderr
    assert GREETING in said.stdout
    called = await run([*argv, ORDER], tmp_path, env)
    assert called.returncode == 0, called.stdout + called.stderr
    assert f"{REPEATS}" in called.stdout
    assert "from-the-shell" in called.stdout.partition(REPEATS)[2]


async def test_claude_code(roomy: Daemon, upstream: OpenAIServer, tmp_path: Path) -> None:
    """Anthropic's Claude Code: a chat, and a command that it runs."""
    claude = program("node_modules", ".bin", "claude")
    upstream.answer = upstream_calling("Bash", {"command": "echo from-the-shell", "description": "Says so"})
    env = {
        "ANTHROPIC_BASE_URL": roomy.url,
        "ANTHROPIC_AUTH_TOKEN": "key",
        "ANTHROPIC_MODEL": "m",
        "ANTHROPIC_SMALL_FAST_MODEL": "m",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CONFIG_DIR": str(tmp_path / "claude"),
    }
    argv = [claude, "--print", "--output-format", "json", "--allowedTools", "Bash(echo:*)"]
    said = await run([*argv, "--", "Hello"], tmp_path, env)
    assert said.returncode == 0, said.stdout + said.stderr
    assert json.loads(said.stdout)["result"] == GREETING
    called = await run([*argv, "--", ORDER], tmp_path, env)
    assert called.returncode == 0, called.stdout + called.stderr
    assert json.loads(called.stdout)["result"] == f"{REPEATS} from-the-shell"
