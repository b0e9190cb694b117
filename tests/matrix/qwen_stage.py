"""Scenarios as chat.qwen.ai tells them, whose model calls tools in its text."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs

from chatmock.settings import Secret
from tests.matrix.chat_stage import PROMPT, RETRY_AFTER, TROUBLE
from tests.matrix.scenario import Heard, Scenario
from tests.upstreams import qwen_errors
from tests.upstreams.playing_site import Reply
from tests.upstreams.qwen_chats import Turn
from tests.upstreams.qwen_script import Script
from tests.upstreams.qwen_server import TOKEN, QwenServer

_RESULT = re.compile(r"<tool_response id=\"[^\"]+\" name=\"(\w+)\">\n(.*?)\n</tool_response>", re.DOTALL)
_OFFER = re.compile(r'^\{"name":"(\w+)","description"', re.MULTILINE)
_SCHEMA = re.compile(
    r"^It must fit this JSON Schema:\n(.*)|.* It must fit this JSON Schema:\n(.*)$", re.MULTILINE
)


class QwenStage:
    """The site; see :class:`~tests.matrix.upstreams.Stage`."""

    exact = True
    watched = True
    retry_after = RETRY_AFTER
    model = "qwen3.7-plus"

    def __init__(self, site: QwenServer) -> None:
        self._site = site
        self.settings: dict[str, Any] = {
            "provider": "qwen",
            "qwen_base_url": site.url,
            "qwen_auth_token": Secret(TOKEN),
        }

    @property
    def active(self) -> int:
        """The requests that it is answering."""
        return self._site.active

    @property
    def asked(self) -> int:
        """How often it was asked for an answer."""
        return len(self._site.calls("chat/completions"))

    def play(self, scenario: Scenario) -> str:
        """Answer every message with *scenario*; gives the prompt that asks for it."""
        self._site.answer = lambda turn: _reply(scenario)
        return PROMPT

    def told(self, scenario: Scenario, prompt: str) -> Scenario:
        """*scenario* itself."""
        return scenario

    def heard(self) -> Heard:
        """What it was last asked: of tools it is told once a chat."""
        turn = self._site.chats.turns[-1]
        schema = _SCHEMA.search(turn.text)
        return Heard(
            tools=set(_OFFER.findall("\n".join([*(text for text, _ in turn.context), turn.text]))),
            results=[text for _, text in _RESULT.findall(turn.text)],
            pictures=turn.pictures,
            schema=None if schema is None else json.loads(schema[1] or schema[2]),
            thinks=_thinks(turn),
        )


def _thinks(turn: Turn) -> bool:
    return bool(turn.message["feature_config"].get("thinking_enabled", True))


def _reply(scenario: Scenario) -> Script | Reply:
    """*scenario* in the site's records: it counts a token each, of thinking as of text."""
    if scenario.status == 429:
        busy = qwen_errors.failure("Too_Many_Requests", TROUBLE, 429)
        return attrs.evolve(busy, headers={**busy.headers, b"retry-after": RETRY_AFTER.encode()})
    if scenario.status is not None:
        return qwen_errors.failure("Internal_Server_Error", TROUBLE, scenario.status)
    tokens = scenario.usage
    script = Script().tokens(tokens.asked, tokens.cached)
    thoughts = re.findall(r"\S+\s*", scenario.thinking)
    if thoughts:
        script.think(*thoughts)
    script.answer(*scenario.text)
    for call in scenario.calls:
        said = f'<tool_call>{{"name": "{call.name}", "arguments": {call.text}}}</tool_call>'
        script.answer(*(said[at : at + 9] for at in range(0, len(said), 9)))
    match scenario.ending:
        case "complete":
            return script.finish(empties=max(tokens.answered - len(thoughts) - len(scenario.text), 1))
        case "error":
            return script.error("Internal_Server_Error", TROUBLE)
        case "cut":
            return script.cut()
        case "hang":
            return script.hang()
