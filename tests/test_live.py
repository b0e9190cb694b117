"""One short question to each real upstream, asked only by who says so: it takes of the owner's quota.

Run it with CHATMOCK_LIVE=1 and the settings that a daemon would be started with. CHATMOCK_LIVE_MODEL_GROK and the like
name another model than the one picked here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import openai
import pytest

from chatmock.login_files import find_login, login_files
from chatmock.options import ServeOptions
from chatmock.settings import Settings
from chatmock.settings.sources import DECLARATION
from tests.conftest import Daemon, Start

ENVIRONMENT: Mapping[str, str] = dict(os.environ)
"""The developer's own, which the fixture `home` hides from every test."""
QUESTION = "What is 2 + 3? Answer with the number alone."
CHEAP = re.compile(r"mini|flash|fast|turbo|lite|small|nano|haiku|luna")
"""Names of models that cost little."""


def _live() -> Settings | None:
    """The settings to ask with; None where nobody has asked for it."""
    if ENVIRONMENT.get("CHATMOCK_LIVE") != "1":
        return None
    return ServeOptions().settings(ENVIRONMENT)


LIVE = _live()


def _chatgpt(settings: Settings) -> bool:
    return find_login(login_files(settings)).tokens is not None


NEEDS: Mapping[str, tuple[str, Callable[[Settings], object]]] = {
    "chatgpt": ("a login: chatmock login", _chatgpt),
    "grok": ("XAI_API_KEY", lambda settings: settings.xai_api_key),
    "openrouter": ("OPENROUTER_API_KEY", lambda settings: settings.openrouter_api_key),
    "qwen": ("QWEN_AUTH_TOKEN", lambda settings: settings.qwen_auth_token),
    "dashscope": ("DASHSCOPE_API_KEY", lambda settings: settings.dashscope_api_key),
    "compatible": ("CHATMOCK_COMPATIBLE_BASE_URL", lambda settings: settings.compatible_base_url),
    "ollama": ("CHATMOCK_OLLAMA_UPSTREAM", lambda settings: settings.ollama_upstream),
}
"""What each provider cannot be asked without, and whether it is there."""


def _case(name: str) -> Any:
    needed, there = NEEDS[name]
    why = "CHATMOCK_LIVE=1 is not set: it would spend quota" if LIVE is None else f"it needs {needed}"
    return pytest.param(name, marks=pytest.mark.skipif(LIVE is None or not there(LIVE), reason=why))


def _settings(name: str) -> dict[str, Any]:
    """What the owner has set for the provider *name*, and for no other."""
    assert LIVE is not None
    mine = (f for f in attrs.fields(Settings) if DECLARATION in f.metadata)
    return {f.name: getattr(LIVE, f.name) for f in mine if f.metadata[DECLARATION].provider == name}


def _model(name: str, listed: list[str]) -> str:
    """The model to ask: the one that is named for it, else a cheap one, else the first."""
    asked = ENVIRONMENT.get(f"CHATMOCK_LIVE_MODEL_{name.upper()}")
    return asked or next((model for model in listed if CHEAP.search(model)), listed[0])


def ask_thrice(sdk: openai.OpenAI, name: str) -> tuple[str, str]:
    """List the models, then ask for a whole answer and for a stream; the text of both."""
    model = _model(name, [model.id for model in sdk.models.list()])
    create: Any = sdk.chat.completions.create
    asked = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    whole = create(**asked)
    assert whole.choices[0].finish_reason == "stop"
    streamed, finish = "", None
    for chunk in create(**asked, stream=True):
        for choice in chunk.choices:
            streamed += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert finish == "stop"
    return whole.choices[0].message.content or "", streamed


@pytest.mark.live
@pytest.mark.parametrize("name", [_case(name) for name in NEEDS])
async def test_the_real_upstream_answers(start: Start, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    # The login is where it is, and another program's must be known as such: it would be spent.
    monkeypatch.setenv("HOME", ENVIRONMENT.get("HOME", ""))
    settings = _settings(name)
    if name == "chatgpt":
        settings["reasoning_compat"] = "reasoning-content"
    daemon: Daemon = start(provider=name, **settings)
    whole, streamed = await daemon.ask(lambda sdk: ask_thrice(sdk, name), timeout=180.0)
    assert "5" in whole
    assert "5" in streamed
