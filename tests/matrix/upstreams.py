"""The upstream of each provider, told to say the scenarios."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs

from tests.matrix.chat_stage import MANNERS, ChatStage
from tests.matrix.chatgpt_stage import ChatGPTStage
from tests.matrix.demo_stage import DemoStage
from tests.matrix.grok_stage import GrokStage
from tests.matrix.ollama_stage import OllamaStage
from tests.matrix.qwen_stage import QwenStage
from tests.matrix.scenario import Heard, Scenario
from tests.upstreams.chatgpt_backend import ChatGPTBackend
from tests.upstreams.ollama_server import OllamaServer
from tests.upstreams.openai_issuer import OpenAIIssuer
from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.qwen_server import QwenServer
from tests.upstreams.xai_server import XAIServer


class Stage(Protocol):
    """One provider's upstream."""

    @property
    def model(self) -> str:
        """The model to ask for: one that sees pictures, thinks and calls tools."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Those of a daemon that answers from it."""

    @property
    def exact(self) -> bool:
        """Whether it says a scenario word for word."""

    @property
    def watched(self) -> bool:
        """Whether `active` and `asked` can be looked at."""

    @property
    def retry_after(self) -> str:
        """In how many seconds to come again, as it tells with a 429."""

    @property
    def active(self) -> int:
        """The requests that it is answering."""

    @property
    def asked(self) -> int:
        """How often it was asked for an answer."""

    def play(self, scenario: Scenario) -> str:
        """Answer every request with *scenario*; gives the prompt that asks for it."""

    def told(self, scenario: Scenario, prompt: str) -> Scenario:
        """What it then says: *scenario* itself where it is exact, else pieces of what it says."""

    def heard(self) -> Heard | None:
        """What it was last asked; None where nobody can look."""


@attrs.frozen
class Servers:
    """The fakes there are, each listening."""

    chat: OpenAIServer
    backend: ChatGPTBackend
    issuer: OpenAIIssuer
    site: QwenServer
    ollama: OllamaServer
    xai: XAIServer
    home: Path


STAGES: Mapping[str, Callable[[Servers], Stage]] = {
    "chatgpt": lambda servers: ChatGPTStage(servers.backend, servers.issuer, servers.home),
    **{
        name: lambda servers, name=name: ChatStage(name, servers.chat)  # type: ignore[misc]
        for name in MANNERS
    },
    "grok": lambda servers: GrokStage(servers.xai),
    "qwen": lambda servers: QwenStage(servers.site),
    "ollama": lambda servers: OllamaStage(servers.ollama),
    "demo": lambda servers: DemoStage(),
}
"""How each provider's stage is set, by the provider's name."""
