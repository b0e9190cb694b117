"""Scenarios as xAI tells them: to clients of the Responses API on that wire, to all others on OpenAI chat's."""

from __future__ import annotations

import json

import attrs

from tests.matrix.chat_stage import ChatStage, ending
from tests.matrix.responses_wire import events, heard, whole
from tests.matrix.scenario import Heard, Scenario
from tests.upstreams.chatgpt_backend import sse
from tests.upstreams.playing_site import Asked, Reply
from tests.upstreams.xai_server import XAIServer


class GrokStage(ChatStage):
    """xAI; see :class:`~tests.matrix.upstreams.Stage`."""

    def __init__(self, server: XAIServer) -> None:
        super().__init__("grok", server)
        self._xai = server

    @property
    def asked(self) -> int:
        """How often it was asked for an answer."""
        return super().asked + len(self._xai.responses())

    def heard(self) -> Heard:
        """What it was last asked."""
        asked = self._xai.asked[-1]
        return heard(asked.body) if asked.path.endswith("/responses") else super().heard()

    def reply(self, scenario: Scenario, asked: Asked) -> Reply:
        """What *scenario* is to who *asked*."""
        if scenario.status is not None or not asked.path.endswith("/responses"):
            return super().reply(scenario, asked)
        if "reasoning.encrypted_content" not in (asked.body.get("include") or ()):
            scenario = attrs.evolve(scenario, seal="")
        if asked.body.get("stream"):
            pieces = [sse(event) for event in events(scenario, self.model)]
            return Reply(pieces, ending=ending(scenario))
        body = json.dumps(whole(scenario, self.model)).encode()
        cut = body if ending(scenario) == "complete" else body[: len(body) // 2]
        return Reply([cut], content_type=b"application/json", ending=ending(scenario))
