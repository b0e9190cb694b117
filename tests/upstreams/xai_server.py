"""A fake of xAI's API over real HTTP: OpenAI chat, and the Responses API beside it (spec upstreams.md, B)."""

from __future__ import annotations

import json
from typing import Any

from tests.upstreams.openai_server import OpenAIServer
from tests.upstreams.playing_site import Asked, Reply

PHRASE = "Client specified an invalid argument"


class XAIServer(OpenAIServer):
    """The fake. What it answers is set as for any other; ``answer`` is asked for both APIs."""

    def responses(self) -> list[Asked]:
        """The requests of the Responses API so far."""
        return [asked for asked in self.asked if asked.path.endswith("/responses")]

    def respond(self, asked: Asked) -> Reply:
        """What to answer to *asked*: a refusal where the real one would refuse it."""
        if asked.path != f"{self.prefix}/responses":
            return super().respond(asked)
        if self.key is not None and asked.headers.get("authorization") != f"Bearer {self.key}":
            return refusal(PHRASE, "Incorrect API key provided: xa***ey.")
        fault = _fault(asked.body)
        return self.answer(asked) if fault is None else refusal(PHRASE, fault)


def refusal(code: str, error: str, status: int = 400) -> Reply:
    """A refusal in xAI's own shape (B4)."""
    body = json.dumps({"code": code, "error": error}).encode()
    return Reply([body], status=status, content_type=b"application/json")


def _fault(body: Any) -> str | None:
    """What the real one, which knows none of the answers that chatmock keeps, would find wrong."""
    if not isinstance(body, dict) or not body.get("model") or not body.get("input"):
        return "model and input are required"
    if body.get("previous_response_id") is not None:
        return f"Response with id={body['previous_response_id']} not found."
    if not isinstance(body.get("stream", False), bool):
        return "stream is a boolean"
    if body.get("background"):
        return "background is not supported"
    return None
