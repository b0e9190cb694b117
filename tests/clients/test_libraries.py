"""Libraries that programs are made with, each in its own process: a chat and a tool round trip, whole and streamed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.scene import GREETING, PROGRAMS, REPEATS, program, run, upstream_calling
from tests.conftest import Daemon
from tests.upstreams.openai_server import OpenAIServer

HERE = Path(__file__).parent / "programs"
pytestmark = pytest.mark.clients
TOLD = f"{REPEATS} Rome: 21 degrees"
EVERYTHING = {"whole": GREETING, "streamed": GREETING, "whole tool": TOLD, "streamed tool": TOLD}


@pytest.mark.parametrize("kind", ["openai", "responses", "ollama", "anthropic"])
async def test_langchain(compatible: Daemon, upstream: OpenAIServer, tmp_path: Path, kind: str) -> None:
    upstream.answer = upstream_calling("weather", {"place": "Rome"})
    python = program("libraries", "bin", "python")
    done = await run([python, str(HERE / "langchain_chat.py"), kind, compatible.url, "m"], tmp_path, {})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EVERYTHING


@pytest.mark.parametrize("kind", ["compatible", "openai", "anthropic"])
async def test_vercels_ai_sdk(compatible: Daemon, upstream: OpenAIServer, tmp_path: Path, kind: str) -> None:
    upstream.answer = upstream_calling("weather", {"place": "Rome"})
    program("node_modules", "ai")
    argv = ["node", str(HERE / "ai_sdk.mjs"), kind, compatible.url, "m"]
    done = await run(argv, tmp_path, {"NODE_MODULES_OF": str(PROGRAMS)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == EVERYTHING


@pytest.mark.parametrize("kind", ["openai", "responses", "ollama", "anthropic"])
async def test_the_makers_sdks_for_node(
    compatible: Daemon, upstream: OpenAIServer, tmp_path: Path, kind: str
) -> None:
    upstream.answer = upstream_calling("weather", {"place": "Rome"})
    package = {"anthropic": ("@anthropic-ai", "sdk"), "responses": ("openai",)}.get(kind, (kind,))
    program("node_modules", *package)
    argv = ["node", str(HERE / "node_sdks.mjs"), kind, compatible.url, "m"]
    done = await run(argv, tmp_path, {"NODE_MODULES_OF": str(PROGRAMS)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EVERYTHING
