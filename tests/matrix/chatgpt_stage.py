"""Scenarios as ChatGPT's backend tells them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import write_login
from tests.matrix.chat_stage import PROMPT, RETRY_AFTER, TROUBLE, ending
from tests.matrix.responses_wire import events, heard
from tests.matrix.scenario import Heard, Scenario
from tests.upstreams.chatgpt_backend import LIMITS, ChatGPTBackend, sse
from tests.upstreams.openai_issuer import OpenAIIssuer
from tests.upstreams.playing_site import Reply


class ChatGPTStage:
    """The backend; see :class:`~tests.matrix.upstreams.Stage`.

    :param home: the user's home folder, which gets a login.
    """

    exact = True
    watched = True
    retry_after = RETRY_AFTER
    model = "gpt-5.6-sol"

    def __init__(self, backend: ChatGPTBackend, issuer: OpenAIIssuer, home: Path) -> None:
        self._backend = backend
        write_login(home / ".chatgpt-local" / "auth.json", issuer.issue())
        self.settings: dict[str, Any] = {
            "provider": "chatgpt",
            "chatgpt_base_url": backend.url,
            "chatgpt_issuer": issuer.url,
        }

    @property
    def active(self) -> int:
        """The requests that it is answering."""
        return self._backend.active

    @property
    def asked(self) -> int:
        """How often it was asked for an answer."""
        return len(self._backend.asks())

    def play(self, scenario: Scenario) -> str:
        """Answer every request with *scenario*; gives the prompt that asks for it."""
        reply = _reply(scenario)
        self._backend.answer = lambda asked: reply
        return PROMPT

    def told(self, scenario: Scenario, prompt: str) -> Scenario:
        """*scenario* itself."""
        return scenario

    def heard(self) -> Heard:
        """What it was last asked."""
        return heard(self._backend.asks()[-1].body)


def _reply(scenario: Scenario) -> Reply:
    if scenario.status is not None:
        headers = {b"retry-after": RETRY_AFTER.encode()} if scenario.status == 429 else {}
        body = json.dumps({"error": {"type": "server_error", "message": TROUBLE}}).encode()
        return Reply([body], scenario.status, b"application/json", {**LIMITS, **headers})
    pieces = [sse(event) for event in events(scenario, ChatGPTStage.model)]
    return Reply(pieces, headers=LIMITS, ending=ending(scenario))
