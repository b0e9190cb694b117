"""Scenarios as an Ollama tells them, on its own wire and on its ``/v1``."""

from __future__ import annotations

import base64
import json
from typing import Any

import attrs

from tests.matrix.chat_stage import PROMPT, RETRY_AFTER, TROUBLE, ending, heard
from tests.matrix.scenario import Heard, Scenario, Tokens
from tests.upstreams.ollama_server import COUNTS, JSON, OllamaServer, Tag
from tests.upstreams.playing_site import Asked, Reply

_NATIVE = ("/api/chat", "/api/generate")
_ASKS = (*_NATIVE, "/v1/chat/completions")


class OllamaStage:
    """An Ollama; see :class:`~tests.matrix.upstreams.Stage`."""

    exact = True
    watched = True
    retry_after = RETRY_AFTER
    model = "gemma4:4b"

    def __init__(self, server: OllamaServer) -> None:
        self._server = server
        server.tags = [Tag(self.model, ("completion", "tools", "thinking", "vision"))]
        self.settings: dict[str, Any] = {"provider": "ollama", "ollama_upstream": server.url}

    @property
    def active(self) -> int:
        """The requests that it is answering."""
        return self._server.active

    @property
    def asked(self) -> int:
        """How often it was asked for an answer."""
        return len(self._server.at(*_ASKS))

    def play(self, scenario: Scenario) -> str:
        """Answer every request with *scenario*; gives the prompt that asks for it."""
        self._server.override = lambda asked: _reply(scenario, asked) if asked.path in _ASKS else None
        self._server.say(
            text=tuple(scenario.text),
            thinking=(scenario.thinking,) if scenario.thinking else (),
            calls=tuple((call.name, dict(call.arguments)) for call in scenario.calls),
            error=TROUBLE if scenario.ending == "error" else None,
            ending=ending(scenario),
        )
        return PROMPT

    def told(self, scenario: Scenario, prompt: str) -> Scenario:
        """*scenario*, with the counts that are always told."""
        return attrs.evolve(scenario, usage=Tokens(COUNTS["prompt_eval_count"], COUNTS["eval_count"]))

    def heard(self) -> Heard:
        """What it was last asked."""
        asked = self._server.at(*_ASKS)[-1]
        return _heard(asked.body) if asked.path in _NATIVE else heard(asked.body)


def _reply(scenario: Scenario, asked: Asked) -> Reply | None:
    """What is answered in place of what is said: a refusal, or half of a whole answer."""
    native = asked.path in _NATIVE
    if scenario.status is not None:
        headers = {b"retry-after": RETRY_AFTER.encode()} if scenario.status == 429 else {}
        told: Any = (
            TROUBLE if native else {"message": TROUBLE, "type": "api_error", "param": None, "code": None}
        )
        return Reply([json.dumps({"error": told}).encode()], scenario.status, JSON, headers)
    if scenario.ending in ("cut", "hang") and not asked.body.get("stream", native):
        return Reply([b'{"model":"gemma4:4b","'], content_type=JSON, ending=scenario.ending)
    return None


def _heard(body: Any) -> Heard:
    messages = body.get("messages") or [{"role": "user", "images": body.get("images")}]
    pictures = [picture for message in messages for picture in message.get("images") or ()]
    schema = body.get("format")
    return Heard(
        tools={tool["function"]["name"] for tool in body.get("tools") or ()},
        results=[message["content"] for message in messages if message["role"] == "tool"],
        pictures=[base64.b64decode(picture) for picture in pictures],
        schema=schema if isinstance(schema, dict) else None,
        thinks=bool(body.get("think")),
    )
